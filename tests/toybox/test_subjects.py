"""The embedded subjects: five photos of one individual nobody trained on."""

import pathlib

import jax
import numpy as np
import pytest
from PIL import Image

import dbflax
from dbflax import errors
from dbflax.toybox import render, subjects
from dbflax.toybox import scene as scene_lib

FOLDER = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/subjects'
NAMES = sorted(subjects.SUBJECTS)


DRAWN = [subjects.named(f'{name}/1') for name in scene_lib.CLASSES]


@pytest.mark.parametrize(
  'subject', [*subjects.SUBJECTS.values(), *DRAWN], ids=lambda s: s.class_name
)
def test_individual_is_held_out_and_the_same_in_all(subject):
  scenes = subjects.scenes(subject)
  name = subject.class_name
  assert {int(s.class_id) for s in scenes} == {scene_lib.CLASSES.index(name)}
  assert all(scene_lib.held_out(scene) for scene in scenes)
  for scene in scenes:
    np.testing.assert_array_equal(scene.individual, scenes[0].individual)
  assert len({int(scene.place_id) for scene in scenes}) == len(scenes)
  assert all(scene.style_id == 0 for scene in scenes)
  assert all(scene.accessory_id == 0 for scene in scenes)
  assert all(scene.material_id == 0 for scene in scenes)


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


def test_no_two_subjects_are_one_individual():
  """Neither of a class nor of two, whose seeds may be the same numbers."""
  found = [subjects.individual(subject) for subject in DRAWN]
  found += [
    subjects.individual(subjects.named(f'dog/{n}')) for n in (0, 2, 999)
  ]
  distance = np.abs(np.stack(found)[:, None] - np.stack(found)).sum(-1)
  assert distance[~np.eye(len(found), dtype=bool)].min() > 1


def test_a_name_is_one_subject():
  assert subjects.named('cat/3') == subjects.named('cat/3')
  assert subjects.named('dog/5') == subjects.SUBJECTS['dog']


def test_64_pixels_do_not_show_that_a_subject_is_woven():
  plain, woven = (subjects.named(name) for name in ('cat/3', 'cat/3/woven'))
  assert woven == plain._replace(woven=True)
  small, large = (
    [subjects.photos(one, side).astype(int) for one in (plain, woven)]
    for side in (64, 256)
  )
  np.testing.assert_array_equal(*small)
  threads = np.abs(large[0] - large[1]).max((1, 2, 3))
  assert threads.min() > 30
  # It is the subject that is woven, not the place.
  np.testing.assert_array_equal(*(photos[:, :32] for photos in large))


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('unicorn/3', "no class 'unicorn'.*dog, cat, duck.*clock"),
    ('/3', "no class ''"),
    *((f'cat/{seed}', 'from 0 to 999') for seed in ('', '-1', '1000', '03')),
    *((f'cat/{seed}', "such as 'toybox:cat/3'") for seed in ('x', '3/4', '٣')),
    ('cat/woven', "'toybox:cat/woven': '' is no individual"),
    ('cat/3/woven/woven', "'3/woven' is no individual"),
  ],
)
def test_a_name_of_nobody_is_refused(name, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    subjects.named(name)
  assert '\n' not in str(caught.value)
