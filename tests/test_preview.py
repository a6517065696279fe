"""The grid that is drawn while a stage trains, with a fake for the stage."""

import types

import jax
import numpy as np
import pytest

from dbflax import preview, rng
from dbflax.data import images

# Photos of 4 pixels, and lower images of 2, by their brightness.
PHOTOS = np.ones((2, 4, 4, 3)) * np.array([0.2, 0.4])[:, None, None, None]


@pytest.fixture
def sampler():
  """Draws the lower image, enlarged and darker; keeps what it was given."""

  def sample(params, text, null_text, keys, low):
    data = jax.random.key_data(keys)
    sample.calls.append((text.ravel().tolist(), data))
    return low.repeat(2, axis=1).repeat(2, axis=2) + params

  sample.calls = []
  return sample


def _draw(sampler, folder, size):
  """The grid [4 rows, lower image – drawn – photo], in numbers of pictures."""
  job = types.SimpleNamespace(
    config=types.SimpleNamespace(seed=3, sample=types.SimpleNamespace(batch=4)),
    samplers={'stage_2': sampler},
    batches=lambda: {'stage_2': size},
    begins=lambda name: None,
  )
  examples = types.SimpleNamespace(
    image=PHOTOS,
    low=PHOTOS[:, ::2, ::2] - 0.1,
    texts=lambda index: index[:, None, None],
  )
  preview.draw(job, 'stage_2', examples, None, folder, -0.5, 7)
  grid = images.to_float(images.load(folder / 'samples' / '000007.png'))
  return grid[2::6, 2::6, 0]  # two pixels of white lie between


@pytest.mark.parametrize('size', [4, 2, 1])
def test_the_grid_does_not_depend_on_the_calls(sampler, tmp_path, size):
  grid = _draw(sampler, tmp_path, size)
  rows = [[0.1, -0.4, 0.2], [0.3, -0.2, 0.4]] * 2
  np.testing.assert_allclose(grid, rows, atol=1 / 127)
  assert [len(text) for text, _ in sampler.calls] == [size] * (4 // size)
  texts, keys = zip(*sampler.calls, strict=True)
  assert sum(texts, []) == [0, 1, 0, 1]
  expected = rng.keys(jax.random.key(3), 'preview', np.arange(4))
  np.testing.assert_array_equal(
    np.concatenate(keys), jax.random.key_data(expected)
  )
