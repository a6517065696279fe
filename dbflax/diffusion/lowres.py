"""The lower image as a super-resolution stage is given it.

One path for training and sampling: upsample bilinearly (align_corners, as IF
samples), add noise at a level, and tell the network that level.

**Unit of the level**: the fraction of the noise schedule in [0, 1]; the class
label is 1000 · level on a 1000-step schedule and may be fractional. Level 1e-3
is label 1 (sigma 0.0094), 0.1 is label 100 (sigma 0.169). The paper says "noise
augmentation 1e-3 → 1e-5" without a unit; read as this fraction, 1e-5 is label
0.01, just above the schedule's least noise (sigma 0.0064).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax.diffusion import process

Image = Float[Array, 'B H W C']


def upsample(
  low: Float[Array, 'B h w C'],
  resolution: int,
  window: tuple | None = None,
) -> Image:
  """Bilinear, corners aligned: [B, h, h, C] → [B, resolution, resolution, C].

  `window` = (y0, x0, size) gives only that crop of the result; y0 and x0 are
  integers or [B] arrays of them.
  """
  y0, x0, size = window or (0, 0, resolution)
  low = _interpolate(low, y0, size, resolution)
  low = _interpolate(low.swapaxes(1, 2), x0, size, resolution)
  return low.swapaxes(1, 2)


def _interpolate(x, start, size: int, resolution: int):
  """Linear interpolation along axis 1, at `size` places from `start` on."""
  b, n = x.shape[:2]
  start = jnp.broadcast_to(jnp.asarray(start), (b,))
  scale = (n - 1) / max(resolution - 1, 1)
  at = (start[:, None] + jnp.arange(size)) * scale
  low = jnp.clip(jnp.floor(at).astype(jnp.int32), 0, max(n - 2, 0))
  frac = (at - low)[:, :, None, None]
  take = lambda i: jnp.take_along_axis(x, i[:, :, None, None], axis=1)
  return take(low) * (1 - frac) + take(jnp.minimum(low + 1, n - 1)) * frac


def label(schedule, level: Float[Array, ' B']) -> Float[Array, ' B']:
  """The class label of a level in [0, 1]: time in schedule steps."""
  return level * schedule.num_steps


def condition(
  schedule, upsampled: Image, eps: Image, level: Float[Array, ' B']
) -> tuple[Image, Float[Array, ' B']]:
  """(noised upsampled image, class label): what the network receives."""
  t = label(schedule, level)
  # Level 1 is the end of the schedule, step T − 1.
  noised = process.add_noise(
    schedule, upsampled, eps, jnp.minimum(t, schedule.num_steps - 1)
  )
  return noised, t
