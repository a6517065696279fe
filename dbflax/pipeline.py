"""The steps of a run, in order; each is skipped if its inputs are unchanged.

    photos → identifier → text embeddings → class images → stage_1 → stage_2 →
    stage_3 → samples → report

Baselines (`methods`) have `inversion`, or nothing, in place of what trains.
Every public function is a mode of `dbflax.main` and takes (config, workdir).
"""

import functools
import logging
import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np

from dbflax import (
  ahead,
  cascade,
  disk,
  errors,
  hosts,
  inputs,
  invert,
  methods,
  pretrained,
  response,
  scores,
  tune,
)
from dbflax import draw as draw_lib
from dbflax import export as export_lib
from dbflax import job as job_lib
from dbflax import prior as prior_lib
from dbflax import report as report_lib
from dbflax import sample as sample_lib
from dbflax import subject as subject_lib
from dbflax import workdir as workdir_lib
from dbflax.data import images
from dbflax.plan import planner, table
from dbflax.text import identifiers, prompts
from dbflax.train import measure, tracking
from dbflax.train import pretrain as pretrain_lib
from dbflax.weights import vectors

_log = logging.getLogger(__name__)
_OF_TRAINING = {
  methods.DREAMBOOTH: 'Fine-tuned stages: {root}',
  methods.INVERSION: f'Learned vectors: {{root}}/{methods.STEP}',
  methods.PROMPT_ONLY: "Nothing to train: method 'prompt_only' draws with the "
  'cascade as it is; --mode=sample does that.',
}


def run(config, work: workdir_lib.Workdir) -> None:
  """The whole job, from photos to the report."""
  job = _trained(config, work)
  _sample(job)
  _report(config, work)
  _summary(job)


def identifier(config, work: workdir_lib.Workdir) -> None:
  """Prints candidates for the identifier with their ids.

  It writes nothing; or, if it compares them, the embeddings of their prompts.
  """
  tokenizer = job_lib.open_cascade(config, stages=()).tokenizer
  compared, noun = config.identifier.compare, config.subject.class_noun
  found = subject_lib.find_identifiers(config, tokenizer, compared or 10, noun)
  responses = dict.fromkeys(found)
  if compared:
    responses = _by_response(config, work, found)
  for one, value in responses.items():
    told = '' if value is None else f'response {value:.5f}  '
    pieces = ' '.join(tokenizer.piece(i) for i in one.ids)
    print(f'{one.text:12s} {told}ids {list(one.ids)}  pieces {pieces}')
  if compared:
    best = next(iter(responses)).text
    print(f'Likely learnt best: --config.subject.identifier={best}')


def _by_response(
  config, work: workdir_lib.Workdir, found: Sequence[identifiers.Identifier]
) -> dict[identifiers.Identifier, float]:
  """The run's own identifier and others, the base's strongest response first.

  Raises:
    UserError: the method learns what its word means.
  """
  if config.method != methods.DREAMBOOTH:
    raise errors.UserError(
      f'--config.identifier.compare={config.identifier.compare} is not for '
      f"method='{config.method}', which learns what its word is to the base; "
      'give 0'
    )
  job = job_lib.start(config, work)
  # No more: what config.json says is a run's.
  work.claim()
  each = list(dict.fromkeys((job.identifier, *found)))
  responses = response.of_identifiers(job, each)
  by_response = sorted(zip(responses, each, strict=True), reverse=True)
  return {one: value for value, one in by_response}


def prior(config, work: workdir_lib.Workdir) -> None:
  """Only the class images."""
  job = _start(config, work)
  _draw_prior(job)
  print(f'Photos, as they are learned from: {work.root / "photos"}')
  if job.uses_prior:
    print(f'Class images: {work.prior}')


def train(config, work: workdir_lib.Workdir) -> None:
  """Class images and fine-tuning, without samples and report."""
  _trained(config, work)
  print(_OF_TRAINING[config.method].format(root=work.root))


def sample(config, work: workdir_lib.Workdir) -> None:
  """Draws the prompts; trains first what is not trained yet."""
  _sample(_trained(config, work))
  print(f'Samples: {work.samples}')


def draw(config, work: workdir_lib.Workdir) -> None:
  """Draws each prompt of the standard input at once; trains what never was.

  Weights are read and samplers compiled for the first one, and then kept. The
  pictures of drawing n are those of the seed `config.seed` + n.
  """
  job = _trained(config, work, anew=False)
  tuned = _tuned(job)
  load = functools.cache(lambda name: job.load_params(name, tuned[name]))

  def one(folder, number, template):
    [prompt] = job.fill([template])
    if not any(words in prompt for words in job.words):
      _log.warning('this prompt does not say {subject}, or %s', job.subject)
    seed = (config.seed + number) % 2**31
    _draw(job, folder, [template], load, seed)

  if sys.stdin.isatty():
    print(f'Prompts, one a line, such as: a photo of a {job.subject}')
  draw_lib.answer(work.drawn, sys.stdin, one, len(config.others))


def evaluate(config, work: workdir_lib.Workdir) -> None:
  """Scores the samples, or the pictures in `evaluate.images`.

  A report that is there already shows the scores of the samples from then on.
  """
  if not config.evaluate.images:
    job_lib.check_settled(config, work)
  scores.run(config, work)
  if work.is_done('report') and work.is_done('samples'):
    report(config, work)


def export(config, work: workdir_lib.Workdir) -> None:
  """Writes what was trained for diffusers; trains what never was."""
  _export(_trained(config, work, anew=False))
  print(f'Export: {work.export}')


def report(config, work: workdir_lib.Workdir) -> None:
  """Writes the report of a finished run again."""
  job_lib.check_settled(config, work)
  for step in (*methods.parts(config), 'evaluate'):
    work.check_whole(step)
  _report(config, work)
  print(f'Report: {work.report / "index.html"}')


def plan(config, work: workdir_lib.Workdir) -> None:
  """Prints what the run needs of a slice, and writes it to plan.json."""
  if config.plan.topology:
    # A slice elsewhere is planned without the devices here.
    jax.config.update('jax_platforms', 'cpu')
  work.claim()
  made = planner.make(config, work.root / 'plan')
  disk.write_json(work.root / 'plan.json', table.data(made))
  print(table.render(made))
  print(f'Plan: {work.root / "plan.json"}')


def pretrain(config, work: workdir_lib.Workdir) -> None:
  """Trains or measures one part of a cascade (configs/toybox.py)."""
  work.claim()
  if config.target == 'measure':
    folder = pretrained.resolve(config.out)
    measure.run(config, folder, work.root / 'measure')
    return
  folder = pathlib.Path(config.out or work.root / 'cascade')
  if config.target == 'tiny':
    pretrain_lib.initialise(config, folder)
  else:
    pretrain_lib.run(config, folder, work.root / config.target)
  print(f'Cascade: {folder}')


def dry_run(config, work: workdir_lib.Workdir, mode: str) -> None:
  """Prints what a mode would do of its steps, and why; writes nothing."""
  job = job_lib.start(config, work)
  steps = inputs.of_mode(job, mode)
  states = {name: work.state(name, made_of) for name, made_of in steps.items()}
  if mode == 'run':
    stale = [
      name for name, state in states.items() if state != workdir_lib.DONE
    ]
    if not stale:
      states['report'] = _report_state(job)
    elif work.is_done('report'):
      states['report'] = f'redone, after {stale[0]}'
    else:
      states['report'] = workdir_lib.NEW
  for name, state in states.items():
    print(f'{name:12s} {"new" if state == workdir_lib.NEW else state}')


def _start(config, work: workdir_lib.Workdir, anew: bool = True) -> job_lib.Job:
  """The job, with its photos, identifier and embeddings written down."""
  job = job_lib.start(config, work)
  job.claim(anew)
  if not anew:  # now that what lies in a bucket is here
    _check_kept(job)
  _write_photos(job)
  _write_identifier(job)
  if config.method != methods.INVERSION:  # There a word is yet to be learned.
    # All at once: the text encoder is loaded a single time.
    job.embed(job.texts())
  return job


def _check_kept(job: job_lib.Job) -> None:
  """Raises UserError if what is trained would be trained anew."""
  made_by = disk.read_json(job.work.root / 'config.json') or {}
  for name in methods.trained(job.config):
    state = job.work.state(name, inputs.train(job, name))
    if job.work.is_done(name) and state != workdir_lib.DONE:
      raise errors.UserError(
        f'{name} would be {state}, and its weights lost: give the options that '
        f'it was trained with ({made_by.get("command", "config.json")}), or '
        'train anew with --mode=train'
      )


def _trained(
  config, work: workdir_lib.Workdir, anew: bool = True
) -> job_lib.Job:
  """The job, with its class images drawn and all trained that is trained.

  `anew`: what was trained of other inputs, too; else that is a UserError.
  """
  tracking.check(config.log.wandb)
  job = _start(config, work, anew)
  with ahead.compiling(job) as busy:
    _draw_prior(busy)
    _learn(busy)
  return job


def _learn(job: job_lib.Job) -> None:
  """All that the method trains, and its losses to who keeps track of them."""
  options, about = job.config.log, job.config.to_dict()
  with tracking.Tracker(
    options.wandb, job.work.root, options.project, about
  ) as tracker:
    for name in methods.trained(job.config):
      learn = invert.learn if name == methods.STEP else tune.learn
      learn(job, name, tracker.of(name))


def _write_photos(job: job_lib.Job) -> None:
  """Photos of the first subject, and a folder for each further one."""

  def build(folder):
    for number, one in enumerate(job.subjects, 1):
      at = workdir_lib.photos_of(folder, number)
      *lower, largest = sorted(one.photos)
      _write_pngs(at, images.to_uint8(one.photos[largest]))
      for size in lower:
        _write_pngs(at / str(size), images.to_uint8(one.photos[size]))
      _write_pngs(at / 'framed', one.framed)
      if any(one.captions):
        disk.write_json(at / 'captions.json', one.captions)

  job.work.step('photos', inputs.photos(job), build)


def _write_pngs(folder: pathlib.Path, pictures) -> None:
  for n, picture in enumerate(pictures):
    images.save_png(folder / f'{n:02d}.png', picture)


def _write_identifier(job: job_lib.Job) -> None:
  made_of = inputs.identifier(job)
  build = lambda folder: disk.write_json(folder / 'identifier.json', made_of)
  job.work.step('identifier', made_of, build)
  _log.info('prompts say: %s', ', '.join(job.words))


def _draw_prior(job: job_lib.Job) -> None:
  """Class images by the frozen base stage (paper, section 3.3)."""
  if not job.uses_prior:
    _log.info('prior: not needed by this method, weight or choice of stages')
    return
  for name in job.class_prompts:
    draw = functools.partial(_draw_class, job, name)
    job.step(name, inputs.prior(job, name), draw)


def _draw_class(job: job_lib.Job, name: str, folder: pathlib.Path) -> None:
  options, stage = job.config.prior, job.model.stages['stage_1']
  text, null_text = job.embed([job.class_prompts[name], ''])
  sampling = cascade.Sampling(
    options.sampler, options.steps, options.guidance_scale
  )
  prior_lib.draw(
    folder,
    cascade.make_sampler(stage, sampling, job.mesh),
    job.load_params(stage.name),
    text,
    null_text,
    seed=job.config.seed,
    count=options.count,
    batch=options.batch,
    stream=name,
  )


def _tuned(job: job_lib.Job) -> dict[str, pathlib.Path | None]:
  """Stage → the folder of its fine-tuned weights; None if it has none."""
  tuned = methods.trained(job.config)
  return {
    name: job.work.stage(name) / 'unet' if name in tuned else None
    for name in job.model.stages
  }


def _export(job: job_lib.Job) -> None:
  """The cascade that was trained, in the layout of diffusers."""
  config = job.config
  sampling = {name: job_lib.sampling(config, name) for name in job.model.stages}
  learned, (words, *others) = None, job.words
  if config.method == methods.INVERSION:
    learned = job.work.stage(methods.STEP)
    count = config.inversion.num_vectors
    words = ' '.join(vectors.tokens(words, count))
  card = export_lib.card(
    words,
    job.named_photos,
    prompts.fill_subject(
      config.sample.prompts[0], words, job.noun, **job.others
    ),
    sampling,
    learned=learned is not None,
    others=others,
  )

  def build(folder):
    options = {**config.export.to_dict(), 'learned': learned}
    export_lib.write(folder, job.model, _tuned(job), **options)
    disk.atomic_write(folder / 'README.md', card.encode())

  job.step('export', inputs.export(job), build, together=False)


def _sample(job: job_lib.Job) -> None:
  """Every prompt through all stages."""
  tuned, templates = _tuned(job), job.config.sample.prompts
  load = lambda name: job.load_params(name, tuned[name])
  build = lambda folder: _draw(job, folder, templates, load, job.config.seed)
  job.step('samples', inputs.samples(job), build)


def _draw(job: job_lib.Job, folder, templates, load, seed: int) -> None:
  """The images of some prompts, and samples.json."""
  prompts, count = job.fill(templates), job.config.sample.images_per_prompt
  *text, null_text = job.embed([*prompts, ''])
  sample_lib.draw(
    folder,
    job.samplers,
    load,
    np.repeat(np.stack(text), count, axis=0),
    null_text,
    files=sample_lib.file_names(prompts, count),
    seed=seed,
    batches=job.batches(),
  )
  if hosts.is_first():
    names = list(job.model.stages)
    sample_lib.write_index(folder, names, templates, prompts, count)


def _report(config, work: workdir_lib.Workdir) -> None:
  """report/index.html, from the files of the steps before."""
  if not work.is_done('samples'):
    raise errors.UserError(
      f'{work.root} has no finished samples to report on; run --mode=run first.'
    )
  build = lambda folder: report_lib.write(folder, work.root)
  work.step('report', _report_inputs(config, work), build)


def _report_inputs(config, work: workdir_lib.Workdir) -> inputs.Inputs:
  made = {
    name: work.root / name / disk.MANIFEST
    for name in (*methods.parts(config), 'evaluate')
    if work.is_done(name)
  }
  config = disk.read_json(work.root / 'config.json')
  return {**made, 'config': config, 'code': inputs.REPORT}


def _report_state(job: job_lib.Job) -> str:
  """What a run would do of its report, if all its other steps are done."""
  if disk.read_json(job.work.root / 'config.json') != job.record():
    return 'redone, config changed'
  return job.work.state('report', _report_inputs(job.config, job.work))


def _summary(job: job_lib.Job) -> None:
  work, trained = job.work, methods.trained(job.config)
  times = work.times().items()
  spent = ', '.join(f'{name} {seconds:.0f} s' for name, seconds in times)
  means = 'now means' if trained else 'is all that was said of'
  subjects = '\n'.join(
    f"'{words}' {means} {one.section['photos']}."
    for words, one in zip(job.words, job.subjects, strict=True)
  )
  weights = ', '.join(str(work.stage(name)) for name in trained)
  print(f"""
{subjects}
  report   {work.report / 'index.html'}
  samples  {work.samples}
  more     {work.command} --mode=draw
  weights  {weights or 'those of the cascade'}
  times    {spent}
""")
