"""Turns a scene into a table of primitives: what stands where, in which paint.

Figures, faces, worn things and places are constant tables; inside jit a scene
only picks, sums, moves and mirrors rows, so mixed classes vmap at no cost.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax.toybox import faces, materials, shapes, standing, worn
from dbflax.toybox import scene as scene_lib
from dbflax.toybox.figures import anatomy, catalogue
from dbflax.toybox.places import catalogue as places

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
    for views in catalogue.FIGURES
  ]
  return [
    np.stack([[view[i] for view in views] for views in each]) for i in range(3)
  ]


def _stack(lists, length):
  """Tables [k, length, W] and paints [k, length] of lists of shapes."""
  both = [shapes.table(shapes.pad(list(items), length)) for items in lists]
  return np.stack([b[0] for b in both]), np.stack([b[1] for b in both])


def _stack_views(drawings, length):
  """The same for drawings by (word, view): [words, views, length, …]."""
  each = [_stack([draw() for draw in views], length) for views in drawings]
  return [np.stack([one[i] for one in each]) for i in range(2)]


_BASE, _SLOPES, _PAINTS = _figure_tables()
_EYES = _stack([face().eyes for face in faces.FACES], faces.EYE_ROWS)
_MOUTHS = _stack([face().mouth for face in faces.FACES], faces.MOUTH_ROWS)
_WORN = _stack_views(worn.ACCESSORIES, worn.WORN_ROWS)
_WORN_ANCHOR = np.array(
  [('face', 'mouth', 'top', 'neck').index(name) for name in worn.WORN_ON]
)
_PLACES = [draw() for draw in places.PLACES]
_PROPS = _stack([place.props for place in _PLACES], places.ROWS)
_PALETTES = np.array([place.palette for place in _PLACES], np.float32)
_HORIZONS = np.array([place.horizon for place in _PLACES], np.float32)
_LIGHTS = np.array([place.light for place in _PLACES], np.float32)
_FIXED = np.array(
  [[0.10, 0.08, 0.09], [0.97, 0.96, 0.94], [0.98, 0.66, 0.14],
   [0.95, 0.50, 0.55], [0.60, 0.85, 1.00]], np.float32
)  # fmt: skip


# The palette holds every subject paint twice: what the subject itself is made
# of stands behind all others.
_OWN = len(_FIXED) + 4 + _PALETTES.shape[1]


def palette(scene) -> Float[Array, 'paints 3']:
  """All paints of a scene, in the order of `shapes`' indices, then its own."""
  one = scene.individual
  dark, white, beak, pink, tear = jnp.asarray(_FIXED)
  subject = jnp.stack(
    [
      one[scene_lib.PRIMARY], one[scene_lib.SECONDARY], dark, white,
      one[scene_lib.ACCENT], scene.accessory_colour, beak, pink, tear,
    ]
  )  # fmt: skip
  light = jnp.asarray(_LIGHTS)[scene.place_id]
  worn_paints = materials.paints(subject, materials.of_worn(scene))
  own = materials.paints(subject, materials.of_subject(scene))
  place = jnp.asarray(_PALETTES)[scene.place_id]
  warmth = 0.04 * scene.mood[2] * jnp.array([1.0, 0.0, -1.0])
  return jnp.concatenate([worn_paints * light, place + warmth, own * light])


def horizon(scene) -> Float[Array, '']:
  """Height of the horizon; it rises where the camera looks down."""
  return _looked_down(
    jnp.asarray(_HORIZONS)[scene.place_id] + 0.03 * scene.mood[1], scene
  )


def _looked_down(y, scene):
  """Heights in the place as the scene's camera sees them.

  From above, the ground fills more of the frame, what stands behind it less.
  """
  level = jnp.asarray(_HORIZONS)[scene.place_id]
  raised = level + _RISE
  seen = jnp.where(
    y < level,
    y * raised / level,
    raised + (y - level) * (1.0 - raised) / (1.0 - level),
  )
  return jnp.where(standing.is_above(scene), seen, y)


_RISE = 0.27  # of the horizon in the view from above


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
  body = materials.surface(body, materials.of_subject(scene))
  pick = lambda pair, i: (jnp.asarray(pair[0])[i], jnp.asarray(pair[1])[i])
  eyes, eye_paints = pick(_EYES, scene.expression_id)
  mouth, mouth_paints = pick(_MOUTHS, scene.expression_id)
  things, thing_paints = pick(_WORN, (scene.accessory_id, scene.view_id))
  face = jnp.concatenate(
    [_on_anchor(eyes, anchors[0]), _on_anchor(mouth, anchors[1])]
  )
  face = face.at[:, _C['alpha']].multiply(anchors[0, _C['alpha']])
  things = _on_anchor(
    things, anchors[jnp.asarray(_WORN_ANCHOR)[scene.accessory_id]]
  )
  paints = _OWN + jnp.asarray(_PAINTS)[at][: anatomy.ROWS]
  return (
    jnp.concatenate([body, face, things]),
    jnp.concatenate([paints, eye_paints, mouth_paints, thing_paints]),
  )


def _into_frame(rows, scene):
  """Figure units to frame widths: mirrored, scaled, stood on the ground."""
  x, y = scene.position
  above, statue = standing.is_above(scene), standing.is_statue(scene)
  size = scene.size * (1.0 - 0.06 * above) * (1.0 - 0.14 * statue)
  raised = jnp.where(above, -0.095 + 0.06 * statue, standing.PLINTH * statue)
  rows = rows.at[:, _C['x']].set(x + scene.facing * size * rows[:, _C['x']])
  rows = rows.at[:, _C['y']].set(y + raised + size * rows[:, _C['y']])
  sizes = jnp.array([_C['w'], _C['h']])
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return (
    rows.at[:, sizes].multiply(size)
    .at[:, mirrored].multiply(scene.facing)
  )  # fmt: skip


def _backdrop(scene):
  """The props of the place, shifted and mirrored by the scene's mood."""
  rows = jnp.asarray(_PROPS[0])[scene.place_id]
  side = jnp.where(scene.mood[3] < 0, -1.0, 1.0)
  x = 0.5 + side * (rows[:, _C['x']] - 0.5) + 0.05 * scene.mood[0]
  rows = rows.at[:, _C['x']].set(x)
  y = _looked_down(rows[:, _C['y']] + 0.03 * scene.mood[1], scene)
  level = jnp.asarray(_HORIZONS)[scene.place_id]
  flat = 1.0 - standing.is_above(scene) * _RISE / (1.0 - level)
  rows = rows.at[:, _C['y']].set(y).at[:, _C['h']].multiply(flat)
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return rows.at[:, mirrored].multiply(side)


def primitives(scene) -> Table:
  """Everything a scene shows, back to front, in frame widths (y upwards)."""
  rows, paints = _subject(scene)
  rows = _into_frame(rows, scene)
  below = standing.rows(rows[: anatomy.ROWS], scene)
  props = jnp.asarray(_PROPS[1])[scene.place_id]
  rows = jnp.concatenate([_backdrop(scene), below, rows])
  paints = jnp.concatenate([props, jnp.array(standing.PAINTS), paints])
  rgb = palette(scene)[paints] * rows[:, _C['tint'], None]
  return Table(rows, jnp.clip(rgb, 0.0, 1.0))
