"""What all the steps of a run share, read and checked before any writes.

A `Job` knows the subject, its identifier and prompts, the cascade and its
compiled samplers, and how to embed text, fingerprint weights and time a step.
This is where configs stop: below are arrays and plain values.
"""

import dataclasses
import functools
import itertools
import json
import logging
import pathlib
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from dbflax import (
  cascade,
  disk,
  errors,
  hosts,
  methods,
  pretrained,
  sharding,
)
from dbflax import subject as subject_lib
from dbflax import workdir as workdir_lib
from dbflax.text import embed, identifiers, prompts
from dbflax.train import adapt, finetune
from dbflax.weights import files, vectors

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
  """A run. Build it with `start`."""

  config: object  # the locked ConfigDict
  work: workdir_lib.Workdir
  model: cascade.Cascade
  subjects: tuple[subject_lib.Subject, ...]
  samplers: dict[str, Callable]  # stage name → compiled sampler
  mesh: jax.sharding.Mesh
  # Told the name of every step that is about to be made.
  begins: Callable[[str], None] = lambda name: None

  @property
  def noun(self) -> str:
    """The first subject's, as are identifier and words."""
    return self.subjects[0].noun

  @property
  def identifier(self) -> identifiers.Identifier:
    return self.subjects[0].identifier

  @property
  def subject(self) -> str:
    return methods.subject(self.config, self.identifier.text)

  @property
  def words(self) -> list[str]:
    """The words that stand for each subject in prompts."""
    others = [prompts.subject(s.identifier.text, s.noun) for s in self.subjects]
    return [self.subject, *others[1:]]

  @property
  def others(self) -> dict[str, str]:
    """What further placeholders of templates stand for."""
    named = list(zip(self.words, self.subjects, strict=True))[1:]
    return {
      name: value
      for number, (words, one) in enumerate(named, 2)
      for name, value in (
        (f'subject_{number}', words),
        (f'class_noun_{number}', one.noun),
      )
    }

  @property
  def class_prompts(self) -> dict[str, str]:
    """Step that draws class images → their prompt."""
    return methods.class_prompts(self.config)

  @property
  def named_photos(self) -> str:
    """Where the photos come from, in words."""
    return ', '.join(subject.section['photos'] for subject in self.subjects)

  def instance_prompts(self) -> list[list[str]]:
    """What the photos of each subject are trained with (paper, section 3.2)."""
    return [
      [caption or f'a {words}' for caption in one.captions]
      for words, one in zip(self.words, self.subjects, strict=True)
    ]

  @property
  def uses_prior(self) -> bool:
    return methods.draws_prior(self.config)

  def fill(self, templates: Sequence[str]) -> list[str]:
    config, word, others = self.config, self.identifier.text, self.others
    return [methods.fill(config, t, word, **others) for t in templates]

  def prompts(self) -> list[str]:
    """The sample prompts, filled in."""
    return self.fill(self.config.sample.prompts)

  def texts(self) -> list[str]:
    """Every text that the run will need, with the empty prompt."""
    trained = self.config.method == methods.DREAMBOOTH
    extra = itertools.chain(
      *self.instance_prompts(), self.class_prompts.values()
    )
    return ['', *(extra if trained else ()), *self.prompts()]

  def weights(self, name: str) -> str:
    """Fingerprint of a pre-trained network: its weights and configuration."""
    found = pretrained.sources(self.model, name)
    return disk.fingerprint(
      {name: _file_fingerprint(path) for name, path in found.items()}
    )

  def load_params(self, name: str, tuned: pathlib.Path | None = None) -> dict:
    """A stage's parameters on the mesh, where training has them too.

    One placement for all, so that a sampler is compiled once for previews
    while training and for the samples after.
    """
    return pretrained.load_params(self.model, name, self.mesh, tuned=tuned)

  def embed(self, texts: Sequence[str]) -> np.ndarray:
    """Embeddings [N, L, D]; T5 is loaded only if one is not cached yet.

    It is split over all devices, however the U-Nets lie, and gone before one
    of them is loaded: T5-XXL is larger than most.
    """
    length, model = self.config.text.max_length, self.model
    learned = self._vectors()

    def encode(missing):
      mesh = sharding.make_mesh(data=1, fsdp=jax.device_count())
      params = pretrained.load_params(
        model, 'text_encoder', mesh, dtype=model.encoder.dtype
      )
      return embed.embed(
        model.encoder,
        params,
        model.tokenizer,
        missing,
        max_length=length,
        vectors=learned,
      )

    of_vectors = '' if learned is None else f' {disk.fingerprint(learned)}'
    return embed.cached(
      self.work.embeddings,
      f'{self.weights("text_encoder")} {model.encoder.dtype}{of_vectors}',
      encode,
      self.model.tokenizer,
      texts,
      max_length=length,
    )

  def _vectors(self) -> np.ndarray | None:
    """What the method has learned of the text encoder's input, if it does."""
    if self.config.method != methods.INVERSION:
      return None
    return vectors.read(self.work.stage(methods.STEP))

  def batches(self) -> dict[str, int]:
    """Stage → how many samples its sampler draws in a call."""
    return {
      name: batch_of(self.config, self.model, name, self.mesh)
      for name in self.model.stages
    }

  def record(self) -> dict:
    """What config.json says, as it is read back."""
    record = {**self.config.to_dict(), 'command': self.work.command}
    return json.loads(json.dumps(record))

  def claim(self, anew: bool = True) -> None:
    """Takes the workdir, and writes down whose it is.

    Args:
      anew: also where that is written already, of all that is trained there.

    Raises:
      UserError: somebody else has it, or the hosts are not of one mind.
    """

    def write():
      self.work.claim()
      path = self.work.root / 'config.json'
      if anew or not (path.exists() and self._is_trained()):
        disk.write_json(path, self.record())

    hosts.from_first(write)
    if hosts.count() > 1:
      _check_agreement(self)

  def _is_trained(self) -> bool:
    """Whether every step that trains has been done, by whichever options."""
    return all(map(self.work.is_done, methods.trained(self.config)))

  def step(
    self, name: str, inputs: dict, build, *, together: bool = True
  ) -> pathlib.Path:
    """`Workdir.step`, and its seconds in times.json if it ran."""

    def timed(folder):
      start = time.monotonic()
      self.begins(name)
      build(folder)
      seconds = round(time.monotonic() - start, 1)
      times = {**self.work.times(), name: seconds}
      if hosts.is_first():
        disk.write_json(self.work.root / 'times.json', times)

    return self.work.step(name, inputs, timed, together=together)


@functools.cache
def _file_fingerprint(path: pathlib.Path) -> str:
  return disk.file_fingerprint(path)


def start(config, work: workdir_lib.Workdir) -> Job:
  """Reads everything that can be wrong; nothing is written yet.

  Raises:
    UserError: bad cascade, photos, identifier or workdir.
  """
  if not pathlib.Path(config.cascade.path).is_dir():
    # What takes long, or an account, comes after what is at hand.
    subject_lib.check(config)
  model = open_cascade(config, config.cascade.stages)
  _check_crops(config, model)
  _check_adaptations(config, model)
  sizes = [stage.resolution for stage in model.stages.values()]
  subjects = subject_lib.load(config, model.tokenizer, sizes)
  _warn_of_toys(config, subjects)
  model = _with_word(config, model, subjects[0].identifier)
  mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
  samplers = _samplers(config, model, mesh)
  return Job(config, work, model, subjects, samplers, mesh)


def _check_agreement(job: Job) -> None:
  """Raises UserError if two hosts would do different work."""
  config = {k: v for k, v in job.config.to_dict().items() if k != 'hosts'}
  parts = {
    'the workdir': job.work.look_at_mark(),
    'the config': config,
    'the photos': [subject.photos for subject in job.subjects],
    'the identifier': [subject.identifier.text for subject in job.subjects],
    'the prompts': job.texts(),
    'the noise': np.asarray(jax.random.bits(jax.random.key(config['seed']))),
    **{
      f'the weights of {name}': job.weights(name)
      for name in ('text_encoder', *job.model.stages)
    },
  }
  hosts.check_equal({k: disk.fingerprint(v) for k, v in parts.items()})


def open_cascade(
  config, stages: Sequence[str], *, weights: bool = True
) -> cascade.Cascade:
  """The cascade that the config names, with some of its stages.

  Without `weights` only the small files are fetched from the hub.
  """
  options = {
    name: {'dtype': config[name].dtype, 'remat': config[name].remat}
    for name in stages
  }
  where = config.cascade
  return pretrained.load(
    where.path,
    stages,
    {**options, 'text_encoder': {'dtype': config.text.dtype}},
    elsewhere={name: where[name] for name in ('text_encoder', *cascade.STAGES)},
    wanted=files.Format(where.variant, where.allow_pickle, weights),
  )


def _check_crops(config, model: cascade.Cascade) -> None:
  """Raises UserError if a stage cannot be trained on its crops."""
  for name, stage in model.stages.items():
    crop = config[name].crop
    unit = 2 ** (len(stage.unet.block_out_channels) - 1)
    if crop > stage.resolution or crop % unit:
      raise errors.UserError(
        f'{name}.crop={crop} must be a multiple of {unit} and at most '
        f'{stage.resolution}, the resolution of the stage, or 0 for all of it.'
      )


def _samplers(config, model: cascade.Cascade, mesh) -> dict[str, Callable]:
  """A sampler for each stage; UserError if a schedule has too few steps."""
  base = model.stages['stage_1'].scheduler
  base.using(config.prior.sampler).times(config.prior.steps)
  return {
    name: cascade.make_sampler(stage, sampling(config, name), mesh)
    for name, stage in model.stages.items()
  }


def _check_adaptations(config, model: cascade.Cascade) -> None:
  """Raises UserError if what is to be trained is not in the network."""
  key = jax.random.key(0)
  for name in model.stages:
    if not config[name].train:
      continue
    adaptation = finetune.adaptation_of(name, config[name])
    if adaptation is not adapt.EVERYTHING:  # looking for paths takes a while
      shapes = pretrained.abstract_params(model, name)
      jax.eval_shape(adaptation.split, shapes, key)


def sampling(config, name: str) -> cascade.Sampling:
  """How the config samples a stage."""
  return cascade.Sampling(**config.sample[name].to_dict())


def batch_of(config, model: cascade.Cascade, name: str, mesh) -> int:
  """How many of the config's batch of samples go through a stage in a call."""
  size = config.sample.batch
  return size // cascade.parts(model.stages[name], mesh, size)


def _with_word(
  config, model: cascade.Cascade, identifier: identifiers.Identifier
) -> cascade.Cascade:
  """With a method that learns it, the identifier is read as its vectors."""
  if config.method != methods.INVERSION:
    return model
  first = model.encoder.vocab_size
  ids = range(first, first + config.inversion.num_vectors)
  tokenizer = model.tokenizer.with_word(identifier.ids, ids)
  return dataclasses.replace(model, tokenizer=tokenizer)


def _warn_of_toys(config, subjects: tuple[subject_lib.Subject, ...]) -> None:
  photos = [one.section['photos'] for one in subjects]
  if not config.cascade.path and any(
    not source.startswith('toybox:') for source in photos
  ):
    _log.warning(
      'the embedded cascade has never seen a photo, and draws toys; for photos '
      'there are configs/dog.py:if_m, :if_l and :if_xl'
    )


def check_settled(config, work: workdir_lib.Workdir) -> None:
  """Raises UserError if a run's parts may not be of one and the same subject.

  That is so where a change was begun and not brought to its end.
  """
  record = disk.read_json(work.root / 'config.json') or {}
  last = record.get('subject', {}).get('photos', config.subject.photos)
  if last != config.subject.photos:
    raise errors.UserError(
      f"'{work.root}' was last run with subject.photos={last}, not "
      f'{config.subject.photos}; give that, or let --mode=run make it anew'
    )
  for step in methods.parts(config):
    if work.is_begun(step):
      raise errors.UserError(
        f"'{work.root / step}' is not finished: other files may be of what it "
        'was before; --mode=run brings it to its end'
      )
  for step in methods.parts(config):
    if other := work.outdated(step):
      raise errors.UserError(
        f"'{work.root / step}' is of another {other} than is there now; "
        '--mode=run, with the options of the last one, makes it anew'
      )
