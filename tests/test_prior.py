"""Class images: resumable, and the same whatever the batch."""

import jax
import numpy as np

from dbflax import prior

TEXT = np.zeros((3, 2), np.float32)


class Sampler:
  """Draws noise from an image's own key, and counts."""

  def __init__(self):
    self.drawn = []

  def __call__(self, params, text, null_text, keys):
    assert len(text) == len(keys)
    self.drawn.append(len(keys))
    draw = lambda key: jax.random.uniform(key, (8, 8, 3), minval=-1, maxval=1)
    return jax.vmap(draw)(keys)


def draw(folder, seed=0, count=5, batch=2):
  sampler = Sampler()
  prior.draw(
    folder, sampler, {}, TEXT, TEXT, seed=seed, count=count, batch=batch
  )
  return sampler, [p.read_bytes() for p in sorted(folder.glob('*.png'))]


def test_images_do_not_depend_on_the_batch(tmp_path):
  _, one = draw(tmp_path / 'a', batch=2)
  _, other = draw(tmp_path / 'b', batch=5)
  assert one == other
  assert len(set(one)) == 5


def test_only_missing_images_are_drawn(tmp_path):
  _, whole = draw(tmp_path)
  for n in (1, 4):
    prior.path(tmp_path, n).unlink()
  sampler, again = draw(tmp_path)
  assert again == whole
  assert sampler.drawn == [2]
  sampler, _ = draw(tmp_path)
  assert sampler.drawn == []


def test_more_images_leave_the_first_ones(tmp_path):
  _, few = draw(tmp_path / 'a', count=3)
  _, many = draw(tmp_path / 'b', count=6)
  assert many[:3] == few


def test_another_seed_draws_others(tmp_path):
  _, one = draw(tmp_path / 'a', seed=0)
  _, other = draw(tmp_path / 'b', seed=1)
  assert not set(one) & set(other)


def test_loaded_images_are_those_drawn(tmp_path):
  draw(tmp_path)
  loaded = prior.load(tmp_path, 5)
  assert loaded.shape == (5, 8, 8, 3)
  assert loaded.min() >= -1 and loaded.max() <= 1 and loaded.std() > 0.5
