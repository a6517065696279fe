"""A dog: hanging ears, a muzzle with a black nose, a raised tail.

Proportions: 0 legs, 1 length of body and muzzle, 2 head, 3 ears, 4 girth,
5 tail.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg, long = 0.08 * n.p[0], 0.05 * n.p[1]
  y = 0.41 + leg  # longer legs lift everything above
  hx, hy, r = 0.27 + 0.6 * long, 0.73 + leg, 0.225 + 0.03 * n.p[2]
  ear = 0.17 + 0.065 * n.p[3]  # hangs from a fixed point
  items = [
    shapes.shape(
      -0.46 - 1.2 * long, y + 0.16, 0.05, 0.17 + 0.07 * n.p[5], shapes.MAIN,
      angle=30, bend=0.25, fur=1.0,
    ),
    *anatomy.legs((-0.28 - long, 0.1), 0.06, 0.3 + leg, 0.8, shapes.MAIN),
    shapes.shape(
      -0.1, y, 0.35 + long, 0.185 + 0.03 * n.p[4], shapes.MAIN,
      box=0.3, fur=1.0,
    ),
    *anatomy.marks(n, -0.1, y, 0.36, 0.185),
    *anatomy.legs(
      (-0.36 - long, 0.15 + long), 0.066, 0.31 + leg, 1.0, shapes.SECOND
    ),
    shapes.shape(hx, hy, r * 1.03, r, shapes.MAIN, box=0.15, fur=1.0),
    anatomy.head_mark(n, hx, hy, 0.23),
    shapes.shape(
      hx + 0.17 + 0.6 * long, hy - 0.09, 0.145 + 0.6 * long, 0.105,
      shapes.SECOND, box=0.2, fur=0.5,
    ),
    shapes.shape(
      hx + 0.26 + 1.2 * long, hy - 0.04, 0.05, 0.04, shapes.DARK, gloss=0.6
    ),
    shapes.shape(
      hx - 0.75 * r, hy + 0.19 - ear, 0.085, ear, shapes.MAIN,
      angle=-14, taper=-0.3, tint=0.7, fur=1.0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.09, hy + 0.03, 0.19, 0.23),
    top=anatomy.Anchor(hx, hy + r * 0.85, 0.24, 0.24),
    neck=anatomy.Anchor(hx - 0.1, hy - 0.25, 0.24, 0.2),
  )


def _hanging_ears(n: anatomy.Numbers, hy, r) -> list[shapes.Shape]:
  ear = 0.18 + 0.065 * n.p[3]
  return anatomy.pair(
    r, hy + 0.18 - ear, 0.085, ear, shapes.MAIN,
    angle=14, taper=-0.3, tint=0.7, fur=1.0,
  )  # fmt: skip


def _sitting(n: anatomy.Numbers):
  """Height of the body's middle, of the head and the head's radius."""
  up = 0.03 * n.p[0] + 0.012 * n.p[1]
  return 0.29 + up, 0.72 + 2 * up, 0.25 + 0.03 * n.p[2]


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  long = 0.05 * n.p[1]
  items = [
    shapes.shape(
      -0.3, 0.2, 0.05, 0.15 + 0.06 * n.p[5], shapes.MAIN, angle=40, fur=1.0
    ),
    *anatomy.pair(0.21, 0.09, 0.1, 0.09, shapes.MAIN, fur=1.0),
    shapes.shape(
      0, y, 0.25 + 0.04 * n.p[4], y - 0.01, shapes.MAIN,
      box=0.2, taper=-0.2, fur=1.0,
    ),
    *anatomy.marks(n, 0, y, 0.25, 0.28),
    *anatomy.legs((-0.1, 0.1), 0.066, 0.26, 1.0, shapes.SECOND),
    shapes.shape(0, hy, r * 1.06, r, shapes.MAIN, box=0.15, fur=1.0),
    anatomy.head_mark(n, 0, hy, 0.25),
    shapes.shape(
      0, hy - 0.11, 0.13 + 0.3 * long, 0.1 + 0.3 * long, shapes.SECOND,
      box=0.2, fur=0.5,
    ),
    shapes.shape(0, hy - 0.055, 0.05, 0.038, shapes.DARK, gloss=0.6),
    *_hanging_ears(n, hy, r),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.25, 0.24),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.25, 0.25),
    neck=anatomy.Anchor(0, hy - 0.25, 0.25, 0.2),
  )


def back(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  tail = 0.17 + 0.06 * n.p[5]
  items = [
    shapes.shape(0, hy, r * 1.06, r, shapes.MAIN, box=0.15, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.25),
    *_hanging_ears(n, hy, r),
    *anatomy.pair(0.27, 0.04, 0.1, 0.045, shapes.SECOND, fur=0.5),
    shapes.shape(
      0, y, 0.25 + 0.04 * n.p[4], y - 0.01, shapes.MAIN,
      box=0.2, taper=-0.25, fur=1.0,
    ),
    *anatomy.back_marks(n, 0, y + 0.02, 0.24, 0.26),
    *anatomy.pair(
      0.19, 0.13, 0.12, 0.13, shapes.MAIN, angle=20, tint=0.93, fur=1.0
    ),
    shapes.shape(
      0.03, 0.1 + tail, 0.052, tail, shapes.MAIN,
      angle=-16, bend=0.12, tint=0.68, fur=1.0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.25, 0.24, alpha=0.0),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.25, 0.25),
    neck=anatomy.Anchor(0, hy - 0.25, 0.25, 0.2),
  )


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg, long = 0.03 * n.p[0], 0.04 * n.p[1]
  hy, r = 0.72 + long, 0.19 + 0.025 * n.p[2]
  ear = 0.13 + 0.045 * n.p[3]
  items = [
    shapes.shape(
      0.05, 0.12 - long, 0.045, 0.13 + 0.05 * n.p[5], shapes.MAIN,
      angle=22, bend=0.35, taper=0.2, tint=0.85, fur=1.0,
    ),
    *anatomy.pair(
      0.215 + leg, 0.24 - long, 0.06, 0.1, shapes.SECOND, angle=-24, fur=0.5
    ),
    *anatomy.pair(
      0.215 + leg, 0.57 + 0.5 * long, 0.06, 0.1, shapes.SECOND,
      angle=-24, fur=0.5,
    ),
    shapes.shape(
      0, 0.38, 0.2 + 0.03 * n.p[4], 0.25 + long, shapes.MAIN,
      box=0.25, fur=1.0,
    ),
    *anatomy.back_marks(n, 0, 0.36, 0.2, 0.25),
    shapes.shape(
      0, hy + 0.19 + 0.4 * long, 0.105, 0.11 + 0.4 * long, shapes.SECOND,
      box=0.2, fur=0.5,
    ),
    shapes.shape(
      0, hy + 0.28 + 0.8 * long, 0.045, 0.035, shapes.DARK, gloss=0.6
    ),
    shapes.shape(0, hy, r * 1.05, r, shapes.MAIN, box=0.1, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.19, up=0.2),
    *anatomy.pair(
      0.9 * r + 0.03, hy + 0.06 - 0.5 * ear, 0.075, ear, shapes.MAIN,
      angle=28, taper=-0.3, tint=0.7, fur=1.0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy, 0.19, 0.19, alpha=0.0),
    top=anatomy.Anchor(0, hy - 0.01, 0.15, 0.15),
    neck=anatomy.Anchor(0, hy - 0.19, 0.19, 0.15),
  )
