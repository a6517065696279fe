"""The optimizer of every stage, behind a clipped global norm.

AdamW fine-tunes, as in the paper; its two moments take 8 bytes for a parameter,
or 4 in bfloat16. Adafactor (Shazeer and Stern, arXiv 1804.04235) has no first
moment, and of a kernel's second only means over rows and columns. Muon (Jordan
et al., 2024) pre-trains: the updates of matrices and convolutions are
orthogonalised, which takes a small network further with the same number of
pictures; everything else is AdamW's.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from dbflax import rng

KINDS = ('adamw', 'adafactor', 'muon')


@functools.cache
def build(
  *,
  learning_rate: float,
  steps: int = 0,
  kind: str = 'adamw',
  warmup: int = 0,
  decay: float = 0.0,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  b2: float = 0.999,
  moments_dtype: str = 'float32',
) -> optax.GradientTransformationExtraArgs:
  """Linear warmup, then a constant rate, at last a cosine down to zero.

  Equal arguments give the same object, which programs are found by. Of each
  array of its state `update(…, keep=)` takes keep(new, old), by default new.

  Args:
    learning_rate: the rate after warmup. Muon's updates are scaled to AdamW's
      size, so that one rate serves both.
    steps: length of the run, which the decay ends with; without a decay it
      does not matter.
    kind: one of `KINDS`.
    warmup: steps of linear warmup.
    decay: share of the steps after warmup over which the rate falls, at the
      end of the run: 0 never (fine-tuning), 1 all of them.
    weight_decay: decoupled decay (0 for fine-tuning, as in the paper).
    clip_norm: largest global norm of the gradients; 0 switches it off.
    b2: decay of AdamW's second moment.
    moments_dtype: in which AdamW's moments are kept, 'float32' or 'bfloat16'.

  Raises:
    ValueError: the kind is unknown, or its moments are float32 only, or there
      is a decay and no length of the run.
  """
  if decay and not steps:
    raise ValueError(f'decay={decay} ends with the run: how many steps has it?')
  if kind not in KINDS:
    raise ValueError(f'optimizer {kind!r} is not one of {KINDS}')
  if moments_dtype != 'float32' and kind != 'adamw':
    raise ValueError(f'moments_dtype={moments_dtype!r} is not for {kind!r}')
  rate = _schedule(learning_rate, steps, warmup, decay)
  clip = _clip(clip_norm) if clip_norm else optax.identity()
  if kind == 'muon':
    update = _keeping(_muon(rate, weight_decay, b2))
  elif kind == 'adafactor':
    update = _decay_and_scale(_keeping(_adafactor()), weight_decay, rate)
  else:
    adam = _keeping(_bfloat16_adam(b2))
    if moments_dtype == 'float32':
      adam, clip = _adam(b2, clip_norm), optax.identity()
    update = _decay_and_scale(adam, weight_decay, rate)
  update = optax.chain(clip, update)
  # Adafactor bounds the update of each array by itself.
  return update if kind == 'adafactor' else _joined(update)


def norm(grads: dict) -> jax.Array:
  """The global norm, as `build`'s clipping takes it, so that it is one."""
  return optax.tree.norm(_join(grads))


def _clip(largest: float) -> optax.GradientTransformation:
  """`optax.clip_by_global_norm`, by one factor, as torch has it.

  optax divides every number by the norm. XLA's CPU backend does not divide
  three times, for both moments and the parameter, but keeps the quotients.
  """

  def update(grads, state, params=None):
    del params
    factor = _factor(grads, largest)
    return jax.tree.map(lambda g: factor * g, grads), state

  return optax.GradientTransformation(optax.init_empty_state, update)


def _factor(grads, largest: float) -> float | jax.Array:
  """What makes the norm at most `largest`; 0 leaves it as it is."""
  return jnp.minimum(largest / norm(grads), 1.0) if largest else 1.0


def _decay_and_scale(direction, weight_decay, rate):
  """AdamW's rear end: both the direction and the decay go by the rate."""
  return optax.chain(
    direction,
    optax.add_decayed_weights(weight_decay),
    _keeping(optax.scale_by_learning_rate(rate)),
  )


def _joined(inner: optax.GradientTransformationExtraArgs):
  """`inner`, for which all vectors of a network are one, joined end to end.

  Two thirds of the embedded base's arrays are biases and scales, half a percent
  of its numbers. Each would have loops of its own.
  """

  def update(grads, state, params=None, **more):
    if params is not None:
      params = _join(params)
    updates, state = inner.update(_join(grads), state, params, **more)
    return _part(updates, grads), state

  def init(params):
    return inner.init(_join(params))

  return optax.GradientTransformationExtraArgs(init, update)


# Lies on a mesh as those do that it is made of (`sharding.RULES`).
_VECTORS = 'bias_and_scale'


def _join(tree: dict) -> dict:
  """The tree without its vectors, which are one array beside."""
  vectors = [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim == 1]
  if not vectors:
    return tree
  rest = jax.tree.map(lambda leaf: None if leaf.ndim == 1 else leaf, tree)
  return {**rest, _VECTORS: jnp.concatenate(vectors)}


def _part(joined: dict, like: dict) -> dict:
  """What `_join` made of a tree `like` that one."""
  sizes = [leaf.size for leaf in jax.tree.leaves(like) if leaf.ndim == 1]
  if not sizes:
    return joined
  rest = dict(joined)
  vectors = iter(jnp.split(rest.pop(_VECTORS), np.cumsum(sizes)[:-1]))
  return jax.tree.map(
    lambda leaf, one: next(vectors) if leaf.ndim == 1 else one, like, rest
  )


def _keeping(inner: optax.GradientTransformation):
  """Its state becomes what `keep` says of all that `inner` makes of it."""

  def update(grads, state, params=None, *, keep=_renew, **_):
    updates, new = inner.update(grads, state, params)
    return updates, jax.tree.map(keep, new, state)

  return optax.GradientTransformationExtraArgs(inner.init, update)


def _renew(new, old):
  """What to keep where nothing is said: the new state."""
  del old
  return new


def _muon(rate, weight_decay: float, b2: float):
  return optax.contrib.muon(
    rate,
    weight_decay=weight_decay,
    adam_b2=b2,
    adam_weight_decay=weight_decay,
    consistent_rms=_ADAM_RMS,
    muon_weight_dimension_numbers=_matrices,
  )


def _adafactor() -> optax.GradientTransformation:
  """Without momentum, and not relative to the size of the parameters.

  Steps are then as long as the learning rate says, which is what a network
  that is pre-trained already wants. Updates are clipped at a root mean square
  of 1 (section 6 of the paper).
  """
  return optax.chain(
    optax.scale_by_factored_rms(min_dim_size_to_factor=_FACTORED_FROM),
    optax.clip_by_block_rms(1.0),
  )


# Smaller dimensions are not worth it: a LoRA's rank, the pixel layers.
_FACTORED_FROM = 32


def _adam(b2: float, clip_norm: float) -> optax.GradientTransformationExtraArgs:
  """`optax.scale_by_adam` of clipped gradients, without copies on a CPU.

  Clipped first, they would be kept by XLA's CPU backend, an array as large as
  the parameters, for both moments; so each moment scales them by itself. And
  updates are of the moments that are kept (`keep`): of new ones it would make
  them of the old, which it would have to copy before it writes over them.
  """

  def update(grads, state, params=None, *, keep=_renew, **_):
    factor = _factor(grads, clip_norm)
    first = (1 - _B1) * factor
    to_mu = lambda m, g: _B1 * m + first * g
    to_nu = lambda v, g: b2 * v + (1 - b2) * jnp.square(factor * g)
    new = state._replace(
      count=optax.safe_increment(state.count),
      mu=jax.tree.map(to_mu, state.mu, grads),
      nu=jax.tree.map(to_nu, state.nu, grads),
    )
    kept = jax.tree.map(keep, new, state)
    mean = optax.tree.bias_correction(kept.mu, _B1, new.count)
    square = optax.tree.bias_correction(kept.nu, b2, new.count)
    direction = lambda m, s: m / (jnp.sqrt(s) + _EPSILON)
    return jax.tree.map(direction, mean, square), kept

  init = optax.scale_by_adam(b1=_B1, b2=b2).init
  return optax.GradientTransformationExtraArgs(init, update)


# Those of Adam's paper, and of optax and torch.
_B1, _EPSILON = 0.9, 1e-8


def _bfloat16_adam(b2: float) -> optax.GradientTransformation:
  """Adam whose moments are kept in bfloat16 and computed in float32.

  The first moment is rounded to the nearest. So the second would never fall:
  it changes by a part in 1 / (1 - b2) = 1000 each step, and bfloat16 has three
  digits. It is rounded up or down at random, right on average; what is drawn
  is a function of (path, step), so a run resumes bit for bit.
  """
  adam = optax.scale_by_adam(b2=b2, mu_dtype=jnp.bfloat16)
  cast = lambda tree, dtype: jax.tree.map(lambda a: a.astype(dtype), tree)

  def init(params):
    state = adam.init(params)
    return state._replace(nu=cast(state.nu, jnp.bfloat16))

  def update(grads, state, params=None):
    wide = state._replace(nu=cast(state.nu, jnp.float32))
    updates, new = adam.update(grads, wide, params)
    narrow = functools.partial(_round_at_random, state.count)
    nu = jax.tree_util.tree_map_with_path(narrow, new.nu)
    return updates, new._replace(nu=nu)

  return optax.GradientTransformation(init, update)


def _round_at_random(count, path, x):
  """float32 → bfloat16, up or down, so that the mean is x.

  A bfloat16 is the upper half of a float32; what is added to the lower half
  carries into the upper as often as the lower half is large.
  """
  key = rng.key(jax.random.key(0), jax.tree_util.keystr(path), count)
  noise = jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32) + noise
  upper = (bits >> 16).astype(jnp.uint16)
  return jax.lax.bitcast_convert_type(upper, jnp.bfloat16)


_ADAM_RMS = 0.2  # root mean square of AdamW's updates (arXiv 2502.16982)


def _schedule(learning_rate, steps, warmup, decay) -> optax.Schedule:
  constant = optax.constant_schedule(learning_rate)
  falling = round(decay * max(steps - warmup, 1))
  # From a first part of the rate, not from zero: no step is for nothing.
  ramp = optax.linear_schedule(
    learning_rate / (warmup + 1), learning_rate, max(warmup, 1)
  )
  parts, ends = [ramp, constant], [warmup]
  if falling:
    parts.append(optax.cosine_decay_schedule(learning_rate, falling))
    ends.append(steps - falling)
  return optax.join_schedules(parts, ends)


def _matrices(params: dict):
  """Which axes of which parameters are a matrix; None is left to AdamW.

  The first and the last convolution work on pixels, not on features.
  """

  def axes(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if leaf.ndim < 2 or not name.endswith('kernel') or name in _PIXEL_LAYERS:
      return None
    reduced = tuple(range(leaf.ndim - 1))
    return optax.contrib.MuonDimensionNumbers(reduced, leaf.ndim - 1)

  return jax.tree_util.tree_map_with_path(axes, params)


_PIXEL_LAYERS = ('conv_in/kernel', 'conv_out/kernel')
