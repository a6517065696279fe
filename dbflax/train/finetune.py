"""Fine-tune one stage on the photos of a subject.

The base learns photos beside class images (prior preservation). A
super-resolution stage learns pairs (low, high) of the photos, conditioned as
the sampler conditions it. Batch n is a function of (seed, n). All of the
network is trained, as in the paper, or a part of it, or a LoRA (train.adapt).
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from dbflax import cascade, checkpoints, errors, rng, sharding
from dbflax.data import batches
from dbflax.train import adapt, loop, optimizer, step
from dbflax.train import state as state_lib


@dataclasses.dataclass(frozen=True)
class Examples:
  """Images with their prompts.

  image: [N, R, R, 3]; low: [N, r, r, 3] for super-resolution. text: [L, D] of
  the prompt that all share; or of T prompts [T, L, D], and then `says`, [N], is
  which of them each image has.
  """

  image: Float[np.ndarray, 'N R R 3']
  text: Float[Array, 'L D'] | Float[Array, 'T L D']
  low: Float[np.ndarray, 'N r r 3'] | None = None
  says: Int[np.ndarray, ' N'] | None = None

  def texts(self, index: Int[np.ndarray, ' B']) -> Float[Array, 'B L D']:
    """The prompts of some of the images."""
    if self.says is None:
      return np.broadcast_to(self.text, (len(index), *self.text.shape))
    return self.text[self.says[index]]


@dataclasses.dataclass(frozen=True)
class Prior:
  """The class images, and λ."""

  examples: Examples
  weight: float


@dataclasses.dataclass(frozen=True)
class Tuned:
  """What fine-tuning leaves, on the mesh, in float32.

  params: the whole network, a LoRA merged into it. lora: what was trained if
  it was a LoRA, with a scale of 1; else None.
  """

  params: dict
  lora: dict | None


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
  text = examples.texts(index)
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
  track: Callable | None = None,
) -> Tuned:
  """Fine-tunes a stage.

  Args:
    stage: what is trained; params: its pre-trained parameters.
    hyper: the config's section of this stage.
    instance: the photos; prior: the class images, or None to train without.
    null_text: embedding of the empty prompt.
    seed: root of all randomness of the run.
    folder: gets `checkpoints/` and logs; resumed from, if there, and if
      `fingerprint` names the inputs that it was made of.
    mesh: the devices.
    sample: called as sample(params, steps done) every hyper.sample_every;
      track as track(step, **metrics) after every step.

  Raises:
    UserError: the config asks for a part or a LoRA that the network lacks, or
      the loss is not finite.
  """
  adaptation, tx = adaptation_of(stage.name, hyper), optimizer_of(hyper)
  key = rng.key(jax.random.key(seed), f'{stage.name}/lora')
  trainable, frozen = adaptation.split(params, key)
  complete = _completion(adaptation, frozen, hyper.frozen_dtype, mesh)
  saved = checkpoints.Checkpoints(
    folder / 'checkpoints', fingerprint, hyper.keep
  )
  ema = hyper.ema_decay > 0
  state, shardings = loop.begin(saved, trainable, tx, ema=ema, mesh=mesh)
  del params, trainable, frozen  # now on the mesh, in the types wanted
  draw = functools.partial(_draw, stage.name, hyper, seed, mesh)
  programs = compile_programs(stage, hyper, mesh, shardings, complete)
  update = _update(programs, draw, instance, prior, null_text, seed)
  state = loop.run(
    stage.name,
    state,
    update,
    **loop.options_of(hyper),
    checkpoints=saved,
    log_path=folder / 'metrics.jsonl',
    images=hyper.batch * (2 if prior else 1),
    sample=sample and (lambda s, n: sample(_merge(complete, s, mesh), n)),
    track=track,
  )
  saved.close()
  lora = adaptation.lora(state_lib.best_params(state))
  return Tuned(_merge(complete, state, mesh), lora)


def optimizer_of(hyper) -> optax.GradientTransformationExtraArgs:
  """The optimizer that a stage's section of the config asks for."""
  return optimizer.build(
    kind=hyper.optimizer,
    moments_dtype=hyper.moments_dtype,
    learning_rate=hyper.learning_rate,
    warmup=hyper.warmup,
    weight_decay=hyper.weight_decay,
    clip_norm=hyper.clip_norm,
  )


def compile_programs(
  stage: cascade.Stage, hyper, mesh, shardings: state_lib.State, complete
) -> step.Programs:
  """Those of a step, as a stage's section of the config asks for them."""
  return step.compile_programs(
    stage,
    objective_of(hyper),
    optimizer_of(hyper),
    hyper.ema_decay,
    mesh,
    shardings,
    complete,
    hyper.microbatches,
  )


def _completion(adaptation, frozen: dict, dtype: str, mesh):
  """trainable → params. What is frozen lies on the mesh, but is no state."""
  frozen = adapt.store(frozen, dtype)
  frozen = sharding.put(frozen, sharding.shard_tree(frozen, mesh))
  return adapt.Completion(adaptation, frozen)


def _merge(complete, state: state_lib.State, mesh) -> dict:
  """The whole network in float32, lying as a sampler expects it."""
  params = complete(state_lib.best_params(state))
  params = jax.tree.map(lambda a: a.astype(jnp.float32), params)
  return sharding.put(params, sharding.shard_tree(params, mesh))


def adaptation_of(name: str, hyper) -> adapt.Adaptation:
  """What of the stage `name` its section of the config has trained.

  Raises:
    UserError: the section contradicts itself.
  """
  if hyper.frozen_dtype != 'float32' and not (
    hyper.lora.rank or hyper.trainable
  ):
    raise errors.UserError(
      f'{name}.frozen_dtype={hyper.frozen_dtype!r}, but nothing is frozen; set '
      f'{name}.lora.rank or {name}.trainable, or leave it float32.'
    )
  return adapt.build(
    trainable=hyper.trainable,
    rank=hyper.lora.rank,
    alpha=hyper.lora.alpha,
    targets=hyper.lora.targets,
    field=name,
  )


def objective_of(hyper) -> step.Objective:
  """The loss that a stage's section of the config asks for."""
  return step.Objective(
    hyper.weighting,
    (hyper.noise_level,) * 2,
    vlb_weight=hyper.vlb_weight,
  )


def _draw(
  name, hyper, seed, mesh, examples: Examples, stream: str, number: int
):
  """Batch `number` of a stream of the stage `name`, on the mesh."""
  drawn = batch(
    examples,
    f'{name}/{stream}',
    seed=seed,
    number=number,
    size=hyper.batch,
    crop=hyper.crop,
    flip=hyper.flip,
  )
  return sharding.put_batch(drawn, mesh)


def _update(programs, draw, instance, prior, null_text, seed) -> loop.Update:
  """(state, step) → (state, metrics): the step that the prior calls for.

  `draw` is (examples, stream, number) → batch.
  """
  root = jax.random.key(seed)
  # λ = 0 is plain fine-tuning, and costs what plain fine-tuning costs.
  if prior is None or prior.weight == 0:
    plain = step.make_denoising_step(programs)
    return lambda state, number: plain(
      state, draw(instance, 'instance', number), null_text, root
    )
  with_prior = step.make_prior_preservation_step(programs)
  return lambda state, number: with_prior(
    state,
    draw(instance, 'instance', number),
    draw(prior.examples, 'prior', number),
    np.float32(prior.weight),
    null_text,
    root,
  )
