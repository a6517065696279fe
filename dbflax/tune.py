"""Fine-tuning as a step of a run: photos, class images → <workdir>/<stage>.

The folder has the whole `unet/`, so that whatever comes next need not know what
of it was trained, and `lora/` if that was; a log, checkpoints and small grids.
"""

import functools
from collections.abc import Callable

import numpy as np

from dbflax import disk, inputs, preview
from dbflax import job as job_lib
from dbflax import prior as prior_lib
from dbflax.train import finetune
from dbflax.weights import diffusers, lora


def learn(job: job_lib.Job, name: str, track: Callable | None = None) -> None:
  """Brings one stage up to date; `track` gets the losses."""
  config, made_of = job.config, inputs.train(job, name)

  def build(folder):
    instance = photo_examples(job, name)
    [null_text] = job.embed([''])
    tuned = finetune.run(
      job.model.stages[name],
      job.load_params(name),
      config[name],
      instance,
      class_examples(job) if inputs.learns_prior(job, name) else None,
      null_text,
      seed=config.seed,
      folder=folder,
      fingerprint=disk.fingerprint(made_of),
      mesh=job.mesh,
      sample=functools.partial(
        preview.draw, job, name, instance, null_text, folder
      ),
      track=track,
    )
    diffusers.write_params(folder / 'unet', tuned.params, dtype=np.float32)
    if tuned.lora is not None:
      lora.write(folder / 'lora', tuned.lora)

  job.step(name, made_of, build)


def photo_examples(job: job_lib.Job, name: str) -> finetune.Examples:
  """The photos as a stage learns them, each with its prompt."""
  image, low = inputs.pair(job, name)
  return _examples(job, image, inputs.instance_prompts(job), low)


def class_examples(job: job_lib.Job) -> finetune.Prior:
  """The images of every class, each with its class's prompt."""
  count, prompts_of = job.config.prior.count, job.class_prompts
  drawn = [prior_lib.load(job.work.root / name, count) for name in prompts_of]
  said = np.repeat(list(prompts_of.values()), count).tolist()
  examples = _examples(job, np.concatenate(drawn), said)
  return finetune.Prior(examples, job.config.prior.weight)


def _examples(job, image, prompts, low=None) -> finetune.Examples:
  """Images, each with its prompt."""
  different = list(dict.fromkeys(prompts))
  text = job.embed(different)
  if len(different) == 1:
    return finetune.Examples(image, text[0], low)
  says = np.array([different.index(prompt) for prompt in prompts])
  return finetune.Examples(image, text, low, says)
