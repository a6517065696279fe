"""What holds for the things of the toybox and not for its animals."""

import numpy as np
import pytest

from dbflax.toybox import shapes
from dbflax.toybox.figures import (
  anatomy,
  backpack,
  boot,
  car,
  clock,
  teapot,
  vase,
)

THINGS = (teapot, backpack, car, vase, boot, clock)
DRAW = [
  pytest.param(draw, id=f'{thing.__name__.split(".")[-1]}-{draw.__name__}')
  for thing in THINGS
  for draw in (thing.side, thing.front, thing.back, thing.above)
]
C = shapes.COLUMN


def rows(draw, v):
  return np.stack([item.row for item in draw(v).shapes])


def outline(table):
  """Points [k, n, 2] on the outlines of n ellipses; boxes are a bit larger."""
  turn = np.linspace(0, 2 * np.pi, 60)[:, None]
  w, h = table[:, C['w']], table[:, C['h']]
  x = w * np.cos(turn) * (1 + table[:, C['taper']] * np.sin(turn))
  x, y = x + table[:, C['bend']] * h * np.sin(turn) ** 2, h * np.sin(turn)
  cos, sin = np.cos(table[:, C['angle']]), np.sin(table[:, C['angle']])
  return np.stack(
    [
      table[:, C['x']] + cos * x - sin * y,
      table[:, C['y']] + sin * x + cos * y,
    ],
    axis=-1,
  )


@pytest.mark.parametrize('draw', DRAW)
def test_a_thing_stands_on_the_ground_inside_its_frame(draw):
  rng = np.random.default_rng(0)
  for i in range(40):
    extreme = np.sign(rng.normal(size=8))
    v = np.concatenate([extreme[:6], np.eye(5)[i % 5], extreme[6:]])
    table = rows(draw, v)
    points = outline(table[table[:, C['clip']] == 0])
    x, y = points[..., 0], points[..., 1]
    assert abs(x).max() < 0.68
    assert y.min() > -0.03
    assert y.max() < 1.1


@pytest.mark.parametrize('thing', THINGS)
def test_all_six_proportions_show(thing):
  """Two individuals that differ in one proportion look different."""
  for unit in np.eye(anatomy.NUMBERS)[:6]:
    change = [
      abs(rows(draw, unit) - rows(draw, -unit)).max()
      for draw in (thing.side, thing.front)
    ]
    assert max(change) > 0.03


@pytest.mark.parametrize('thing', THINGS)
def test_things_have_no_expression(thing):
  for draw in (thing.side, thing.front, thing.back, thing.above):
    assert draw(np.zeros(anatomy.NUMBERS)).face.alpha == 0


def test_the_hands_of_a_clock_start_in_the_middle_of_its_dial():
  """For any turn: an affine hand is only nearly a turning one."""
  for turn in np.linspace(-1, 1, 9):
    v = np.zeros(anatomy.NUMBERS)
    v[[3, 5]] = turn
    hour, minute, pivot = rows(clock.front, v)[-3:]
    for hand in (hour, minute):
      angle, length = hand[C['angle']], hand[C['h']]
      root = hand[:2] - length * np.array([-np.sin(angle), np.cos(angle)])
      assert np.linalg.norm(root - pivot[:2]) < pivot[C['w']]
