"""A cat: pointed ears, a slim body, a long tail with a coloured tip.

Proportions: 0 legs, 1 length of the body, 2 head, 3 ears, 4 girth and
muzzle, 5 tail.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _ear(n: anatomy.Numbers):
  return 0.15 + 0.05 * n.p[3]


def _ears(x, y, apart, ear, inner=shapes.PINK) -> list[shapes.Shape]:
  """Pointed ears, outer and inner, at that distance from x."""
  return [
    shapes.shape(
      x + s * apart, y, w, ear * k, paint,
      angle=-s * 9, taper=-0.75, box=0.3, fur=1.0,
    )
    for w, k, paint in ((0.1, 1.0, shapes.MAIN), (0.055, 0.7, inner))
    for s in (-1, 1)
  ]  # fmt: skip


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg, long = 0.055 * n.p[0], 0.05 * n.p[1]
  y, wide = 0.34 + leg, 0.02 * n.p[4]
  hx, hy, r = 0.29 + 0.6 * long, 0.6 + leg, 0.21 + 0.028 * n.p[2]
  tail = 0.08 * n.p[5]
  items = [
    shapes.shape(
      -0.46 - long, y + 0.25 + 0.5 * tail, 0.05, 0.29 + 0.8 * tail,
      shapes.MAIN, angle=4, bend=0.3, fur=1.0,
    ),
    shapes.shape(
      -0.38 - long, y + 0.49 + 1.2 * tail, 0.055, 0.07, shapes.SECOND
    ),
    *anatomy.legs((-0.24 - long, 0.1), 0.05, 0.25 + leg, 0.8, shapes.MAIN),
    shapes.shape(
      -0.06, y, 0.34 + long, 0.145 + 1.5 * wide, shapes.MAIN,
      box=0.25, fur=1.0,
    ),
    *anatomy.marks(n, -0.06, y, 0.34, 0.145),
    *anatomy.legs(
      (-0.32 - long, 0.17 + long), 0.053, 0.26 + leg, 1.0, shapes.SECOND
    ),
    *_ears(hx, hy + 0.17, 0.13, _ear(n)),
    shapes.shape(hx, hy, r * 1.12, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(n, hx, hy, 0.21),
    shapes.shape(
      hx + 0.09, hy - 0.09, 0.1 + wide, 0.07 + 0.4 * wide, shapes.SECOND,
      fur=0.5,
    ),
    shapes.shape(hx + 0.09, hy - 0.05, 0.03, 0.022, shapes.PINK, tint=0.8),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.08, hy + 0.03, 0.2, 0.21),
    top=anatomy.Anchor(hx, hy + r * 0.9, 0.2, 0.22),
    neck=anatomy.Anchor(hx - 0.06, hy - 0.22, 0.2, 0.17),
  )


def _sitting(n: anatomy.Numbers):
  """Height of the body's middle, of the head and the head's radius."""
  up = 0.025 * n.p[0] + 0.02 * n.p[1]
  return 0.25 + up, 0.64 + 2 * up, 0.225 + 0.028 * n.p[2]


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  wide = 0.02 * n.p[4]
  items = [
    shapes.shape(
      0.32, 0.22 + 0.04 * n.p[5], 0.05, 0.22 + 0.06 * n.p[5], shapes.MAIN,
      angle=-20, bend=-0.4, fur=1.0,
    ),
    *anatomy.pair(0.17, 0.08, 0.09, 0.08, shapes.MAIN, fur=1.0),
    shapes.shape(
      0, y, 0.2 + 1.7 * wide, y, shapes.MAIN, box=0.1, taper=-0.3, fur=1.0
    ),
    *anatomy.marks(n, 0, y, 0.2, 0.25),
    *anatomy.legs((-0.08, 0.08), 0.054, 0.24, 1.0, shapes.SECOND),
    *_ears(0, hy + 0.18, 0.15, _ear(n)),
    shapes.shape(0, hy, r * 1.18, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(n, 0, hy, 0.225),
    shapes.shape(
      0, hy - 0.09, 0.1 + wide, 0.07 + 0.4 * wide, shapes.SECOND, fur=0.5
    ),
    shapes.shape(0, hy - 0.05, 0.032, 0.024, shapes.PINK, tint=0.8),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.24, 0.22),
    top=anatomy.Anchor(0, hy + r * 0.9, 0.22, 0.23),
    neck=anatomy.Anchor(0, hy - 0.22, 0.21, 0.18),
  )


def back(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  tail = 0.19 + 0.06 * n.p[5]
  items = [
    *_ears(0, hy + 0.18, 0.15, _ear(n), inner=shapes.MAIN),
    shapes.shape(0, hy, r * 1.18, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.225),
    *anatomy.pair(0.2, 0.035, 0.08, 0.04, shapes.SECOND, fur=0.5),
    shapes.shape(
      0, y, 0.21 + 0.034 * n.p[4], y, shapes.MAIN,
      box=0.1, taper=-0.35, fur=1.0,
    ),
    *anatomy.back_marks(n, 0, y + 0.02, 0.2, 0.24),
    *anatomy.pair(
      0.14, 0.12, 0.1, 0.12, shapes.MAIN, angle=20, tint=0.93, fur=1.0
    ),
    shapes.shape(
      0.27, 0.02 + tail, 0.045, tail, shapes.MAIN,
      angle=-14, bend=-0.45, tint=0.8, fur=1.0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.24, 0.22, alpha=0.0),
    top=anatomy.Anchor(0, hy + r * 0.9, 0.22, 0.23),
    neck=anatomy.Anchor(0, hy - 0.22, 0.21, 0.18),
  )


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg, long, wide = 0.025 * n.p[0], 0.04 * n.p[1], 0.02 * n.p[4]
  hy, r = 0.75 + long, 0.185 + 0.022 * n.p[2]
  tail = 0.06 * n.p[5]
  items = [
    shapes.shape(
      0.16, 0.15 - 0.5 * tail, 0.042, 0.21 + tail, shapes.MAIN,
      angle=40, bend=-0.5, tint=0.85, fur=1.0,
    ),
    *anatomy.pair(
      0.175 + leg, 0.27 - long, 0.048, 0.085, shapes.SECOND, angle=-22, fur=0.5
    ),
    *anatomy.pair(
      0.175 + leg, 0.62 + 0.5 * long, 0.048, 0.085, shapes.SECOND,
      angle=-22, fur=0.5,
    ),
    shapes.shape(
      0, 0.42, 0.165 + 1.4 * wide, 0.26 + long, shapes.MAIN,
      box=0.2, taper=-0.1, fur=1.0,
    ),
    *anatomy.back_marks(n, 0, 0.4, 0.165, 0.26),
    shapes.shape(
      0, hy + 0.165, 0.09 + wide, 0.08 + 0.4 * wide, shapes.SECOND, fur=0.5
    ),
    shapes.shape(0, hy + 0.225, 0.03, 0.022, shapes.PINK, tint=0.8),
    *[
      shape
      for size, paint in ((1.0, shapes.MAIN), (0.6, shapes.PINK))
      for shape in anatomy.pair(
        0.175, hy + 0.085, 0.085 * size, 0.85 * size * _ear(n), paint,
        angle=-46, taper=-0.75, box=0.3, fur=1.0,
      )
    ],
    shapes.shape(0, hy, r * 1.14, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.185, up=0.2),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy, 0.17, 0.17, alpha=0.0),
    top=anatomy.Anchor(0, hy - 0.01, 0.135, 0.135),
    neck=anatomy.Anchor(0, hy - 0.17, 0.16, 0.13),
  )
