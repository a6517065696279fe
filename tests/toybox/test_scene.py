"""Scenes are drawn as documented: defaults, splits, identity."""

import jax
import numpy as np
import pytest

from dbflax.toybox import scene as scene_lib


@pytest.fixture(scope='module')
def scenes():
  """4000 scenes of the pre-training world, on the host."""
  keys = jax.random.split(jax.random.key(0), 4000)
  return jax.device_get(jax.jit(jax.vmap(scene_lib.sample))(keys))


def test_every_word_is_drawn(scenes):
  counts = {
    'class_id': len(scene_lib.CLASSES),
    'place_id': len(scene_lib.PLACES),
    'style_id': len(scene_lib.STYLES),
    'accessory_id': len(scene_lib.ACCESSORIES),
    'expression_id': len(scene_lib.EXPRESSIONS),
    'view_id': len(scene_lib.VIEWS),
  }
  for name, count in counts.items():
    assert set(getattr(scenes, name)) == set(range(count)), name


def test_defaults_are_most_of_the_world(scenes):
  assert np.mean(scenes.style_id == 0) > 0.6
  assert np.mean(scenes.accessory_id == 0) > 0.55


def test_things_have_no_expression(scenes):
  animals = [scene_lib.CLASSES.index(name) for name in scene_lib.ANIMALS]
  things = ~np.isin(scenes.class_id, animals)
  assert np.all(scenes.expression_id[things] == 0)


def test_training_never_shows_held_out_individuals(scenes):
  assert not np.any(jax.vmap(scene_lib.held_out)(scenes))


def test_held_out_individuals_are_held_out():
  def one(key, class_id):
    numbers = scene_lib.individual(key, class_id, held_out=True)
    return scene_lib.held_out(
      scene_lib.staged(key, individual=numbers, class_id=class_id)
    )

  keys = jax.random.split(jax.random.key(1), 300)
  classes = np.arange(300) % len(scene_lib.CLASSES)
  assert np.all(jax.jit(jax.vmap(one))(keys, classes))


def test_individual_depends_on_its_key_alone():
  """A scene's place or light must not change who is in it."""
  numbers = scene_lib.individual(jax.random.key(3), 0)
  first, second = (
    scene_lib.staged(jax.random.key(i), individual=numbers, class_id=0)
    for i in range(2)
  )
  np.testing.assert_array_equal(first.individual, second.individual)
  assert np.any(np.asarray(first.position) != np.asarray(second.position))


@pytest.mark.parametrize('colour', range(len(scene_lib.COLOURS)))
def test_recolour_changes_the_colour_word_only(colour):
  numbers = scene_lib.individual(jax.random.key(colour), 1)
  painted = scene_lib.recolour(numbers, colour)
  assert scene_lib.nearest_colour(painted) == colour
  np.testing.assert_array_equal(painted[3:], numbers[3:])


def test_subject_fits_the_frame(scenes):
  assert np.all(np.abs(scenes.position[:, 0] - 0.5) <= 0.071)
  assert np.all(scenes.position[:, 1] + 1.2 * scenes.size < 1.0)
