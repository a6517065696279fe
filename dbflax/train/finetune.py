"""Fine-tune one stage on the photos of a subject.

The base learns photos beside class images (prior preservation). A
super-resolution stage learns pairs (low, high) of the photos, conditioned as
the sampler conditions it. Batch n is a function of (seed, n).
"""

import dataclasses
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import cascade, checkpoints, rng, sharding
from dbflax.data import batches
from dbflax.train import loop, optimizer, step
from dbflax.train import state as state_lib


@dataclasses.dataclass(frozen=True)
class Examples:
  """Images that share one prompt.

  image: [N, R, R, 3]; low: [N, r, r, 3] for super-resolution; text: [L, D].
  """

  image: Float[np.ndarray, 'N R R 3']
  text: Float[Array, 'L D']
  low: Float[np.ndarray, 'N r r 3'] | None = None


@dataclasses.dataclass(frozen=True)
class Prior:
  """The class images, and λ."""

  examples: Examples
  weight: float


def batch(
  examples: Examples,
  name: str,
  *,
  seed: int,
  number: int,
  size: int,
  crop: int = 0,
  flip: bool = False,
) -> step.Batch:
  """Batch `number` of the stream `name`: images, crops and mirrorings.

  Args:
    examples: what to draw from.
    name: the random stream, such as 'stage_2/instance'.
    seed: root of the stream.
    number: the training step.
    size: examples in a batch.
    crop: side of the crops; 0 is the whole image.
    flip: mirror half of the images.
  """
  index = batches.indices(seed, name, number, len(examples.image), size)
  generator = rng.numpy(seed, f'{name}/augment', number)
  image = examples.image[index]
  low = None if examples.low is None else examples.low[index]
  if flip:
    mirror = generator.random(size) < 0.5
    turn = lambda a: np.where(mirror[:, None, None, None], a[:, :, ::-1], a)
    image, low = turn(image), None if low is None else turn(low)
  crop = crop or image.shape[1]
  corner = generator.integers(0, image.shape[1] - crop + 1, (size, 2))
  cut = lambda a, c: a[c[0] : c[0] + crop, c[1] : c[1] + crop]
  image = np.stack([cut(a, c) for a, c in zip(image, corner, strict=True)])
  text = jnp.broadcast_to(examples.text, (size, *examples.text.shape))
  if low is None:
    return step.Batch(image, text)
  return step.Batch(image, text, low, corner.astype(np.int32))


def run(
  stage: cascade.Stage,
  params: dict,
  hyper,
  instance: Examples,
  prior: Prior | None,
  null_text: Float[Array, 'L D'],
  *,
  seed: int,
  folder: pathlib.Path,
  fingerprint: str,
  mesh: jax.sharding.Mesh,
  sample: Callable | None = None,
) -> dict:
  """Fine-tunes a stage; returns its parameters (host).

  Args:
    stage: what is trained; params: its pre-trained parameters (host).
    hyper: the config's section of this stage.
    instance: the photos.
    prior: the class images, or None to train without prior preservation.
    null_text: embedding of the empty prompt.
    seed: root of all randomness of the run.
    folder: gets `checkpoints/` and `metrics.jsonl`; resumed from, if there.
    fingerprint: names the inputs, so that no foreign checkpoint is resumed.
    mesh: the devices.
    sample: called as sample(params, steps done) every hyper.sample_every.
  """
  tx = optimizer.build(
    learning_rate=hyper.learning_rate,
    steps=hyper.steps,
    warmup=hyper.warmup,
    weight_decay=hyper.weight_decay,
    clip_norm=hyper.clip_norm,
  )
  create = lambda p: state_lib.create(p, tx, ema=hyper.ema_decay > 0)
  shardings = sharding.shard_tree(jax.eval_shape(create, params), mesh)
  saved = checkpoints.Checkpoints(
    folder / 'checkpoints', fingerprint, hyper.keep
  )
  state = loop.restore(saved, jax.tree_util.Partial(create, params), shardings)
  update = _update(
    stage, hyper, tx, instance, prior, null_text, seed, mesh, shardings
  )
  state = loop.run(
    stage.name,
    state,
    update,
    steps=hyper.steps,
    checkpoints=saved,
    checkpoint_every=hyper.checkpoint_every,
    log_path=folder / 'metrics.jsonl',
    sample_every=hyper.sample_every,
    sample=sample and (lambda s, n: sample(state_lib.best_params(s), n)),
  )
  saved.close()
  return loop.host(state_lib.best_params(state))


def _update(
  stage, hyper, tx, instance, prior, null_text, seed, mesh, shardings
) -> loop.Update:
  """(state, step) → (state, metrics): the step that the prior calls for."""
  root = jax.random.key(seed)
  objective = step.Objective(
    hyper.weighting,
    (hyper.noise_level,) * 2,
    vlb_weight=hyper.vlb_weight,
  )
  args = (stage, objective, tx, hyper.ema_decay, mesh, shardings)

  def draw(examples, stream, number):
    drawn = batch(
      examples,
      f'{stage.name}/{stream}',
      seed=seed,
      number=number,
      size=hyper.batch,
      crop=hyper.crop,
      flip=hyper.flip,
    )
    return sharding.put_batch(drawn, mesh)

  # λ = 0 is plain fine-tuning, and costs what plain fine-tuning costs.
  if prior is None or prior.weight == 0:
    plain = step.make_denoising_step(*args)
    return lambda state, number: plain(
      state, draw(instance, 'instance', number), null_text, root
    )
  with_prior = step.make_prior_preservation_step(*args)
  return lambda state, number: with_prior(
    state,
    draw(instance, 'instance', number),
    draw(prior.examples, 'prior', number),
    np.float32(prior.weight),
    null_text,
    root,
  )
