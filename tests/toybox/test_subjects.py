"""The embedded subjects: five photos of one individual nobody trained on."""

import pathlib

import jax
import numpy as np
import pytest
from PIL import Image

import dbflax
from dbflax.toybox import render, subjects
from dbflax.toybox import scene as scene_lib

FOLDER = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/subjects'
NAMES = sorted(subjects.SUBJECTS)


@pytest.mark.parametrize('name', NAMES)
def test_individual_is_held_out_and_the_same_in_all(name):
  scenes = subjects.scenes(subjects.SUBJECTS[name])
  assert all(scene_lib.held_out(scene) for scene in scenes)
  for scene in scenes:
    np.testing.assert_array_equal(scene.individual, scenes[0].individual)
  assert len({int(scene.place_id) for scene in scenes}) == len(scenes)
  assert all(scene.style_id == 0 for scene in scenes)
  assert all(scene.accessory_id == 0 for scene in scenes)


@pytest.mark.parametrize('name', NAMES)
def test_embedded_photos_are_the_renderer_s(name):
  """Checked at 64 px: the files are rounded to a few levels."""
  draw = jax.jit(lambda scene: render.render(scene, 64))
  files = sorted((FOLDER / name).glob('*.png'))
  scenes = subjects.scenes(subjects.SUBJECTS[name])
  assert len(files) == len(scenes) == 5
  for file, scene in zip(files, scenes, strict=True):
    image = Image.open(file)
    assert image.size == (1024, 1024) and image.mode == 'RGB'
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX))
    expected = (np.asarray(draw(scene)) + 1) * 127.5
    assert np.abs(small - expected).mean() < 3.0


def test_all_photos_together_are_small():
  files = list(FOLDER.glob('*/*.png'))
  assert sum(file.stat().st_size for file in files) <= 2e6
