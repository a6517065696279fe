"""What a subject stands on: its shadows, and the plinth of a statue.

Both are as wide as the figure is, so they are derived from its rows.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax.toybox import scene as scene_lib
from dbflax.toybox import shapes

_C = shapes.COLUMN
PLINTH = 0.13  # its height, frame widths
# Of the cast shadow, the plinth, its slab and the contact shadow.
PAINTS = (shapes.DARK, shapes.WHITE, shapes.WHITE, shapes.DARK)


class Span(NamedTuple):
  """A box around shapes: centre and half sizes."""

  x: Float[Array, '']
  y: Float[Array, '']
  w: Float[Array, '']
  h: Float[Array, '']


def is_statue(scene):
  return scene.style_id == scene_lib.STYLES.index('statue')


def is_above(scene):
  return scene.view_id == scene_lib.VIEWS.index('above')


def _span(left, right, low, high) -> Span:
  return Span(
    (left + right) / 2, (low + high) / 2, (right - left) / 2, (high - low) / 2
  )


def _spans(rows) -> tuple[Span, Span]:
  """Of a figure in the frame: the whole of it, and what touches the ground."""
  c = {name: rows[:, index] for name, index in _C.items()}
  cos, sin = jnp.cos(c['angle']), jnp.sin(c['angle'])
  half_w = jnp.hypot(c['w'] * cos, c['h'] * sin)
  half_h = jnp.hypot(c['w'] * sin, c['h'] * cos)
  solid = (c['alpha'] > 0) & (c['clip'] < 0.5)
  low = jnp.where(solid, c['y'] - half_h, 1.0)

  def over(chosen):
    least = lambda values: jnp.where(chosen, values, 9.0).min()
    most = lambda values: jnp.where(chosen, values, -9.0).max()
    return _span(
      least(c['x'] - half_w),
      most(c['x'] + half_w),
      least(low),
      most(c['y'] + half_h),
    )

  return over(solid), over(solid & (low < low.min() + 0.04))


def _row(x, y, w, h, **columns):
  """A row with traced place, size and columns."""
  row = jnp.asarray(shapes.shape(0, 0, 1, 1, 0, line=0).row, jnp.float32)
  for name, value in dict(x=x, y=y, w=w, h=h, **columns).items():
    row = row.at[_C[name]].set(value)
  return row


def rows(figure, scene) -> Float[Array, 'n columns']:
  """Shadows and plinth below `figure`, rows in frame coordinates."""
  whole, feet = _spans(figure)
  above, statue = is_above(scene), is_statue(scene)
  ground = scene.position[1]
  lean = -0.06 * scene.light[0]
  half = 0.45 * whole.w + 0.55 * feet.w
  base = jnp.maximum(feet.w, 0.6 * whole.w) + 0.05
  cast_w = jnp.where(statue, base * 1.1, half) + 0.03
  pick = lambda a, b: jnp.where(above, a, b)
  cast = _row(
    pick(whole.x, 0.5 * (whole.x + feet.x)) + lean,
    pick(whole.y - 0.03, ground + 0.012),
    pick(whole.w + 0.02 + 0.05 * statue, cast_w),
    pick(whole.h + 0.05 * statue, 0.045),
    alpha=0.42, tint=0.4, soft=pick(0.11, 0.07), puff=0.0,
  )  # fmt: skip
  contact = _row(
    pick(whole.x, feet.x),
    pick(whole.y - 0.01, ground + PLINTH * statue + 0.006),
    pick(0.85 * whole.w, feet.w + 0.01),
    pick(0.9 * whole.h, 0.016),
    alpha=0.4, tint=0.4, soft=pick(0.08, 0.028), puff=0.0,
  )  # fmt: skip
  return jnp.stack([cast, *_plinth(whole, feet, base, scene), contact])


def _plinth(whole: Span, feet: Span, base, scene):
  """Two blocks of stone; from above, one inside the other."""
  above = is_above(scene)
  pick = lambda a, b: jnp.where(above, a, b)
  look = dict(
    box=1.0, alpha=1.0 * is_statue(scene), line=1.0, fur=0.6,
    puff=pick(0.1, 0.25),
  )  # fmt: skip
  ground = scene.position[1] - 0.015
  block = _row(
    pick(whole.x, feet.x),
    pick(whole.y, ground + 0.5 * PLINTH),
    pick(whole.w + 0.06, base),
    pick(whole.h + 0.06, 0.5 * PLINTH),
    tint=pick(0.42, 0.7), **look,
  )  # fmt: skip
  slab = _row(
    pick(whole.x, feet.x),
    pick(whole.y, ground + PLINTH),
    pick(whole.w + 0.03, 1.1 * base),
    pick(whole.h + 0.03, 0.022),
    tint=pick(0.56, 0.84), **look,
  )  # fmt: skip
  return block, slab
