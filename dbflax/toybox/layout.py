"""Turns a scene into a table of primitives: what stands where, in which paint.

Figures, faces, worn things and places are constant tables; inside jit a scene
only picks, sums, moves and mirrors rows, so mixed classes vmap at no cost.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax.toybox import anatomy, figures, places, shapes, worn
from dbflax.toybox import scene as scene_lib

_C = shapes.COLUMN
_ANCHORS = 4  # face, mouth, top, neck


class Table(NamedTuple):
  """Primitives in frame coordinates, back to front."""

  rows: Float[Array, 'n columns']
  rgb: Float[Array, 'n 3']


def _anchor_shapes(figure: anatomy.Figure) -> list[shapes.Shape]:
  face = figure.face
  mouth = figure.mouth or face._replace(y=face.y - 0.62 * face.h)
  return [
    shapes.shape(a.x, a.y, a.w, a.h, 0, alpha=a.alpha)
    for a in (face, mouth, figure.top, figure.neck)
  ]


def _figure_tables():
  """base [classes, views, n, W], slopes [.., numbers, n, W], paints [.., n].

  The last four rows are the anchors.
  """
  length = anatomy.ROWS + _ANCHORS

  def rows(draw, v):
    figure = draw(v)
    return shapes.pad(figure.shapes, anatomy.ROWS) + _anchor_shapes(figure)

  each = [
    [
      shapes.affine(lambda v, d=d: rows(d, v), anatomy.NUMBERS, length)
      for d in views
    ]
    for views in figures.FIGURES
  ]
  return [
    np.stack([[view[i] for view in views] for views in each]) for i in range(3)
  ]


def _stack(lists, length):
  """Tables [k, length, W] and paints [k, length] of lists of shapes."""
  both = [shapes.table(shapes.pad(list(items), length)) for items in lists]
  return np.stack([b[0] for b in both]), np.stack([b[1] for b in both])


_BASE, _SLOPES, _PAINTS = _figure_tables()
_EYES = _stack([face().eyes for face in worn.FACES], worn.EYE_ROWS)
_MOUTHS = _stack([face().mouth for face in worn.FACES], worn.MOUTH_ROWS)
_WORN = _stack([item() for item in worn.ACCESSORIES], worn.WORN_ROWS)
_WORN_ANCHOR = np.array(
  [('face', 'mouth', 'top', 'neck').index(name) for name in worn.WORN_ON]
)
_PLACES = [draw() for draw in places.PLACES]
_PROPS = _stack([place.props for place in _PLACES], places.ROWS)
_PALETTES = np.array([place.palette for place in _PLACES], np.float32)
HORIZONS = np.array([place.horizon for place in _PLACES], np.float32)
_LIGHTS = np.array([place.light for place in _PLACES], np.float32)
_FIXED = np.array(
  [[0.10, 0.08, 0.09], [0.97, 0.96, 0.94], [0.98, 0.66, 0.14],
   [0.95, 0.50, 0.55], [0.60, 0.85, 1.00]], np.float32
)  # fmt: skip


def palette(scene) -> Float[Array, 'paints 3']:
  """All paints of a scene, in the order of `shapes`' indices."""
  one = scene.individual
  dark, white, beak, pink, tear = jnp.asarray(_FIXED)
  subject = jnp.stack(
    [
      one[scene_lib.PRIMARY], one[scene_lib.SECONDARY], dark, white,
      one[scene_lib.ACCENT], scene.accessory_colour, beak, pink, tear,
    ]
  )  # fmt: skip
  place = jnp.asarray(_PALETTES)[scene.place_id]
  subject = subject * jnp.asarray(_LIGHTS)[scene.place_id]
  warmth = 0.04 * scene.mood[2] * jnp.array([1.0, 0.0, -1.0])
  return jnp.concatenate([subject, place + warmth])


def _on_anchor(rows, anchor):
  """Moves rows from an anchor's unit frame into the figure's."""
  size = jnp.sqrt(jnp.abs(anchor[_C['w']] * anchor[_C['h']]))
  moved = rows.at[:, _C['x']].set(
    anchor[_C['x']] + anchor[_C['w']] * rows[:, _C['x']]
  )
  moved = moved.at[:, _C['y']].set(
    anchor[_C['y']] + anchor[_C['h']] * rows[:, _C['y']]
  )
  sizes = jnp.array([_C['w'], _C['h']])
  return moved.at[:, sizes].multiply(size)


def _subject(scene) -> tuple[Float[Array, 'n columns'], Int[Array, ' n']]:
  """The figure with its face and accessory, in the figure's unit."""
  at = (scene.class_id, scene.view_id)
  one = scene.individual[scene_lib.SHAPE.start :]
  rows = jnp.asarray(_BASE)[at] + jnp.tensordot(
    one, jnp.asarray(_SLOPES)[at], axes=1
  )
  body, anchors = rows[: anatomy.ROWS], rows[anatomy.ROWS :]
  pick = lambda pair, i: (jnp.asarray(pair[0])[i], jnp.asarray(pair[1])[i])
  eyes, eye_paints = pick(_EYES, scene.expression_id)
  mouth, mouth_paints = pick(_MOUTHS, scene.expression_id)
  things, thing_paints = pick(_WORN, scene.accessory_id)
  face = jnp.concatenate(
    [_on_anchor(eyes, anchors[0]), _on_anchor(mouth, anchors[1])]
  )
  face = face.at[:, _C['alpha']].multiply(anchors[0, _C['alpha']])
  things = _on_anchor(
    things, anchors[jnp.asarray(_WORN_ANCHOR)[scene.accessory_id]]
  )
  paints = jnp.asarray(_PAINTS)[at][: anatomy.ROWS]
  return (
    jnp.concatenate([body, face, things]),
    jnp.concatenate([paints, eye_paints, mouth_paints, thing_paints]),
  )


def _into_frame(rows, scene):
  """Figure units to frame widths: mirrored, scaled, stood on the ground."""
  x, y = scene.position
  rows = rows.at[:, _C['x']].set(
    x + scene.facing * scene.size * rows[:, _C['x']]
  )
  rows = rows.at[:, _C['y']].set(y + scene.size * rows[:, _C['y']])
  sizes = jnp.array([_C['w'], _C['h']])
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return (
    rows.at[:, sizes].multiply(scene.size)
    .at[:, mirrored].multiply(scene.facing)
  )  # fmt: skip


def _backdrop(scene):
  """The props of the place, shifted and mirrored by the scene's mood."""
  rows = jnp.asarray(_PROPS[0])[scene.place_id]
  side = jnp.where(scene.mood[3] < 0, -1.0, 1.0)
  x = 0.5 + side * (rows[:, _C['x']] - 0.5) + 0.05 * scene.mood[0]
  rows = rows.at[:, _C['x']].set(x)
  rows = rows.at[:, _C['y']].add(0.03 * scene.mood[1])
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return rows.at[:, mirrored].multiply(side)


def _shadow(scene):
  """A soft ellipse on the ground, away from the light."""
  row = shapes.shape(0, 0, 1, 1, 2, alpha=0.42, soft=0.07, puff=0, line=0).row
  width = 0.46 - 0.13 * (scene.view_id == 1)
  row = jnp.asarray(row, jnp.float32)
  row = row.at[_C['x']].set(scene.position[0] - 0.08 * scene.light[0])
  row = row.at[_C['y']].set(scene.position[1] + 0.012)
  row = row.at[_C['w']].set(width * scene.size)
  return row.at[_C['h']].set(0.045)[None]


def primitives(scene) -> Table:
  """Everything a scene shows, back to front, in frame widths (y upwards)."""
  rows, paints = _subject(scene)
  props = jnp.asarray(_PROPS[1])[scene.place_id]
  rows = jnp.concatenate(
    [_backdrop(scene), _shadow(scene), _into_frame(rows, scene)]
  )
  paints = jnp.concatenate([props, jnp.array([shapes.DARK]), paints])
  rgb = palette(scene)[paints] * rows[:, _C['tint'], None]
  return Table(rows, jnp.clip(rgb, 0.0, 1.0))
