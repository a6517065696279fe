"""Prompts through all stages, with fakes for the stages."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import beside, job, sample, sharding
from dbflax.data import images

TEXT = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 3, 2))


def first(params, text, null_text, keys):
  """4 px images of the prompt's number and a little of the key's noise."""
  noise = jax.vmap(lambda k: jax.random.uniform(k, (4, 4, 3)))(keys)
  return text[:, :1, :1, None] / 10 + noise * 1e-3 + params['shift']


def second(params, text, null_text, keys, low):
  """The lower image, twice as large."""
  return jnp.asarray(low.repeat(2, axis=1).repeat(2, axis=2)) + params['shift']


def draw(folder, *batches):
  samplers = {'stage_1': first, 'stage_2': second}
  params = lambda name: {'shift': {'stage_1': 0.0, 'stage_2': 0.25}[name]}
  files = sample.file_names(['a zk dog'], 5)
  sample.draw(
    *(folder, samplers, params, TEXT, TEXT[0]),
    files=files,
    seed=0,
    batches=dict(zip(samplers, batches or (2, 2), strict=True)),
  )
  read = lambda stage, n: images.to_float(
    images.load(folder / stage / files[n])
  )
  return {s: np.stack([read(s, n) for n in range(5)]) for s in samplers}


def test_every_stage_gets_its_image_from_the_stage_below(tmp_path):
  drawn = draw(tmp_path)
  np.testing.assert_allclose(
    drawn['stage_1'].mean((1, 2, 3)), np.arange(5) / 10, atol=1e-2
  )
  enlarged = drawn['stage_1'].repeat(2, axis=1).repeat(2, axis=2)
  # Two roundings to 8 bits lie between.
  np.testing.assert_allclose(drawn['stage_2'], enlarged + 0.25, atol=2 / 127)


def test_images_do_not_depend_on_the_batch(tmp_path):
  one, other = draw(tmp_path / 'a', 2, 1), draw(tmp_path / 'b', 5, 3)
  for stage in one:
    np.testing.assert_array_equal(one[stage], other[stage])


@pytest.mark.parametrize(
  ('batch', 'cores', 'of_stage_1', 'of_stage_2'),
  [(4, 2, 4, 2), (3, 2, 3, 3), (4, 1, 4, 4)],
)
def test_large_pictures_are_drawn_half_a_batch_at_a_time(
  tiny, monkeypatch, batch, cores, of_stage_1, of_stage_2
):
  """On a CPU of several cores, which draws two halves at once."""
  monkeypatch.setattr(beside, 'cores', lambda: cores)
  config = types.SimpleNamespace(sample=types.SimpleNamespace(batch=batch))
  of = lambda name, mesh: job.batch_of(config, tiny, name, mesh)
  assert of('stage_1', sharding.make_mesh()) == of_stage_1
  assert of('stage_2', sharding.make_mesh()) == of_stage_2
  assert of('stage_2', sharding.abstract_mesh(1)) == batch


def test_names_of_files_are_not_too_long_in_any_script(tmp_path):
  [name] = sample.file_names(['𝓪' * 70], 1)
  assert set(name[5:-4]) == {'𝓪'}
  (tmp_path / f'{name}.partial').touch()


def test_files_are_named_by_number_and_prompt():
  assert sample.file_names(['a zk dog, at 10°', '../x' * 99], 2) == [
    '0000_a_zk_dog_at_10.png',
    '0001_a_zk_dog_at_10.png',
    f'0002_{("x.._" * 99)[: sample._SAID]}.png',
    f'0003_{("x.._" * 99)[: sample._SAID]}.png',
  ]


def test_index_names_every_image_of_every_prompt(tmp_path):
  draw(tmp_path)
  sample.write_index(
    tmp_path, ['stage_1', 'stage_2'], ['a {subject}'], ['a zk dog'], 5
  )
  [entry] = json.loads((tmp_path / 'samples.json').read_text())
  assert entry['prompt'] == 'a zk dog'
  files = [f for image in entry['images'] for f in image.values()]
  assert len(set(files)) == 10
  assert all((tmp_path / file).is_file() for file in files)
