"""The methods that the paper compares (its Table 1), and where they differ.

    dreambooth         stages are fine-tuned; {subject} is "zk dog"
    textual_inversion  vectors of the frozen text encoder's input are learned
                       (Gal et al., arXiv 2208.01618), nothing else; {subject}
                       is "zk", a word that is read as these vectors
    prompt_only        nothing is trained; {subject} is a description

Everything here is a function of the config.
"""

import re
from collections.abc import Sequence

from dbflax import errors
from dbflax.text import prompts

DREAMBOOTH = 'dreambooth'
INVERSION = 'textual_inversion'
PROMPT_ONLY = 'prompt_only'
NAMES = (DREAMBOOTH, INVERSION, PROMPT_ONLY)
# The step that learns vectors, its folder, and its section of the config.
STEP = 'inversion'

_ARTICLE = re.compile(r'^(an?|the) ', re.IGNORECASE)
_BEFORE = re.compile(r'\b(a) (?=\{subject\})', re.IGNORECASE)


def trained(config) -> tuple[str, ...]:
  """The steps that train, in their order."""
  if config.method == DREAMBOOTH:
    return tuple(n for n in config.cascade.stages if config[n].train)
  return (STEP,) if config.method == INVERSION else ()


def draws_prior(config) -> bool:
  """Whether class images are drawn, for prior preservation."""
  return (
    config.method == DREAMBOOTH
    and config.prior.weight > 0
    and config.stage_1.train
  )


def subject(config, identifier: str) -> str:
  """The words that stand for the subject in prompts."""
  if config.method == DREAMBOOTH:
    return prompts.subject(identifier, config.subject.class_noun)
  if config.method == INVERSION:
    return identifier
  return _ARTICLE.sub('', config.subject.description.strip())


def class_prompts(config) -> dict[str, str]:
  """Step → the prompt whose class images it draws; each prompt but once."""
  nouns = [one['class_noun'] for one in (config.subject, *config.others)]
  fill = config.prior.prompt.format
  return class_steps([fill(class_noun=noun.strip()) for noun in nouns])


def class_steps(prompts: Sequence[str]) -> dict[str, str]:
  """`class_prompts`, given the prompt of each subject's class."""
  different = dict.fromkeys(prompts)
  names = ['prior', *(f'prior_{n}' for n in range(2, len(different) + 1))]
  return dict(zip(names, different, strict=True))


def fill(config, template: str, identifier: str, **others: str) -> str:
  """The prompt of a template: "a photo of a zk dog", or "… an orange dog".

  `others` are what further placeholders stand for, of further subjects.
  """
  noun = config.subject.class_noun
  if config.method == DREAMBOOTH:
    return prompts.fill(template, identifier, noun, **others)
  words = subject(config, identifier)
  if config.method == PROMPT_ONLY and words[0].lower() in 'aeiou':
    template = _BEFORE.sub(r'\1n ', template)
  return prompts.fill_subject(template, words, noun)


def parts(config) -> tuple[str, ...]:
  """The steps that a report shows."""
  shown = ('photos', 'identifier', *trained(config), 'samples')
  return (*shown, *class_prompts(config)) if draws_prior(config) else shown


def check_mode(config, mode: str) -> None:
  """Raises UserError if a mode has nothing to do with the method."""
  for methods, modes, reason in _UNFIT:
    if config.method in methods and mode in modes:
      raise errors.UserError(
        f"--mode={mode} is not for method='{config.method}': {reason}"
      )


_UNFIT = (
  (
    (INVERSION, PROMPT_ONLY),
    ('prior',),
    "it uses no class images; they are 'dreambooth''s.",
  ),
  (
    (PROMPT_ONLY,),
    ('identifier',),
    'it has no identifier, but subject.description.',
  ),
  (
    (PROMPT_ONLY,),
    ('serve',),
    'it trains nothing; --mode=draw draws prompts as they are typed.',
  ),
  (
    (PROMPT_ONLY,),
    ('export',),
    'it trains nothing; the cascade is what cascade.path names.',
  ),
)
