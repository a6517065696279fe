"""Figures are affine in an individual's numbers, and tables are strict."""

import jax
import numpy as np
import pytest

from dbflax.toybox import faces, layout, materials, shapes, worn
from dbflax.toybox import scene as scene_lib
from dbflax.toybox.figures import anatomy, catalogue
from dbflax.toybox.places import catalogue as places_lib

DRAW = [draw for views in catalogue.FIGURES for draw in views]


def _name(draw):
  return f'{draw.__module__.rsplit(".", 1)[-1]}-{draw.__name__}'


@pytest.mark.parametrize('draw', DRAW, ids=_name)
def test_figures_are_affine(draw):
  """base + numbers · slopes is the figure itself, for any numbers."""
  rows = lambda v: draw(v).shapes
  base, slopes, paints = shapes.affine(rows, anatomy.NUMBERS, anatomy.ROWS)
  numbers = np.random.default_rng(0).uniform(-1, 1, anatomy.NUMBERS)
  direct, direct_paints = shapes.table(shapes.pad(rows(numbers), anatomy.ROWS))
  np.testing.assert_allclose(
    base + np.tensordot(numbers, slopes, axes=1), direct, atol=1e-5
  )
  np.testing.assert_array_equal(paints, direct_paints)


def test_every_word_has_a_drawing():
  assert len(catalogue.FIGURES) == len(scene_lib.CLASSES)
  assert all(len(v) == len(scene_lib.VIEWS) for v in catalogue.FIGURES)
  assert len(places_lib.PLACES) == len(scene_lib.PLACES)
  assert len(faces.FACES) == len(scene_lib.EXPRESSIONS)
  assert len(worn.ACCESSORIES) == len(worn.WORN_ON)
  assert len(worn.ACCESSORIES) == len(scene_lib.ACCESSORIES)
  assert all(len(v) == len(scene_lib.VIEWS) for v in worn.ACCESSORIES)
  assert len(materials.MATERIALS) == materials.WOVEN + 1


def test_sizes_stay_positive_for_extreme_individuals():
  """The renderer divides by half sizes."""
  rng = np.random.default_rng(1)
  for draw in DRAW:
    for mark in range(len(scene_lib.MARKINGS)):
      numbers = rng.choice([-1.0, 1.0], anatomy.NUMBERS)
      numbers[6:11] = np.eye(len(scene_lib.MARKINGS))[mark]
      table, _ = shapes.table(draw(numbers).shapes)
      assert table[:, shapes.COLUMN['w']].min() > 0
      assert table[:, shapes.COLUMN['h']].min() > 0


def test_padding_refuses_too_many_shapes():
  one = shapes.shape(0, 0, 1, 1, shapes.MAIN)
  with pytest.raises(ValueError, match='3 shapes do not fit 2 rows'):
    shapes.pad([one] * 3, 2)


def test_unknown_columns_are_refused():
  with pytest.raises(TypeError, match='colour'):
    shapes.shape(0, 0, 1, 1, shapes.MAIN, colour=1)


def test_mixed_classes_make_one_table():
  rows = lambda key: layout.primitives(scene_lib.sample(key)).rows
  scenes = jax.jit(jax.vmap(rows))(jax.random.split(jax.random.key(0), 4))
  assert scenes.shape[0] == 4 and scenes.shape[2] == shapes.WIDTH
