"""Where things stand: on the ground, on a plinth, below the camera."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.toybox import layout, materials, shapes, standing
from dbflax.toybox import scene as scene_lib
from dbflax.toybox.figures import anatomy

_C = shapes.COLUMN
_CAST, _PLINTH, _SLAB, _CONTACT = range(4)


def _scene(class_id, view='side', style='photo'):
  numbers = scene_lib.individual(jax.random.key(1), class_id)
  return scene_lib.staged(
    jax.random.key(2),
    individual=numbers,
    class_id=class_id,
    view_id=scene_lib.VIEWS.index(view),
    style_id=scene_lib.STYLES.index(style),
  )


def _below_and_figure(scene):
  """The rows a scene's figure stands on, and the figure's visible rows."""
  rows = np.asarray(layout.primitives(scene).rows)
  props = layout.places.ROWS
  below = rows[props : props + len(standing.PAINTS)]
  figure = rows[props + len(standing.PAINTS) :][: anatomy.ROWS]
  return below, figure[
    (figure[:, _C['alpha']] > 0) & (figure[:, _C['clip']] < 1)
  ]


@pytest.mark.parametrize('class_id', range(len(scene_lib.CLASSES)))
def test_shadow_lies_below_the_figure(class_id):
  below, figure = _below_and_figure(_scene(class_id))
  centres = figure[:, _C['x']]
  contact = below[_CONTACT]
  assert centres.min() - 0.2 < contact[_C['x']] < centres.max() + 0.2
  assert 0.02 < contact[_C['w']] < 0.45
  assert below[_CAST, _C['w']] > contact[_C['w']]


def test_only_statues_stand_on_a_plinth():
  for style in scene_lib.STYLES:
    below, _ = _below_and_figure(_scene(0, style=style))
    shown = below[[_PLINTH, _SLAB], _C['alpha']]
    assert np.all(shown == (style == 'statue'))


@pytest.mark.parametrize('class_id', range(len(scene_lib.CLASSES)))
def test_statues_stand_on_top_of_the_plinth(class_id):
  below, figure = _below_and_figure(_scene(class_id, style='statue'))
  slab = below[_SLAB]
  half = np.hypot(
    figure[:, _C['w']] * np.sin(figure[:, _C['angle']]),
    figure[:, _C['h']] * np.cos(figure[:, _C['angle']]),
  )
  feet = (figure[:, _C['y']] - half).min()
  assert abs(feet - (slab[_C['y']] + slab[_C['h']])) < 0.04


def test_horizon_rises_when_seen_from_above():
  side, above = _scene(0), _scene(0, 'above')
  for place in range(len(scene_lib.PLACES)):
    low, high = (
      layout.horizon(s._replace(place_id=jnp.int32(place)))
      for s in (side, above)
    )
    assert low + 0.15 < high < 0.95


def test_materials_keep_the_order_of_lightness():
  greys = jnp.linspace(0.0, 1.0, 5)[:, None] * jnp.ones(3)
  np.testing.assert_array_equal(materials.paints(greys, 0), greys)
  for index in range(1, len(materials.MATERIALS)):
    lightness = np.asarray(materials.paints(greys, index)).mean(-1)
    assert np.all(np.diff(lightness) > 0.08)


def test_worn_things_keep_their_paint_on_gold():
  scene = _scene(0)._replace(accessory_id=jnp.int32(1))
  golden = scene._replace(
    material_id=jnp.int32(scene_lib.MATERIALS.index('golden'))
  )
  rgb = lambda s: np.asarray(layout.primitives(s).rgb)
  start = layout.places.ROWS + len(standing.PAINTS)
  body = slice(start, start + anatomy.ROWS)
  same = np.abs(rgb(scene) - rgb(golden)).max(-1) < 1e-6
  assert not same[body].all()
  assert same[: body.start].all() and same[body.stop :].all()
