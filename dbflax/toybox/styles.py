"""Textures, and what each style makes of a drawn scene.

Every texture is a sum of sines, each averaged exactly over a pixel.
"""

import jax.numpy as jnp
import numpy as np


def waves(x, y, waves, pixel):
  """A sum of sines (wavelength, degrees, phase, amplitude), pixel-averaged."""
  total = jnp.zeros_like(x)
  for length, degrees, phase, amplitude in waves:
    a = np.deg2rad(degrees)
    kx, ky = np.cos(a) / length, np.sin(a) / length  # cycles per frame
    mean = jnp.sinc(kx * pixel) * jnp.sinc(ky * pixel)
    total += amplitude * mean * jnp.sin(
      2 * np.pi * (kx * x + ky * y) + phase
    )  # fmt: skip
  return total


# Fine texture of coats and grounds; only 256 and 1024 see its shortest waves.
FUR = (
  (0.083, 70, 0.3, 0.02), (0.061, 130, 1.7, 0.02), (0.029, 62, 0.9, 0.025),
  (0.021, 113, 2.9, 0.025), (0.0107, 80, 4.1, 0.035), (0.0087, 99, 5.3, 0.035),
  (0.0061, 71, 2.2, 0.05), (0.0053, 108, 0.6, 0.05),
)  # fmt: skip
# Lines along the grain of wood, nearly upright.
GRAIN = (
  (0.091, 8, 0.4, 0.06), (0.043, -6, 2.1, 0.08), (0.027, 3, 4.4, 0.08),
  (0.0131, -3, 1.2, 0.06), (0.0083, 4, 3.6, 0.06),
)  # fmt: skip
# Threads, upright and level. One and its gap are as wide as a pixel of 64, over
# which they average to nothing: super-resolution has to know of them.
WEAVE = ((1 / 64, 0, 0.0, 0.25), (1 / 64, 90, 0.0, 0.25))
_STROKES = (
  (0.15, 20, 0.0, 0.035), (0.11, 75, 2.0, 0.035), (0.073, 48, 4.0, 0.03),
  (0.021, 31, 1.0, 0.035), (0.013, 52, 5.0, 0.035), (0.007, 40, 3.0, 0.035),
)  # fmt: skip
_HATCH = ((0.011, 45, 0.0, 0.5), (0.0083, 40, 1.3, 0.4), (0.0061, 52, 2.6, 0.3))


def wobble(x, y, amount):
  """Displaces points a little, so that a painted outline is not exact."""
  dx = jnp.sin(23.0 * y + 3.0 * jnp.sin(9.0 * x))
  dy = jnp.sin(21.0 * x + 2.0 * jnp.sin(11.0 * y))
  return x + amount * dx, y + amount * dy


def ruffle(x, y):
  """Bends the grain of a texture slowly, so that it does not look woven."""
  dx = 0.03 * jnp.sin(17.0 * y + 5.0 * x) + 0.011 * jnp.sin(31.0 * x + 2.0)
  dy = 0.03 * jnp.sin(15.0 * x - 4.0 * y) + 0.011 * jnp.sin(37.0 * y + 1.0)
  return x + dx, y + dy


def as_photo(rgb, ink, x, y):
  """Warm light, a mild vignette and a breath of contour."""
  r2 = (x - 0.5) ** 2 + (y - 0.5) ** 2
  shade = (1.04 - 0.26 * r2) * (1.0 - 0.2 * ink)
  return rgb * shade[..., None] * jnp.array([1.01, 1.0, 0.975])


def as_painting(rgb, ink, x, y, pixel):
  """Strong colours, broad strokes and dark contours.

  Strokes fade towards black and white: they stay inside the range, where
  clipping would make coarse pictures brighter or darker than fine ones.
  """
  grey = jnp.mean(rgb, axis=-1, keepdims=True)
  strokes = waves(x, y, _STROKES, pixel)[..., None]
  rich = jnp.clip(grey + 1.25 * (rgb - grey), 0.0, 1.0)
  rich = rich + strokes * 4.0 * rich * (1.0 - rich)
  return rich * (1.0 - 0.45 * ink[..., None])


def as_sketch(rgb, ink, x, y, pixel):
  """Graphite on paper: contours, and hatching where it is dark."""
  grey = rgb @ jnp.array([0.3, 0.59, 0.11])
  dark = 1.0 - jnp.clip(grey, 0.0, 1.0)
  hatch = dark * (0.34 + 0.3 * waves(x, y, _HATCH, pixel))
  value = 0.97 - hatch - 0.6 * ink
  return value[..., None] * jnp.array([1.0, 0.99, 0.96])


BLOCKS = 32  # of pixel art, in the frame's width
_LEVELS = 7  # of every colour channel of pixel art, less one


def blocks(x):
  """Coordinates of the centres of pixel art's blocks."""
  return (jnp.floor(x * BLOCKS) + 0.5) / BLOCKS


def as_pixel_art(rgb, ink):
  """Few strong colours and dark contours."""
  grey = jnp.mean(rgb, axis=-1, keepdims=True)
  strong = (grey + 1.2 * (rgb - grey)) * (1.0 - 0.4 * ink[..., None])
  return jnp.round(jnp.clip(strong, 0.0, 1.0) * _LEVELS) / _LEVELS
