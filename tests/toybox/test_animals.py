"""Animals: every view shows the individual, and only some show its face."""

import numpy as np
import pytest

from dbflax.toybox import scene as scene_lib
from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy, catalogue

CASES = [
  pytest.param(draw, view, id=f'{name}-{view}')
  for name in scene_lib.ANIMALS
  for draw, view in zip(
    catalogue.FIGURES[scene_lib.CLASSES.index(name)],
    scene_lib.VIEWS,
    strict=True,
  )
]
BELLY = scene_lib.MARKINGS.index('belly')


def _rows(draw, v):
  return shapes.table(draw(v).shapes)[0]


def _column(rows, name):
  return rows[:, shapes.COLUMN[name]]


def _individuals(count):
  """Extreme individuals, each with one marking."""
  rng = np.random.default_rng(3)
  ends = rng.choice([-1.0, 1.0], (count, anatomy.NUMBERS))
  ends[:, 6:11] = np.eye(5)[rng.integers(0, 5, count)]
  return ends


@pytest.mark.parametrize('draw, view', CASES)
def test_every_proportion_shows_in_every_view(draw, view):
  usual = _rows(draw, np.zeros(anatomy.NUMBERS))
  for index in range(6):
    changed = _rows(draw, np.eye(anatomy.NUMBERS)[index])
    assert np.abs(changed - usual).max() > 0.01


@pytest.mark.parametrize('draw, view', CASES)
def test_faces_are_seen_from_the_side_and_the_front_only(draw, view):
  face = draw(np.zeros(anatomy.NUMBERS)).face
  assert face.alpha == (view in ('side', 'front'))


@pytest.mark.parametrize('draw, view', CASES)
def test_markings_show_unless_the_belly_is_hidden(draw, view):
  plain, *others = np.eye(anatomy.NUMBERS)[6:11]
  before = _column(_rows(draw, plain), 'alpha')
  for kind, marked in enumerate(others, start=1):
    shown = np.any(_column(_rows(draw, marked), 'alpha') > before)
    assert shown == (kind != BELLY or view in ('side', 'front'))


@pytest.mark.parametrize('draw, view', CASES)
def test_figures_fit_their_frame(draw, view):
  """Centres stay well inside, so that no part leaves the picture."""
  for v in _individuals(32):
    rows = _rows(draw, v)
    visible = rows[_column(rows, 'clip') == 0]  # marks may end outside
    assert np.abs(_column(visible, 'x')).max() < 0.65
    assert _column(visible, 'y').min() > 0.0
    assert _column(visible, 'y').max() < 1.1
