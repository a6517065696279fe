"""Classifier-free guidance and thresholding of the predicted clean image."""

import jax.numpy as jnp
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
  flat = jnp.abs(x0).reshape(x0.shape[0], -1)
  s = jnp.clip(jnp.quantile(flat, quantile, axis=1), 1, max_value)
  s = s.reshape((-1,) + (1,) * (x0.ndim - 1))
  return jnp.clip(x0, -s, s) / s
