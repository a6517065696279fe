"""Truths of what super-resolution and sheets are made of."""

import jax
import numpy as np
import pytest

from dbflax.toybox import captions, scene
from dbflax.train import measure_base, measure_sr, sheets


@pytest.fixture(scope='module')
def pictures():
  """What `enlarge` returns if the stage draws what is really there."""
  rng = np.random.default_rng(0)
  real = rng.uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
  low = real.reshape(3, 4, 4, 4, 4, 3).mean((2, 4))

  def draw(prompts, keys, lower):
    np.testing.assert_array_equal(lower, low)
    assert len(prompts) == len(keys) == 3
    return real

  return measure_sr.enlarge(
    draw, lambda scenes: low, lambda scenes: real, seed=0, count=3
  )


def test_what_is_really_there_beats_bicubic(pictures):
  distance = lambda a, b: np.abs(a - b).mean((1, 2, 3))
  record = measure_sr.compare('stage_2', pictures, distance)
  assert record['values'] == {'stage_2 PSNR': np.inf, 'stage_2 LPIPS': 0}
  sign, psnr = record['bars']['stage_2 PSNR']
  assert sign == '>' and 0 < psnr < 20
  sign, lpips = record['bars']['stage_2 LPIPS']
  assert sign == '<' and lpips > 0.1


def test_bicubic_enlargement_equals_itself(pictures):
  swapped = {**pictures, 'drawn': pictures['bicubic']}
  record = measure_sr.compare('x', swapped, None)
  assert record['values']['x PSNR'] == record['bars']['x PSNR'][1]
  assert record['values']['x LPIPS'] is None


def test_patches_cut_and_lose_nothing():
  rows, columns = np.mgrid[:1024, :1024]
  picture = np.stack([rows, columns, rows], axis=-1)
  cut = measure_sr.patches(picture)
  assert cut.shape == (16, 256, 256, 3)
  np.testing.assert_array_equal(cut[6, 0, 0], [256, 512, 256])
  np.testing.assert_array_equal(cut[6], picture[256:512, 512:768])
  small = picture[:64, :64]
  np.testing.assert_array_equal(measure_sr.patches(small), small[None])


def test_a_sheet_shows_the_same_part_of_large_pictures():
  real = np.full((1, 1024, 1024, 3), -1.0)
  real[:, 384:640, 384:640] = 1  # The middle.
  low = real[:, ::4, ::4]
  shown = {'low': low, 'bicubic': real, 'drawn': real, 'real': real}
  sheet = measure_sr.sheet([shown])
  assert sheet.shape == (256, 4 * 256 + 6, 3)
  assert (sheet == 255).all()


@pytest.mark.parametrize('noun', ['dog', 'clock'])
def test_cases_are_said_in_the_grammar_s_words(noun):
  shown = sheets.cases(noun)
  assert len(shown) == 2 * sheets.COLUMNS
  assert len({case.prompt for case in shown}) == len(shown)
  known = {word for phrase in captions.phrases() for word in phrase.split()}
  said = {word for case in shown for word in case.prompt.split()}
  assert said <= known | {'a', 'an'}


def test_sheet_scenes_are_held_out_individuals_in_each_case():
  shown = sheets.cases('cat')
  scenes = sheets.held_out_scenes('cat', shown, jax.random.key(0))
  assert jax.vmap(scene.held_out)(scenes).all()
  assert (scenes.class_id == scene.CLASSES.index('cat')).all()
  for n, case in enumerate(shown):
    for name, value in case.fields.items():
      assert getattr(scenes, name)[n] == value
  # A prompt tells what its scene shows.
  [crown] = [n for n, c in enumerate(shown) if 'crown' in c.prompt]
  assert scene.ACCESSORIES[scenes.accessory_id[crown]] == 'crown'
  [above] = [n for n, c in enumerate(shown) if 'above' in c.prompt]
  assert scene.VIEWS[scenes.view_id[above]] == 'above'


def test_renders_stand_above_the_samples_of_the_same_case():
  count = 2 * sheets.COLUMNS
  render = lambda scenes: _flat(np.full(count, -1.0))
  # Sample n of a class is as bright as n tells.
  shades = np.tile(np.linspace(0, 1, count), len(scene.CLASSES))
  made = sheets.draw(lambda prompts, keys: _flat(shades), render, seed=0)
  assert set(made) == set(scene.CLASSES)
  # Tiles of one pixel, two pixels apart.
  rows = made['boot'][::3, ::3, 0]
  assert rows.shape == (4, sheets.COLUMNS)
  assert (rows[[0, 2]] == 0).all()
  assert (np.diff(rows[[1, 3]].reshape(-1).astype(int)) > 0).all()


def _flat(shades):
  """Pictures of one pixel."""
  return np.repeat(np.asarray(shades)[:, None, None, None], 3, axis=-1)


def test_low_pictures_are_those_of_what_pretraining_never_shows():
  seen = []
  stub = lambda scenes: seen.append(scenes) or np.zeros((2, 4, 4, 3))
  draw = lambda prompts, keys, low: low
  measure_sr.enlarge(draw, stub, stub, seed=0, count=2)
  low, real = seen
  jax.tree.map(np.testing.assert_array_equal, low, real)
  assert jax.vmap(scene.held_out)(real).all()
  texts, _ = measure_base.write_prompts(real, 0)
  assert all(
    scene.CLASSES[c] in text
    for c, text in zip(real.class_id, texts, strict=True)
  )
