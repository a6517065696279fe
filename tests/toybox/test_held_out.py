"""What pre-training never sees, and that it leaves nothing else out."""

import itertools

import jax
import numpy as np

from dbflax.toybox import held_out
from dbflax.toybox import scene as scene_lib

FIELDS = ('class_id', 'place_id', 'accessory_id', 'style_id')
TABLES = (
  *(scene_lib.CLASSES, scene_lib.PLACES),
  *(scene_lib.ACCESSORIES, scene_lib.STYLES),
)
ALL = np.array(list(itertools.product(*map(range, map(len, TABLES)))))


def _combinations(*, kept_out: bool) -> set[tuple]:
  """Combinations met in 3000 scenes."""
  keys = jax.random.split(jax.random.key(1), 3000)
  draw = lambda key: scene_lib.sample(key, held_out=kept_out)
  scenes = jax.device_get(jax.jit(jax.vmap(draw))(keys))
  fields = np.stack([getattr(scenes, name) for name in FIELDS], axis=1)
  return set(map(tuple, fields))


def test_a_combination_in_eleven_is_held_out():
  share = held_out.combination(*ALL.T).mean()
  assert abs(share - 1 / 11) < 0.005


def test_training_and_held_out_scenes_share_no_combination():
  out = set(map(tuple, ALL[held_out.combination(*ALL.T)]))
  assert not _combinations(kept_out=False) & out
  assert _combinations(kept_out=True) <= out


def test_every_pair_of_values_is_trained():
  """A held-out combination only puts known things together anew."""
  trained = ALL[~held_out.combination(*ALL.T)]
  for a, b in itertools.combinations(range(len(FIELDS)), 2):
    pairs = {(row[a], row[b]) for row in trained}
    assert len(pairs) == len(TABLES[a]) * len(TABLES[b])


def test_every_class_has_trained_and_held_out_plain_photos():
  """The commonest prompts, a class in a place, are on both sides."""
  classes, places = np.meshgrid(
    np.arange(len(scene_lib.CLASSES)), np.arange(len(scene_lib.PLACES))
  )
  out = held_out.combination(classes, places, 0, 0)
  assert out.any(axis=0).all()
  assert not out.all(axis=0).any()
  dog, beach = (
    scene_lib.CLASSES.index('dog'),
    scene_lib.PLACES.index('on the beach'),
  )
  assert not held_out.combination(dog, beach, 0, 0)
