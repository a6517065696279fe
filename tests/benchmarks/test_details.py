"""What super-resolution makes of a subject, where the truth is known."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import details
from configs.studies import common
from dbflax import errors
from dbflax.evaluate import lpips
from dbflax.study import runs
from dbflax.toybox import scene, subjects


def test_unseen_scenes_are_of_the_individual_in_other_places():
  subject = subjects.named('dog/1')
  one, photos = subjects.individual(subject), subjects.scenes(subject)
  found = details.unseen(subject)
  assert len(found) == 8
  for unseen in found:
    np.testing.assert_array_equal(unseen.individual, one)
    assert scene.CLASSES[int(unseen.class_id)] == 'dog'
  places = lambda scenes: {int(one.place_id) for one in scenes}
  assert not places(found) & places(photos)
  assert len(places(found)) > 1


def test_figures_are_means_over_pictures(monkeypatch):
  apart = lambda a, b: np.abs(a - b).mean((1, 2, 3))
  monkeypatch.setattr(lpips, 'distance', apart)
  real = np.zeros((2, 4, 4, 3), np.float32)
  # Off by .2 and .02 of a range of 2: 20 and 40 dB.
  drawn = real + np.float32([0.2, 0.02])[:, None, None, None]
  psnr, far = details.figures(drawn, real).values()
  assert psnr == pytest.approx(30.0, abs=1e-4)
  assert far == pytest.approx(0.11)


def test_unseen_scenes_are_woven_where_the_subject_is():
  plain, woven = (
    details.unseen(subjects.named(name))[0] for name in ('cat/3', 'cat/3/woven')
  )
  small, large = (
    [subjects.draw(one, side) for one in (plain, woven)] for side in (64, 256)
  )
  np.testing.assert_allclose(*small, atol=1e-5)
  assert np.abs(large[0] - large[1]).max() > 0.2


def test_the_picture_has_a_row_for_each_subject(tmp_path):
  rows = [[np.full((32, 32, 3), x, np.float32) for x in row] for row in _SHADES]
  details.save(tmp_path / 'x.jpg', rows)
  drawn = np.asarray(Image.open(tmp_path / 'x.jpg')).astype(int)
  assert drawn.shape == (66, 100, 3)
  shown = drawn[16::34, 16::34, 0] / 127.5 - 1
  np.testing.assert_allclose(shown, _SHADES, atol=0.02)


_SHADES = [[-0.8, 0.0, 0.9], [0.5, -0.4, 0.2]]


@pytest.mark.parametrize(
  'photos, stages, message',
  [
    ('photos/rex', ('stage_1', 'stage_2'), 'needs a subject of toybox'),
    ('toybox:dog', ('stage_1',), 'cascade.stages=.* needs a subject of'),
    ('toybox:dog', ('stage_1', 'stage_2'), 'is not done; --mode=study does'),
  ],
)
def test_what_cannot_be_measured_is_said(tmp_path, photos, stages, message):
  config = common.study('study_x', question='?', paper='!', arms={'a': {}})
  config.subjects = (dict(photos=photos, class_noun='dog'),)
  config.base.cascade.stages = stages
  with pytest.raises(errors.UserError, match=message):
    details.measure(runs.plan(config, tmp_path)[0])


def test_it_is_of_a_study():
  argv = ['details', '--config=configs/dog.py']
  with pytest.raises(errors.UserError, match='give --mode=study'):
    details.run(argv)
