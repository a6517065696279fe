import ast
import fnmatch
import importlib
import pathlib
import re

import pytest

from configs import toybox
from dbflax import errors, main, validate

ROOT = pathlib.Path(__file__).parents[1]
SUBJECTS = ('default', 'dog', 'teapot', 'test', 'dreambooth', 'two_subjects')


def configs():
  """(file's name, variant) of every config of a run."""
  return [
    (name, variant)
    for name in SUBJECTS
    for variant in (
      '',
      *getattr(importlib.import_module(f'configs.{name}'), 'VARIANTS', {}),
    )
  ]


def load(name, variant=''):
  return importlib.import_module(f'configs.{name}').get_config(variant)


@pytest.mark.parametrize(('name', 'variant'), configs())
def test_every_config_is_valid_and_has_a_name_of_its_own(name, variant):
  config = load(name, variant)
  validate.check(config)
  assert config.name == (f'{name}_{variant}' if variant else name)


@pytest.mark.parametrize(('name', 'variant'), configs())
def test_no_config_adds_or_drops_a_field(name, variant):
  assert dict(validate.flatten(load(name, variant))).keys() == (
    dict(validate.flatten(load('default'))).keys()
  )


@pytest.mark.parametrize('variant', toybox.VARIANTS)
def test_every_pretraining_config_is_valid(variant):
  argument = f'--config={ROOT / "configs/toybox.py"}:{variant}'
  config, mode, *_ = main.parse(['dbflax', argument, '--mode=pretrain'])
  assert variant.startswith(config.target)
  assert mode == 'pretrain'


def test_an_unknown_pretraining_target_lists_those_that_exist():
  with pytest.raises(errors.UserError, match=':stage_4.*stage_3'):
    toybox.get_config('stage_4')


def test_all_configs_of_the_folder_are_known_here():
  # Pre-training has fields of its own and is tested with its module; of
  # DeepFloyd's there are only variants, and variants.py applies them.
  found = {path.stem for path in (ROOT / 'configs').glob('*.py')}
  assert found - {'toybox', 'deepfloyd', 'variants'} == set(SUBJECTS)


def test_every_field_has_a_comment():
  source = (ROOT / 'configs' / 'default.py').read_text()
  lines = source.splitlines()
  bare = [
    lines[node.lineno - 1].strip()
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.Assign)
    and isinstance(node.targets[0], ast.Attribute)
    and not lines[node.lineno - 2].strip().startswith('#')
  ]
  # Sections explain themselves where they are built; the name of a variant
  # is the name's own field again.
  fields = [
    line for line in bare if not re.search(r"= _\w+\(|_\{variant\}'$", line)
  ]
  assert not fields, f'fields without a comment: {fields}'


def test_help_names_every_config():
  named = set(re.findall(r'configs/(\w+)\.py', main.__doc__))
  assert named >= {'default', 'dog', 'teapot', 'test'}


def test_an_unknown_variant_lists_those_that_exist():
  with pytest.raises(errors.UserError, match="':no_prior'"):
    load('dog', 'prior')
  with pytest.raises(errors.UserError, match='variants: none'):
    load('test', 'fast')


def test_values_that_cannot_be_meant_are_refused():
  for path, value in {
    'name': 'a/b',
    'method': 'lora',
    'inversion.num_vectors': 0,
    'inversion.templates': ('a photo of a dog',),
    'seed': -1,
    'cascade.stages': ('stage_1', 'stage_3'),
    'cascade.variant': '../x',
    'subject.photos': '',
    'subject.count': -1,
    'subject.crop': 'left',
    'identifier.kind': 'best',
    'identifier.id_range': (10, 5),
    'identifier.num_tokens': (4,),
    'identifier.seed': -1,
    'text.max_length': 1,
    'prior.weight': -1.0,
    'prior.count': 0,
    'prior.prompt': 'a {subject}',
    'prior.sampler': 'plms',
    'stage_1.batch': 0,
    'stage_1.microbatches': 0,
    'stage_2.learning_rate': 0.0,
    'stage_2.clip_norm': float('nan'),
    'stage_2.crop': -1,
    'stage_3.noise_level': 1.5,
    'stage_1.ema_decay': 1.0,
    'stage_1.dtype': 'float16',
    'stage_1.optimizer': 'sgd',
    'stage_1.remat': 'all',
    'stage_1.moments_dtype': 'float16',
    'plan.efficiency': 0.0,
    'plan.headroom': 1.0,
    'plan.topology': 'v4:3x3x3',
    'stage_1.trainable': '(attentions',
    'stage_1.lora.rank': -1,
    'stage_1.lora.alpha': -1.0,
    'stage_2.lora.targets': '',
    'stage_3.frozen_dtype': 'float16',
    'sample.prompts': ('a {subject',),
    'evaluate.networks': (),
    'sample.stage_2.guidance_scale': float('inf'),
    'mesh.data': 0,
    'hosts.join': 'maybe',
    'hosts.coordinator': '10.0.0.2',
    'hosts.index': 1,
  }.items():
    config = load('default')
    config.update_from_flattened_dict({path: value})
    with pytest.raises(errors.UserError, match=re.escape(path)) as caught:
      validate.check(config)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('path', 'value'),
  [
    ('identifier.num_tokens', (1.5,)),
    ('identifier.id_range', (0.5, 9.0)),
    ('inversion.templates', (1,)),
    ('sample.prompts', ('',)),
    ('evaluate.networks', (1,)),
    ('evaluate.networks', 'toybox'),
    ('evaluate.pool', (1,)),
  ],
)
def test_what_is_in_a_tuple_is_checked_too(path, value):
  config = load('default').unlock()
  with config.ignore_type():
    config.update_from_flattened_dict({path: value})
  with pytest.raises(errors.UserError, match=f'{path}=.*: must be'):
    validate.check(config)


@pytest.mark.parametrize('prior', [{'weight': 0.0}, {'prompt': 'a dog'}])
def test_a_subject_without_a_noun_is_taken(prior):
  config = load('default')
  config.subject.class_noun = ''
  config.prior.update(prior)
  validate.check(config)


def test_values_that_contradict_each_other_are_refused():
  for values, message in (
    (
      {'subject.class_noun': ''},
      "prior.prompt: 'a {class_noun}' wants a noun, and "
      "subject.class_noun='' is none; name the class there, such as 'a dog'",
    ),
    (
      {'subject.class_noun': ' ', 'sample.prompts': ('{class_noun}',)},
      "sample.prompts: '{class_noun}' wants a noun",
    ),
    (
      {'stage_2.optimizer': 'muon', 'stage_2.moments_dtype': 'bfloat16'},
      "stage_2.moments_dtype='bfloat16' is for adamw, and stage_2.optimizer "
      "is 'muon'",
    ),
    (
      {'stage_1.batch': 6, 'stage_1.microbatches': 4},
      'stage_1.microbatches=4 does not divide stage_1.batch=6; 1, 2, 3, 6 do.',
    ),
    (
      {'hosts.count': 4},
      'hosts.count=4 says nothing without hosts.coordinator',
    ),
    (
      {'hosts.count': 4, 'hosts.index': 4, 'hosts.coordinator': 'here:1'},
      'hosts.index=4: must be below hosts.count=4',
    ),
    (
      {'method': 'prompt_only', 'subject.description': ' '},
      "subject.description='': method='prompt_only' starts from it",
    ),
  ):
    config = load('default')
    config.update_from_flattened_dict(values)
    with pytest.raises(errors.UserError, match=re.escape(message)) as caught:
      validate.check(config)
    assert '\n' not in str(caught.value)


def test_every_field_is_checked_or_free():
  """A new number cannot come without a rule for it."""
  free = {
    *('compilation_cache', 'cascade.path', 'subject.identifier'),
    'subject.description',
    *('cascade.text_encoder', *(f'cascade.stage_{n}' for n in (1, 2, 3))),
    *('prior.prompt', 'subject.class_noun'),
    'plan.topology',  # plan.hardware knows them
    'evaluate.images',
  }
  unruled = {
    path
    for path, value in validate.flatten(load('default'))
    if not isinstance(value, bool)
    and not any(fnmatch.fnmatch(path, rule.pattern) for rule in validate.RULES)
  }
  assert unruled == free


def test_names_equal_those_of_the_code():
  from dbflax import methods
  from dbflax.data import images
  from dbflax.diffusion import loss, sampler
  from dbflax.models import levels
  from dbflax.train import optimizer

  assert set(validate.SAMPLERS) == {'scheduler', *sampler.SAMPLERS}
  assert validate.OPTIMIZERS == optimizer.KINDS
  assert validate.METHODS == methods.NAMES
  assert set(validate.REMAT) == levels.REMAT.keys()
  assert validate.WEIGHTINGS == loss.WEIGHTINGS
  assert set(validate.CROPS) == set(images.CROPS)
