"""All that the result of each step depends on, and nothing else.

A step is done again if, and only if, one of these changes. They are known
before anything is made: what an earlier step makes stands here as fingerprints
of that step's own inputs, as 'step/'. So `--dry_run` can tell what would be
redone, and `Workdir.outdated` what was left behind.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from dbflax import disk, methods
from dbflax import job as job_lib
from dbflax import subject as subject_lib

Inputs = dict[str, object]

# Raised where dbflax makes something else of the same inputs than before.
_CODE = {
  'photos': 2,
  'prior': 10,
  'train': 15,
  'inversion': 12,
  'samples': 11,
  'export': 2,
}
REPORT = 3  # the same, of the report; `pipeline` knows the rest of its inputs
# Fields of a stage that say when to save or give up, not what comes out.
_NO_RESULT = ('checkpoint_every', 'checkpoint_minutes', 'keep', 'max_skipped')


def of_mode(job: job_lib.Job, mode: str) -> dict[str, Inputs]:
  """Step → inputs of a mode's steps in their order, but for the report's."""
  steps = {'photos': photos(job), 'identifier': identifier(job)}
  if job.uses_prior:
    steps |= {name: prior(job, name) for name in job.class_prompts}
  if mode != 'prior':
    for name in methods.trained(job.config):
      steps[name] = train(job, name)
  if mode in ('run', 'sample'):
    steps['samples'] = samples(job)
  if mode == 'export':
    steps['export'] = export(job)
  return steps


def photos(job: job_lib.Job) -> Inputs:
  """As every stage sees them, with what people are shown beside them."""
  first, *others = map(_photos, job.subjects)
  return {**first, 'others': others, 'code': _CODE['photos']}


def _photos(subject: subject_lib.Subject) -> Inputs:
  return {
    'photos': subject.photos,
    'captions': subject.captions if any(subject.captions) else (),
    'framed': subject.framed,
  }


def identifier(job: job_lib.Job) -> Inputs:
  """What is written of identifiers is also all that they depend on."""
  words = zip(job.subjects, job.words, strict=True)
  first, *others = [_identifier(job, *one) for one in words]
  more = {'others': others} if others else {}
  return {**first, 'kind': job.config.identifier.kind, **more}


def _identifier(job, subject: subject_lib.Subject, words: str) -> Inputs:
  text, ids = subject.identifier.text, list(subject.identifier.ids)
  return {
    'text': text,
    'ids': ids,
    'pieces': [job.model.tokenizer.piece(i) for i in ids],
    'subject': words,
    'class_noun': subject.noun,
  }


def _text(job: job_lib.Job) -> Inputs:
  return {
    'text': job.config.text.to_dict(),
    'text_encoder': job.weights('text_encoder'),
  }


def prior(job: job_lib.Job, name: str = 'prior') -> Inputs:
  """Of one class's images; how many are drawn at once is not among them."""
  options = job.config.prior
  stream = {} if name == 'prior' else {'stream': name}
  return {
    'prompt': job.class_prompts[name],
    'count': options.count,
    'sampler': [options.sampler, options.steps, options.guidance_scale],
    'seed': job.config.seed,
    'stage_1': job.weights('stage_1'),
    'dtype': job.config.stage_1.dtype,
    'code': _CODE['prior'],
    **stream,
    **_text(job),
  }


def _priors(job: job_lib.Job) -> Inputs:
  """Each step that draws class images."""
  return {f'{n}/': disk.fingerprints(prior(job, n)) for n in job.class_prompts}


def pair(job: job_lib.Job, name: str) -> tuple[np.ndarray, np.ndarray | None]:
  """The photos as a stage learns them: with the lower image, if it is SR.

  The first `count` of each subject; samples are scored against all.
  """
  stage = job.model.stages[name]
  at = lambda size: np.stack(
    _learnt(job, [s.photos[size] for s in job.subjects])
  )
  low = None
  if stage.is_super_resolution:
    low = at(job.model.below(name).resolution)
  return at(stage.resolution), low


def instance_prompts(job: job_lib.Job) -> list[str]:
  """What each photo that is learnt is trained with, in the order of `pair`."""
  return _learnt(job, job.instance_prompts())


def _learnt(job: job_lib.Job, of_photos: Sequence[Sequence]) -> list:
  """Of every subject's photos those that are learnt, each subject in turn."""
  each = [
    [(number, value) for number, value in enumerate(values[: one.count])]
    for one, values in zip(job.subjects, of_photos, strict=True)
  ]
  in_turn = sorted(itertools.chain(*each), key=lambda item: item[0])
  return [value for _, value in in_turn]


def train(job: job_lib.Job, name: str) -> Inputs:
  """Of a step that trains: a stage, or the vectors of Textual Inversion."""
  return _inversion(job) if name == methods.STEP else _finetuning(job, name)


def _inversion(job: job_lib.Job) -> Inputs:
  config, hyper = job.config, job.config.inversion.to_dict()
  base = config.stage_1
  return {
    'photos': pair(job, 'stage_1'),
    'prompts': job.fill(config.inversion.templates),
    'class_noun': job.noun,
    'hyper': {k: v for k, v in hyper.items() if k not in _NO_RESULT},
    'loss': [base.weighting, base.vlb_weight, base.dtype],
    'seed': config.seed,
    'weights': job.weights('stage_1'),
    'code': _CODE['inversion'],
    **_text(job),
  }


def _finetuning(job: job_lib.Job, name: str) -> Inputs:
  config, hyper = job.config, job.config[name].to_dict()
  with_prior, prompts = learns_prior(job, name), instance_prompts(job)
  return {
    'photos': pair(job, name),
    'prompt': prompts if len(set(prompts)) > 1 else prompts[0],
    'hyper': {k: v for k, v in hyper.items() if k not in _NO_RESULT},
    'seed': config.seed,
    'weights': job.weights(name),
    'prior_weight': config.prior.weight if with_prior else 0.0,
    'code': _CODE['train'],
    **(_priors(job) if with_prior else {}),
    **_text(job),
  }


def learns_prior(job: job_lib.Job, name: str) -> bool:
  """Whether a stage sees class images: the base does."""
  return name == 'stage_1' and job.uses_prior


def _weights(job: job_lib.Job) -> Inputs:
  """The weights that all stages are sampled with."""
  tuned = methods.trained(job.config)
  return {
    **{n: job.weights(n) for n in job.model.stages if n not in tuned},
    **{f'{name}/': disk.fingerprints(train(job, name)) for name in tuned},
  }


def samples(job: job_lib.Job) -> Inputs:
  config = job.config
  sample = config.sample.to_dict()
  del sample['batch']  # how many at once is no matter
  return {
    'prompts': job.prompts(),
    'sample': sample,
    'dtype': {name: config[name].dtype for name in job.model.stages},
    'seed': config.seed,
    'code': _CODE['samples'],
    **_weights(job),
    **_text(job),
  }


def export(job: job_lib.Job) -> Inputs:
  return {
    'text_encoder': job.weights('text_encoder'),
    'options': job.config.export.to_dict(),
    'subject': [*job.words, job.prompts()[0]],
    'photos': job.named_photos,
    'sample': {n: job.config.sample[n].to_dict() for n in job.model.stages},
    'code': _CODE['export'],
    **_weights(job),
  }
