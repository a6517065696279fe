"""What the values of a config must be, checked before anything is made."""

import fnmatch
import math
import re
import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dbflax import errors
from dbflax.plan import hardware

# Named here as well as where they are implemented, because those modules
# import JAX; a test keeps the two equal.
SAMPLERS = ('scheduler', 'ancestral', 'ddim', 'dpmpp_2m')
KINDS = ('rare', 'word', 'random')
CROPS = ('centre', 'pad', 'box', 'auto', 'face')
METHODS = ('dreambooth', 'textual_inversion', 'prompt_only')
STAGES = ('stage_1', 'stage_2', 'stage_3')
DTYPES = ('float32', 'bfloat16')
OPTIMIZERS = ('adamw', 'adafactor', 'muon')
REMAT = ('none', 'dots', 'blocks')  # From least time to least memory.
JOIN = ('auto', 'yes', 'no')
WEIGHTINGS = ('simple', 'min_snr')
# What a study says of a subject (configs/studies/common.py).
SUBJECT = ('photos', 'class_noun')
# What a run says of a further subject, beside these.
OTHER = ('identifier', 'count', 'crop', 'captions')
# A part of a pre-training (configs/toybox.py).
PHASE = ('resolution', 'crop', 'batch', 'steps')


class Rule(NamedTuple):
  """Fields whose path matches `pattern` must pass `test`."""

  pattern: str
  test: Callable[[Any], bool]
  requirement: str  # completes "must be …"


def _at_least(low: float) -> Callable[[Any], bool]:
  return lambda value: math.isfinite(value) and value >= low


def _above(low: float) -> Callable[[Any], bool]:
  return lambda value: math.isfinite(value) and value > low


def _one_of(pattern: str, known: tuple[str, ...]) -> Rule:
  return Rule(pattern, lambda value: value in known, f'one of {known}')


def _are(kind: type, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
  """Of a list or tuple (not a text): are all of it `kind`, and pass?"""
  return lambda value: (
    not isinstance(value, str)
    and all(isinstance(one, kind) and test(one) for one in value)
  )


def _is_range(value) -> bool:
  if not _are(int, lambda one: True)(value):
    return False
  return tuple(value) == (0, 0) or (
    len(value) == 2 and 0 <= value[0] < value[1]
  )


def _is_regex(value) -> bool:
  try:
    re.compile(value)
  except re.error:
    return False
  return True


RULES = (
  Rule(
    'name',
    lambda value: bool(value.strip()) and '/' not in value,
    "a word without '/'; it names the run's folder",
  ),
  _one_of('method', METHODS),
  Rule('*seed', lambda value: 0 <= value < 2**31, 'in 0 … 2^31 - 1'),
  Rule(
    'cascade.stages',
    lambda value: len(value) > 0 and tuple(value) == STAGES[: len(value)],
    f'the first one, two or three of {STAGES}',
  ),
  Rule(
    'cascade.variant',
    lambda value: value.replace('_', '').isalnum() or not value,
    "a word such as 'fp16', or '' for the plain weights",
  ),
  Rule(
    'subject.photos',
    bool,
    'a folder, tfds:NAME:SPLIT, toybox:NAME or toybox:CLASS/SEED',
  ),
  Rule('subject.count', _at_least(0), '0 (all) or a number of photos'),
  _one_of('subject.crop', CROPS),
  Rule(
    'others',
    lambda value: all(
      {*SUBJECT} <= {*one} <= {*SUBJECT, *OTHER} for one in map(dict, value)
    ),
    f'dicts with {SUBJECT}, and of {OTHER} what shall differ',
  ),
  _one_of('identifier.kind', KINDS),
  Rule(
    'identifier.id_range',
    _is_range,
    'two token ids (low, high) with low < high, or (0, 0)',
  ),
  Rule('identifier.max_chars', _at_least(1), 'at least 1'),
  Rule(
    'identifier.num_tokens',
    lambda value: value and _are(int, lambda one: 1 <= one <= 3)(value),
    'a tuple of counts from 1 to 3, such as (1,)',
  ),
  Rule('identifier.compare', _at_least(0), '0 (lists ten) or a number'),
  Rule('text.max_length', _at_least(2), 'at least 2 tokens'),
  Rule('prior.weight', _at_least(0), '0 (no prior loss) or more'),
  # Not of the subject's photos, where 0 is all.
  *(
    Rule(f'{counted}.count', _at_least(1), 'at least 1')
    for counted in ('prior', 'hosts', 'measure*')
  ),
  Rule('inversion.num_vectors', _at_least(1), 'at least 1'),
  Rule(
    'inversion.templates',
    lambda value: value and _are(str, lambda one: '{subject}' in one)(value),
    "at least one, each with {subject}, such as ('a photo of a {subject}',)",
  ),
  Rule(
    '*.phases',
    lambda value: (
      bool(value) and all({*p} == {*PHASE} for p in map(dict, value))
    ),
    f'dicts of {PHASE}, set in a config file',
  ),
  Rule('*.images_per_prompt', _at_least(1), 'at least 1'),
  Rule('*.steps', _at_least(1), 'at least 1'),
  Rule('*.batch', _at_least(1), 'at least 1'),
  Rule('*.microbatches', _at_least(1), 'at least 1'),
  Rule('*.learning_rate', _above(0), 'above 0, such as 1e-5'),
  Rule('*.weight_decay', _at_least(0), 'at least 0'),
  Rule('*.warmup', _at_least(0), 'at least 0 steps'),
  Rule('*.clip_norm', _above(0), 'above 0'),
  Rule('stage_?.crop', _at_least(0), '0 (the whole image) or a side in pixels'),
  Rule(
    '*.noise_level',
    lambda value: 0 <= value <= 1,
    'a fraction of the schedule in 0 … 1; its class label is 1000 times that',
  ),
  Rule('*.ema_decay', lambda value: 0 <= value < 1, 'in 0 … 1, below 1'),
  Rule('*.checkpoint_every', _at_least(1), 'at least 1 step'),
  Rule('*.checkpoint_minutes', _at_least(0), '0 (never) or more'),
  Rule('*.max_skipped', _at_least(0), 'at least 0 steps'),
  Rule('*.keep', _at_least(1), 'at least 1 checkpoint'),
  Rule('*.sample_every', _at_least(0), '0 (never) or a number of steps'),
  _one_of('export.dtype', (*DTYPES, 'float16')),
  _one_of('stage_?.dtype', DTYPES),
  _one_of('text.dtype', DTYPES),
  Rule('stage_?.trainable', _is_regex, "a regular expression or ''"),
  Rule('*.lora.rank', _at_least(0), '0 (no LoRA) or a rank, such as 8'),
  Rule('*.lora.alpha', _at_least(0), '0 (the rank) or more'),
  Rule(
    '*.lora.targets',
    lambda value: bool(value) and _is_regex(value),
    "a regular expression, such as 'to_q|to_v'",
  ),
  _one_of('*.frozen_dtype', DTYPES),
  _one_of('*.optimizer', OPTIMIZERS),
  _one_of('*.moments_dtype', DTYPES),
  _one_of('*.weighting', WEIGHTINGS),
  _one_of('*.remat', REMAT),
  Rule('*.vlb_weight', _at_least(0), 'at least 0'),
  _one_of('*.sampler', SAMPLERS),
  Rule('*.guidance_scale', _at_least(0), 'at least 0; 1 is no guidance'),
  Rule(
    'sample.prompts',
    lambda value: value and _are(str, bool)(value),
    'at least one prompt, all of them texts',
  ),
  Rule(
    'evaluate.networks',
    lambda value: value and _are(str, bool)(value),
    "at least one name, such as ('toybox',)",
  ),
  Rule(
    'evaluate.pool',
    _are(str, bool),
    "workdirs, such as ('runs/dog',)",
  ),
  # Of a study (configs/studies/).
  Rule(
    'seeds',
    lambda value: value and _are(int, lambda one: 0 <= one < 2**31)(value),
    'at least one seed, such as (0, 1, 2)',
  ),
  Rule(
    'subjects',
    lambda value: (
      bool(value) and all({*SUBJECT} <= {*one} for one in map(dict, value))
    ),
    f'dicts with {SUBJECT}, set in a config file',
  ),
  Rule('num_subjects', _at_least(0), '0 (all) or how many, from the first'),
  Rule(
    'log.project', lambda value: bool(value.strip()), 'the name of a project'
  ),
  Rule('mesh.data', lambda value: value == -1 or value >= 1, '-1 or above 0'),
  Rule('mesh.fsdp', _at_least(1), 'at least 1'),
  _one_of('hosts.join', JOIN),
  Rule(
    'hosts.coordinator',
    lambda value: not value or bool(re.fullmatch(r'.+:\d+', value)),
    "address:port of the first host, such as '10.0.0.2:1234', or ''",
  ),
  Rule('hosts.index', _at_least(0), 'from 0 to hosts.count - 1'),
  Rule('serve.host', bool, "an address, such as '127.0.0.1'"),
  Rule('serve.port', lambda value: 0 <= value < 2**16, 'in 0 … 65535'),
  Rule('serve.max_photos', _at_least(1), 'at least 1'),
  Rule('serve.max_megabytes', _above(0), 'above 0'),
  Rule(
    'plan.efficiency',
    lambda value: 0 < value <= 1,
    'a share of the peak rate, above 0 and at most 1',
  ),
  Rule(
    'plan.headroom',
    lambda value: 0 <= value < 1,
    'a share of the memory, in 0 … 1, below 1',
  ),
)


def flatten(config, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """('stage_1.steps', 300), … for every field of a nested config."""
  for key, value in config.items():
    if hasattr(value, 'items'):
      yield from flatten(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def check(config) -> None:
  """Raises UserError for the first value of `config` that cannot be meant.

  Sections that a config lacks (a pre-training config has no subject) are not
  missed.
  """
  fields = dict(flatten(config))
  for path, value in fields.items():
    for rule in RULES:
      if fnmatch.fnmatch(path, rule.pattern) and not _passes(rule, value):
        raise errors.UserError(
          f'--config.{path}={value!r}: must be {rule.requirement}'
        )
  for name in STAGES:
    _check_moments(name, fields)
    _check_microbatches(name, fields)
  _check_hosts(fields)
  _check_method(fields)
  _check_others(fields)
  if fields.get('plan.topology'):
    hardware.parse(fields['plan.topology'])
  others = len(fields.get('others', ()))
  for path in ('sample.prompts', 'inversion.templates'):
    for prompt in fields.get(path, ()):
      check_prompt(prompt, f'--config.{path}: ', others)
  if 'prior.prompt' in fields:
    _check_template(
      '--config.prior.prompt: ', fields['prior.prompt'], ('class_noun',)
    )
  if not fields.get('subject.class_noun', 'dog').strip():
    _check_nameless(fields)


def _check_nameless(fields: dict) -> None:
  """Raises UserError if a prompt wants the noun of a subject that has none."""
  texts = [('sample.prompts', prompt) for prompt in fields['sample.prompts']]
  if fields['prior.weight'] > 0:
    texts.append(('prior.prompt', fields['prior.prompt']))
  for path, text in texts:
    if '{class_noun}' in text:
      raise errors.UserError(
        f"--config.{path}: {text!r} wants a noun, and subject.class_noun='' is "
        "none; name the class there, such as 'a dog', or set "
        '--config.subject.class_noun=dog'
      )


# Method → (the field that it cannot do without, an example).
_STARTS_FROM = {
  'textual_inversion': ('subject.class_noun', 'dog'),
  'prompt_only': ('subject.description', 'white dog with brown ears'),
}


def _check_method(fields: dict) -> None:
  """Raises UserError if a method lacks the words that it starts from."""
  method = fields.get('method')
  needed, example = _STARTS_FROM.get(method, (None, ''))
  if needed and not fields[needed].strip():
    raise errors.UserError(
      f"--config.{needed}='': method={method!r} starts from it; say what the "
      f'photos show, such as {example!r}.'
    )


def _check_moments(name: str, fields: dict) -> None:
  """Raises UserError if moments are to be small that an optimizer lacks."""
  dtype = fields.get(f'{name}.moments_dtype', 'float32')
  kind = fields.get(f'{name}.optimizer')
  if dtype != 'float32' and kind != 'adamw':
    raise errors.UserError(
      f'--config.{name}.moments_dtype={dtype!r} is for adamw, and '
      f"{name}.optimizer is {kind!r}; leave it 'float32', or take adamw."
    )


def _check_microbatches(name: str, fields: dict) -> None:
  """Raises UserError if a batch cannot be cut as wanted."""
  batch, parts = (
    fields.get(f'{name}.{field}', 1) for field in ('batch', 'microbatches')
  )
  if batch % parts:
    fitting = [n for n in range(1, batch + 1) if batch % n == 0]
    raise errors.UserError(
      f'--config.{name}.microbatches={parts} does not divide {name}.batch='
      f'{batch}; {", ".join(map(str, fitting))} do.'
    )


def _check_others(fields: dict) -> None:
  """Raises UserError if something of a further subject cannot be meant."""
  others = fields.get('others', ())
  if others and fields['method'] != 'dreambooth':
    raise errors.UserError(
      f'--config.others: method={fields["method"]!r} is for one subject; leave '
      "it (), or take method='dreambooth'"
    )
  for number, one in enumerate(others):
    for key, value in dict(one).items():
      wanted = fields[f'subject.{key}']
      rule = next((r for r in RULES if r.pattern == f'subject.{key}'), None)
      if type(value) is not type(wanted) or (rule and not _passes(rule, value)):
        kind = f'{type(wanted).__name__} such as {wanted!r}'
        raise errors.UserError(
          f'--config.others[{number}][{key!r}]={value!r}: must be '
          f'{rule.requirement if rule else kind}'
        )
    noun = one['class_noun'].strip()
    if not noun or noun == 'auto':
      raise errors.UserError(
        f"--config.others[{number}]['class_noun']={noun!r}: must name the "
        "class, such as 'cat'"
      )


def _check_hosts(fields: dict) -> None:
  """Raises UserError if it is not clear which host this one is."""
  count, index = fields.get('hosts.count', 1), fields.get('hosts.index', 0)
  if index >= count:
    raise errors.UserError(
      f'--config.hosts.index={index}: must be below hosts.count={count}; hosts '
      'are counted from 0.'
    )
  if count > 1 and not fields['hosts.coordinator']:
    raise errors.UserError(
      f'--config.hosts.count={count} says nothing without hosts.coordinator; '
      'give the address:port of the first host.'
    )


def _passes(rule: Rule, value) -> bool:
  try:
    return rule.test(value)
  # Such as 1 <= 'a' in a tuple's element, or a text where a dict should be.
  except (TypeError, ValueError):
    return False


def check_prompt(prompt: str, where: str = '', others: int = 0) -> None:
  """Raises UserError unless a prompt can be filled in.

  `where` it stands begins the message, such as '--config.sample.prompts: ';
  `others` is how many subjects there are besides the first.
  """
  numbers = ('', *(f'_{n}' for n in range(2, others + 2)))
  known = [f'{name}{n}' for n in numbers for name in ('subject', 'class_noun')]
  _check_template(where, prompt, tuple(known))


def _check_template(where: str, template: str, known: tuple[str, ...]) -> None:
  """Raises UserError unless every placeholder of a prompt is known."""
  allowed = ' and '.join(f'{{{name}}}' for name in known)
  try:
    # Such as {subject:>999999999} would be a long text.
    used = {
      name if not spec and not conversion else '?'
      for _, name, spec, conversion in string.Formatter().parse(template)
    } - {None}
  except ValueError:
    used = {'?'}
  if not template.strip() or not used <= set(known):
    raise errors.UserError(
      f'{where}prompt {template!r} must be a text whose only '
      f'placeholders are {allowed}'
    )
