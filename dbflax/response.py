"""How much the frozen base responds to an identifier, before any training.

The paper takes any rare token (section 3.2). But prior preservation holds the
prompt of the class images where it is, and likely with it a prompt that the
base can hardly tell from it. With the embedded cascade, what a rare token
changes in the base's predictions of the photos goes with how well it is then
learnt (docs/tuning.md).
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import cascade, rng
from dbflax import job as job_lib
from dbflax.diffusion import loss, process
from dbflax.text import identifiers, prompts

_TIMES = 8  # over the whole schedule


def of_identifiers(
  job: job_lib.Job, found: Sequence[identifiers.Identifier]
) -> list[float]:
  """The response to each, of the run's photos, its class noun and class prompt.

  What training says of the first subject's photos, such as "a qsd dog", is
  compared with what it says of class images.
  """
  said = [f'a {prompts.subject(one.text, job.noun)}' for one in found]
  plain, *texts = job.embed([job.class_prompts['prior'], *said])
  first, stage = job.subjects[0], job.model.stages['stage_1']
  # bfloat16 would round most of the changes away.
  precise = stage.unet.clone(dtype=jnp.float32)
  return of_texts(
    dataclasses.replace(stage, unet=precise),
    job.config.stage_1.weighting,
    job.load_params('stage_1'),
    first.photos[stage.resolution][: first.count],
    texts,
    plain,
    seed=job.config.seed,
  )


def of_texts(
  stage: cascade.Stage,
  weighting: str,
  params: dict,
  images: Float[np.ndarray, 'N R R 3'],
  texts: Sequence[Float[Array, 'L D']],
  plain: Float[Array, 'L D'],
  *,
  seed: int,
) -> list[float]:
  """sqrt of the mean of w(t) ‖f(x_t, t, text) − f(x_t, t, plain)‖² / size.

  The mean is over images and over times evenly spread over the schedule, with
  the same noise for all texts: 0 is a text that the stage does not tell from
  the plain one. w(t) is the training loss's own (`loss.weight`).

  Args:
    stage: the base, with its parameters.
    images: in [-1, 1]; x_t is made of them.
    texts: embeddings to compare with the `plain` one.
    seed: of the noise.
  """
  step = stage.schedule.num_steps / _TIMES
  times = jnp.floor((jnp.arange(_TIMES) + 0.5) * step)
  key = rng.key(jax.random.key(seed), 'response')
  eps = rng.normal(key, (_TIMES, *images.shape))

  @jax.jit
  def answers(params, text):
    def at(drawn):
      t, eps = drawn
      t = jnp.full(len(images), t)
      x_t = process.add_noise(stage.schedule, images, eps, t)
      said = jnp.broadcast_to(text, (len(images), *text.shape))
      output = cascade.network(stage, params, x_t, t, said, None)
      kind, channels = stage.prediction_type, images.shape[-1]
      weight = loss.weight(stage.schedule, kind, weighting, t)
      scale = jnp.sqrt(process.per_image(weight, x_t))
      return scale * output[..., :channels]

    return jax.lax.map(at, (times, eps))

  before = answers(params, plain)
  changes = (answers(params, text) - before for text in texts)
  return [float(jnp.sqrt(jnp.square(change).mean())) for change in changes]
