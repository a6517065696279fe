"""Places fit their table and are told apart by what the subject leaves free."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.toybox import render, shapes
from dbflax.toybox import scene as scene_lib
from dbflax.toybox.places import catalogue

SIDE = 64
FREE = np.ones((SIDE, SIDE), bool)  # what a large subject does not cover
FREE[SIDE // 3 :, SIDE // 6 : -SIDE // 6] = False


@pytest.mark.parametrize('draw', catalogue.PLACES, ids=lambda d: d.__name__)
def test_a_place_is_a_palette_and_a_few_props(draw):
  place = draw()
  palette = np.array(place.palette)
  assert palette.shape == (8, 3)
  assert palette.min() >= 0 and palette.max() <= 1
  assert 0.2 < place.horizon < 0.5 and 0 < len(place.props) <= catalogue.ROWS
  rows, paints = shapes.table(place.props)
  assert rows[:, [shapes.COLUMN['w'], shapes.COLUMN['h']]].min() > 0
  # A place never takes the paints of the subject.
  own = {shapes.MAIN, shapes.SECOND, shapes.ACCENT, shapes.WORN}
  assert not own & set(paints.tolist())


def _edges(seed: int, place_id) -> jax.Array:
  """The free part of a photo, coarse: [numbers]."""
  key = jax.random.fold_in(jax.random.key(seed), place_id)
  scene = scene_lib.sample(key)._replace(
    place_id=place_id, style_id=0, view_id=1, size=jnp.array(0.5)
  )
  picture = render.render(scene, SIDE)
  # The mirrored half of the scenes is mirrored back.
  picture = jnp.where(scene.mood[3] < 0, picture[:, ::-1], picture)
  coarse = (picture * FREE[..., None]).reshape(16, 4, 16, 4, 3).mean((1, 3))
  return coarse.reshape(-1)


@pytest.mark.slow
def test_edges_alone_tell_the_place():
  """The nearest mean of eight other photos is that of the same place."""
  places = jnp.arange(len(catalogue.PLACES))
  draw = jax.jit(jax.vmap(_edges, (None, 0)))
  each = np.stack([draw(seed, places) for seed in range(12)])
  means, photos = each[:8].mean(0), each[8:]
  far = np.linalg.norm(photos[:, :, None] - means, axis=-1)
  right = far.argmin(-1) == np.arange(len(catalogue.PLACES))
  assert right.mean() > 0.95
