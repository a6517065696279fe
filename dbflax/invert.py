"""Textual Inversion as a step of a run: photos → <workdir>/inversion.

The folder has the vectors (`weights.vectors`), and a log, checkpoints and
grids as a fine-tuned stage has. Super-resolution stages learn nothing: they
read the same embedding.
"""

import pathlib
from collections.abc import Callable

import numpy as np

from dbflax import disk, hosts, inputs, methods, pretrained, preview
from dbflax import job as job_lib
from dbflax.text import embed
from dbflax.train import finetune, inversion
from dbflax.weights import vectors as vectors_lib


def learn(job: job_lib.Job, name: str, track: Callable | None = None) -> None:
  """Brings the vectors up to date; `track` gets the losses."""
  made_of, stage = inputs.train(job, name), job.model.stages['stage_1']
  model, hyper = job.model, job.config.inversion

  def build(folder):
    frozen = inversion.Frozen(
      # Where the U-Net lies, since the gradient goes through both.
      pretrained.load_params(
        model, 'text_encoder', job.mesh, dtype=model.encoder.dtype
      ),
      job.load_params(stage.name),
    )
    table = frozen.text_encoder['shared']['embedding']
    learned = inversion.run(
      stage,
      model.encoder,
      frozen,
      inversion.start(model.tokenizer, table, job.noun, hyper.num_vectors),
      _examples(job),
      hyper,
      finetune.objective_of(job.config.stage_1),
      seed=job.config.seed,
      folder=folder,
      fingerprint=disk.fingerprint(made_of),
      mesh=job.mesh,
      sample=lambda v, done: _preview(job, frozen, folder, v, done),
      track=track,
    )
    if hosts.is_first():
      vectors_lib.write(folder, job.identifier.text, learned)

  job.step(name, made_of, build)


def _examples(job: job_lib.Job) -> inversion.Examples:
  photos, _ = inputs.pair(job, 'stage_1')
  prompts = job.fill(job.config.inversion.templates)
  length = job.config.text.max_length
  return inversion.examples(photos, job.model.tokenizer, prompts, length)


def _preview(
  job: job_lib.Job,
  frozen: inversion.Frozen,
  folder: pathlib.Path,
  vectors,
  done: int,
) -> None:
  """A grid of the first training prompt, as the vectors are by now."""
  [prompt] = job.fill(job.config.inversion.templates[:1])
  text, null_text = embed.embed(
    job.model.encoder,
    frozen.text_encoder,
    job.model.tokenizer,
    [prompt, ''],
    max_length=job.config.text.max_length,
    vectors=vectors,
  )
  nothing = finetune.Examples(np.zeros((0, 0, 0, 3), np.float32), text)
  preview.draw(job, methods.STEP, nothing, null_text, folder, frozen.unet, done)
