"""Classifier-free guidance and thresholding of the predicted clean image."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Image = Float[Array, 'B H W C']


def combine(conditional: Image, unconditional: Image, scale: float) -> Image:
  """uncond + scale · (cond − uncond); scale 1 is no guidance.

  eps, v and x_0 are linear in each other at one x_t, so it does not matter in
  which of them guidance is done.
  """
  return unconditional + scale * (conditional - unconditional)


def dynamic_threshold(x0: Image, quantile: float, max_value: float) -> Image:
  """Imagen's dynamic thresholding (2205.11487, section 2.3).

  s = the `quantile` of |x_0| in an image, at least 1 and at most `max_value`;
  x_0 is clipped to [−s, s] and divided by s. `max_value` 1 is plain clipping.
  """
  if max_value <= 1:
    return jnp.clip(x0, -1, 1)
  size = jnp.abs(x0).reshape(x0.shape[0], -1)
  s = jnp.clip(_quantile(size, quantile), 1, max_value)
  s = s.reshape((-1,) + (1,) * (x0.ndim - 1))
  return jnp.clip(x0, -s, s) / s


def _quantile(size: Float[Array, 'B N'], quantile: float) -> Float[Array, ' B']:
  """`jnp.quantile(size, quantile, axis=1)` of what is not negative.

  Without sorting, which takes eight times as long on a CPU, 6 % of the time of
  a class image: the bits of such numbers are integers of the same order, and
  each bit of the two that have so many below them is found by counting.
  """
  bits = lax.bitcast_convert_type(size.astype(jnp.float32), jnp.int32)
  place = quantile * (size.shape[1] - 1)
  ranks = jnp.array([math.floor(place), math.ceil(place)])

  def set_bit(i, found):
    larger = found | (1 << (30 - i))
    # Both here, of one array: where it is computed again, XLA may round it
    # otherwise, and the other neighbour would be missed.
    below = (bits[:, None] < larger[..., None]).sum(-1)
    return jnp.where(below <= ranks, larger, found)

  found = lax.fori_loop(0, 31, set_bit, jnp.zeros((len(size), 2), jnp.int32))
  first, second = lax.bitcast_convert_type(found, jnp.float32).T
  return first + (second - first) * (place - math.floor(place))
