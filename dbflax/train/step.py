"""One training step of one stage, pure and sharded.

    plain:              L = L(instance)
    prior preservation: L = L(instance) + λ L(class images)     (paper, eq. 2)

The class images' gradient is a sharded step of its own, and draws its own t',
ε' (and noise level) from its own random stream. It is added to that of the
photos, in its place, so that only one takes memory; a CPU of several cores
takes both at once. Losses are logged apart. A batch may go through the network
in microbatches, one after the other, and on such a CPU one of large pictures
goes in two halves at once; random numbers are drawn for the whole batch, so the
gradient is the same.
Gradients are taken of what the state holds: the network's parameters, or the
trainable part that `complete` makes the whole network of (train.adapt).
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from dbflax import beside, cascade, jitted, rng, sharding
from dbflax.diffusion import loss as loss_lib
from dbflax.diffusion import process
from dbflax.train import adapt
from dbflax.train import optimizer as optimizer_lib
from dbflax.train import state as state_lib

Metrics = dict[str, Float[Array, '']]
# How many programs of a kind are kept for whoever asks for them again.
KEPT = 32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
  """Training examples: an image, or a crop of it, and what it is given.

  image: [B, h, w, 3] in [-1, 1]; text: [B, L, D].
  Super-resolution only: low [B, r, r, 3], the whole lower image; corner
  [B, 2] (y, x), where in the stage's resolution the crop `image` was cut.
  """

  image: Float[Array, 'B h w C']
  text: Float[Array, 'B L D']
  low: Float[Array, 'B r r C'] | None = None
  corner: Int[Array, 'B 2'] | None = None


@dataclasses.dataclass(frozen=True)
class Objective:
  """What is minimised, besides the schedule that the stage brings."""

  weighting: str = 'simple'  # w(t): 'simple' or 'min_snr'
  noise_level: tuple[float, float] = (0.0, 0.0)  # SR: drawn between the two
  noise_power: float = 1.0  # 1 draws uniformly, larger ones more low levels
  text_drop: float = 0.0  # share of examples that see the empty prompt
  vlb_weight: float = 1.0  # of the learned variance's own term


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Draws:
  """The random numbers that a batch is trained with.

  t: schedule steps; eps: noise of the image; drop: who sees the empty prompt.
  Super-resolution only: level and noise of the lower image.
  """

  t: Float[Array, ' B']
  eps: Float[Array, 'B h w C']
  drop: Bool[Array, ' B']
  level: Float[Array, ' B'] | None = None
  lowres: Float[Array, 'B h w C'] | None = None


def draw(
  stage: cascade.Stage, objective: Objective, batch: Batch, key: Array
) -> Draws:
  """Each number from a stream of its own below `key`."""
  b = batch.image.shape[0]
  t = jax.random.randint(rng.key(key, 't'), (b,), 0, stage.schedule.num_steps)
  t = t.astype(jnp.float32)
  eps = rng.normal(rng.key(key, 'eps'), batch.image.shape)
  drop = jax.random.bernoulli(rng.key(key, 'drop'), objective.text_drop, (b,))
  if not stage.is_super_resolution:
    return Draws(t, eps, drop)
  low, high = objective.noise_level
  share = jax.random.uniform(rng.key(key, 'level'), (b,))
  level = low + (high - low) * share**objective.noise_power
  lowres = rng.normal(rng.key(key, 'lowres'), batch.image.shape)
  return Draws(t, eps, drop, level, lowres)


def loss(
  stage: cascade.Stage,
  objective: Objective,
  params: dict,
  batch: Batch,
  null_text: Float[Array, 'L D'],
  draws: Draws,
) -> tuple[Float[Array, ''], Metrics]:
  """Mean loss of a batch, and its parts.

  Raises nothing: a non-finite loss is the loop's business.
  """
  text = jnp.where(draws.drop[:, None, None], null_text, batch.text)
  x_t = process.add_noise(stage.schedule, batch.image, draws.eps, draws.t)
  conditioning = _condition(stage, batch, draws)
  output = cascade.network(stage, params, x_t, draws.t, text, conditioning)
  parts = loss_lib.denoising(
    stage.schedule,
    stage.prediction_type,
    objective.weighting,
    output,
    batch.image,
    draws.eps,
    draws.t,
  )
  parts = {name: value.mean() for name, value in parts.items()}
  return parts['mse'] + objective.vlb_weight * parts['vlb'], parts


def _condition(stage, batch, draws) -> cascade.Conditioning | None:
  """The lower image exactly as the sampler would present it."""
  if not stage.is_super_resolution:
    return None
  window = (batch.corner[:, 0], batch.corner[:, 1], batch.image.shape[1])
  return cascade.condition(stage, batch.low, draws.lowres, draws.level, window)


@dataclasses.dataclass(frozen=True)
class Programs:
  """The compiled parts that both kinds of step are put together from.

  Because a plain step and a prior-preservation step take the photos' gradient
  by the very same program, λ = 0 is plain fine-tuning to the last bit. Each
  part is made once for all that it depends on, so that runs of one process
  compile it once.
  `complete` makes the network's parameters of what the state holds.
  """

  stage: cascade.Stage
  mesh: Mesh
  microbatches: int
  complete: adapt.Completion
  # (complete, trainable, batch, null_text, key, weight[, half[, others]]) →
  # (grads, parts)
  gradient: Callable
  apply: Callable  # (state, grads[, others to add]) → (state, gradient norm)


def compile_programs(
  stage: cascade.Stage,
  objective: Objective,
  optimizer: optax.GradientTransformationExtraArgs,
  ema_decay: float,
  mesh: Mesh,
  shardings: state_lib.State,
  complete: adapt.Completion = adapt.WHOLE,
  microbatches: int = 1,
) -> Programs:
  """Gradients and the new state lie as the old one; buffers are donated.

  A batch goes through the network in so many `microbatches`, which divide it.
  """
  params, state = map(sharding.as_key, (shardings.params, shardings))
  gradient = _gradient(stage, objective, mesh, params, microbatches)
  apply = _apply(optimizer, ema_decay, mesh, state)
  return Programs(stage, mesh, microbatches, complete, gradient, apply)


@functools.lru_cache(KEPT)
def _gradient(stage, objective, mesh, shardings: tuple, microbatches: int):
  """(complete, trainable, batch, null_text, key, weight[, half[, others]]) → …

  Makes (grads, parts): the gradient of weight × the loss, and the loss's parts,
  of the whole batch or, where half is 0 or 1, of that half. To `others`, which
  are donated, it is added.
  """

  def gradient(
    complete, trainable, batch, null_text, key, weight, half=None, others=None
  ):
    def whole(part, batch, draws):
      params = complete(part)
      total, terms = loss(stage, objective, params, batch, null_text, draws)
      return weight * total, terms

    grad = functools.partial(jax.grad(whole, has_aux=True), trainable)
    examples = (batch, draw(stage, objective, batch, key))
    if half is not None:
      halves = sharding.microbatches(examples, 2, mesh)
      examples = jax.tree.map(lambda a: a[half], halves)
    if microbatches == 1:
      grads, terms = grad(*examples)
    else:
      zeros = jax.tree.map(jnp.zeros_like, trainable)
      cut = sharding.microbatches(examples, microbatches, mesh)
      grads, terms = _mean(grad, zeros, cut)
    if others is not None:
      grads = jax.tree.map(jnp.add, others, grads)
    return grads, terms

  return jitted.Jitted(
    gradient,
    out_shardings=(sharding.from_key(shardings), sharding.replicated(mesh)),
    donate_argnames='others',
    compiler_options=_schedule(stage, mesh),
  )


def _schedule(stage, mesh) -> dict[str, str]:
  """XLA's options for a gradient that computes some things again.

  Else XLA's CPU backend begins whatever it can, to keep all cores busy, and so
  computes early, for memory to hold, what was put off to take none.
  """
  if stage.unet.remat == 'none' or not sharding.is_of_cpus(mesh):
    return {}
  return {'xla_cpu_scheduler_type': 'CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED'}


@functools.lru_cache(KEPT)
def _apply(optimizer, ema_decay: float, mesh, shardings: tuple):
  """(state, grads[, others to add]) → (state, gradient norm)."""

  def apply(state, *grads):
    grads = jax.tree.map(lambda first, *more: sum(more, first), *grads)
    return apply_gradients(state, grads, optimizer, ema_decay)

  lie = (sharding.from_key(shardings), sharding.replicated(mesh))
  return jitted.Jitted(apply, out_shardings=lie, donate_argnums=0)


def _mean(grad, zeros, parts):
  """Mean (gradient, losses) of microbatches [N, B/N, …], one at a time."""

  def add(total, part):
    grads, losses = grad(*part)
    return jax.tree.map(jnp.add, total, grads), losses

  total, losses = jax.lax.scan(add, zeros, parts)
  count = jax.tree.leaves(parts)[0].shape[0]
  grads = jax.tree.map(lambda g: g / count, total)
  return grads, jax.tree.map(jnp.mean, losses)


def apply_gradients(
  state: state_lib.State, grads, optimizer, ema_decay: float
) -> tuple[state_lib.State, jax.Array]:
  """(next state, gradient norm); if that is not finite, only the step moves.

  `optimizer` is of `optimizer.build`: it leaves its own state alone then.
  """
  norm = optimizer_lib.norm(grads)
  keep = functools.partial(jax.lax.select, jnp.isfinite(norm))
  updates, opt_state = optimizer.update(
    grads, state.opt_state, state.params, keep=keep
  )
  new = optax.apply_updates(state.params, updates)
  params = jax.tree.map(keep, new, state.params)
  ema = state.ema
  if ema is not None:
    # A warm-up of the decay, so that short runs are not dominated by step 0.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    new = optax.incremental_update(new, ema, 1 - decay)
    ema = jax.tree.map(keep, new, ema)
  return state_lib.State(state.step + 1, params, opt_state, ema), norm


def parts(
  stage: cascade.Stage, mesh: sharding.AnyMesh, microbatches: int, size: int
) -> int:
  """`cascade.parts` of a plain step; who wants microbatches lacks memory."""
  return cascade.parts(stage, mesh, size) if microbatches == 1 else 1


def _part(programs, state, null_text, root, stream: str, batch, weight, *more):
  """(gradients, metrics) of the photos or the class images, by their stream.

  The gradient is that of weight × the loss of all of the batch, or of a half;
  `more` is for those two (`_gradient`).
  """
  key = rng.key(root, f'{programs.stage.name}/{stream}', state.step)
  args = (state.params, batch, null_text, key, np.float32(weight))
  grads, found = programs.gradient(programs.complete, *args, *more)
  names = {'mse': f'{stream}_loss', 'vlb': f'{stream}_vlb'}
  return grads, {names[loss]: value for loss, value in found.items()}


def make_denoising_step(programs: Programs) -> Callable:
  """Makes (state, batch, null_text, root) → (state, metrics)."""

  def update(state, batch, null_text, root):
    part = functools.partial(_part, programs, state, null_text, root)
    how = (programs.stage, programs.mesh, programs.microbatches)
    if parts(*how, len(batch.image)) == 1:
      grads, metrics = part('instance', batch, 1)
      state, norm = programs.apply(state, grads)
    else:
      grads, metrics = part('instance', batch, 0.5, np.int32(0))
      others, more = beside.call(part, 'instance', batch, 0.5, np.int32(1))
      metrics = jax.tree.map(lambda a, b: (a + b) / 2, metrics, more)
      state, norm = programs.apply(state, grads, others)
    return state, {**metrics, 'grad_norm': norm}

  return update


def make_prior_preservation_step(programs: Programs) -> Callable:
  """Makes (state, batch, prior_batch, prior_weight, null_text, root) → ….

  `prior_weight` is λ, a float32 scalar. The class images' gradient is a
  sharded step of its own: it costs time, but no memory; where both are taken at
  once, memory more than time.
  """

  def update(state, batch, prior_batch, prior_weight, null_text, root):
    part = functools.partial(_part, programs, state, null_text, root)
    grads, metrics = part('instance', batch, 1)
    prior = ('prior', prior_batch, prior_weight)
    if sharding.has_room(programs.mesh):
      others, more = beside.call(part, *prior)
      state, norm = programs.apply(state, grads, others)
    else:
      grads, more = part(*prior, None, grads)
      state, norm = programs.apply(state, grads)
    return state, {**metrics, **more, 'grad_norm': norm}

  return update
