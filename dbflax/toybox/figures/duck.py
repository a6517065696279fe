"""A duck: an orange bill and webbed feet, wings with a coloured mirror.

Proportions: 0 neck, 1 length of the body, 2 head, 3 wings, 4 girth, 5 tail
and bill.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, long, wing = 0.32 + 0.02 * n.p[0], 0.05 * n.p[1], 0.045 * n.p[3]
  hx, hy = 0.24 + 0.6 * long, 0.76 + 0.08 * n.p[0]
  r, bill = 0.18 + 0.024 * n.p[2], 0.035 * n.p[5]
  items = [
    *[
      shapes.shape(x, 0.08, 0.03, 0.1, shapes.BEAK, tint=0.9)
      for x in (-0.08, 0.1)
    ],
    *[
      shapes.shape(x, 0.025, 0.09, 0.03, shapes.BEAK) for x in (-0.04, 0.14)
    ],
    shapes.shape(
      -0.43 - long, y + 0.14, 0.07, 0.15 + 0.06 * n.p[5], shapes.MAIN,
      angle=42, taper=-0.5, fur=0.6,
    ),
    shapes.shape(
      hx - 0.03, 0.55 + 0.04 * n.p[0], 0.115, 0.2 + 0.03 * n.p[0],
      shapes.MAIN, angle=8, taper=-0.25, fur=0.6,
    ),
    shapes.shape(
      -0.08, y, 0.37 + long, 0.23 + 0.03 * n.p[4], shapes.MAIN,
      angle=8, fur=0.6,
    ),
    *anatomy.marks(n, -0.08, y, 0.38, 0.23),
    shapes.shape(
      -0.14, y + 0.03, 0.22 + wing, 0.12 + 0.4 * wing, shapes.MAIN,
      angle=-8, taper=0.2, tint=0.82, fur=0.6,
    ),
    shapes.shape(
      -0.26 - 0.4 * wing, y, 0.13 + 0.8 * wing, 0.06, shapes.SECOND,
      angle=-6, fur=0.6,
    ),
    shapes.shape(hx, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(n, hx, hy, 0.18),
    shapes.shape(
      hx + 0.22 + 0.6 * bill, hy - 0.04, 0.13 + bill, 0.055, shapes.BEAK,
      angle=-6, box=0.3,
    ),
    shapes.shape(
      hx + 0.2 + 0.6 * bill, hy - 0.055, 0.1 + 0.8 * bill, 0.012,
      shapes.BEAK, angle=-6, tint=0.55, line=0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.03, hy + 0.04, 0.16, 0.19),
    mouth=anatomy.Anchor(hx + 0.21, hy - 0.06, 0.12, 0.12),
    top=anatomy.Anchor(hx - 0.02, hy + r * 0.85, 0.18, 0.2),
    neck=anatomy.Anchor(hx - 0.04, hy - 0.22, 0.15, 0.16),
  )


def _upright(n: anatomy.Numbers):
  """Height of the body's middle, of the head and the head's radius."""
  return 0.33 + 0.02 * n.p[0], 0.73 + 0.08 * n.p[0], 0.19 + 0.024 * n.p[2]


def _feet() -> list[shapes.Shape]:
  return [
    *anatomy.pair(0.11, 0.06, 0.03, 0.07, shapes.BEAK),
    *anatomy.pair(0.12, 0.025, 0.09, 0.032, shapes.BEAK),
  ]


def _throat(n: anatomy.Numbers) -> shapes.Shape:
  return shapes.shape(
    0, 0.57 + 0.04 * n.p[0], 0.12, 0.14 + 0.03 * n.p[0], shapes.MAIN,
    taper=-0.2, fur=0.6,
  )  # fmt: skip


def _wings(n: anatomy.Numbers, y) -> list[shapes.Shape]:
  return anatomy.pair(
    0.27 + 0.02 * n.p[4], y + 0.03, 0.07 + 0.02 * n.p[3],
    0.19 + 0.03 * n.p[3], shapes.MAIN, angle=14, tint=0.82, fur=0.6,
  )  # fmt: skip


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _upright(n)
  bill = 0.025 * n.p[5]
  items = [
    *_feet(),
    _throat(n),
    shapes.shape(
      0, y, 0.27 + 0.04 * n.p[4], 0.25 + 0.02 * n.p[1], shapes.MAIN,
      taper=-0.1, fur=0.6,
    ),
    *anatomy.marks(n, 0, y, 0.27, 0.25),
    *_wings(n, y),
    shapes.shape(0, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(n, 0, hy, 0.19),
    shapes.shape(
      0, hy - 0.06, 0.11 + bill, 0.06 + 0.3 * bill, shapes.BEAK, box=0.2
    ),
    shapes.shape(
      0, hy - 0.07, 0.09 + bill, 0.012, shapes.BEAK, tint=0.55, line=0
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.05, 0.2, 0.2),
    mouth=anatomy.Anchor(0, hy - 0.07, 0.14, 0.14),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.19, 0.2),
    neck=anatomy.Anchor(0, hy - 0.22, 0.17, 0.16),
  )


def back(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _upright(n)
  tail = 0.04 * n.p[5]
  items = [
    *_feet(),
    shapes.shape(0, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.19),
    _throat(n),
    shapes.shape(
      0, y, 0.27 + 0.04 * n.p[4], 0.25 + 0.02 * n.p[1], shapes.MAIN,
      taper=-0.1, fur=0.6,
    ),
    *anatomy.back_marks(n, 0, y, 0.25, 0.24),
    *anatomy.pair(
      0.18 + 0.03 * n.p[4], y + 0.04, 0.1 + 0.02 * n.p[3],
      0.2 + 0.03 * n.p[3], shapes.MAIN, angle=-16, tint=0.82, fur=0.6,
    ),
    *anatomy.pair(
      0.16 + 0.03 * n.p[4], y - 0.06, 0.045, 0.09 + 0.02 * n.p[3],
      shapes.SECOND, angle=-18, fur=0.6,
    ),
    shapes.shape(
      0, 0.21 + 0.7 * tail, 0.12 + 0.5 * tail, 0.12 + tail, shapes.MAIN,
      taper=-0.6, tint=0.92, fur=0.6,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.05, 0.2, 0.2, alpha=0.0),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.19, 0.2),
    neck=anatomy.Anchor(0, hy - 0.22, 0.17, 0.16),
  )


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  long, wide, wing = 0.035 * n.p[1], 0.03 * n.p[4], 0.035 * n.p[3]
  hy, r = 0.73 + 0.04 * n.p[0] + 0.5 * long, 0.15 + 0.018 * n.p[2]
  bill, tail = 0.03 * n.p[5], 0.04 * n.p[5]
  items = [
    *anatomy.pair(
      0.21 + wide, 0.2, 0.05, 0.08, shapes.BEAK, angle=-30, taper=0.3
    ),
    shapes.shape(
      0, 0.12 - long - 0.5 * tail, 0.1, 0.13 + tail, shapes.MAIN,
      taper=0.55, tint=0.9, fur=0.6,
    ),
    shapes.shape(
      0, 0.58 + 0.02 * n.p[0], 0.1, 0.13, shapes.MAIN, tint=0.95, fur=0.6
    ),
    shapes.shape(
      0, 0.36, 0.25 + wide, 0.28 + long, shapes.MAIN, taper=0.12, fur=0.6
    ),
    *anatomy.back_marks(n, 0, 0.37, 0.22, 0.26),
    *anatomy.pair(
      0.2 + wide, 0.33, 0.09 + 0.4 * wing, 0.22 + wing, shapes.MAIN,
      angle=-14, taper=0.35, tint=0.82, fur=0.6,
    ),
    *anatomy.pair(
      0.18 + wide, 0.25 - 0.4 * wing, 0.045, 0.1 + 0.7 * wing, shapes.SECOND,
      angle=-16, fur=0.6,
    ),
    shapes.shape(
      0, hy + 0.19 + 0.5 * bill, 0.08, 0.13 + bill, shapes.BEAK,
      box=0.25, taper=0.2,
    ),
    shapes.shape(0, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.15, up=0.2),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy, 0.15, 0.15, alpha=0.0),
    top=anatomy.Anchor(0, hy, 0.125, 0.125),
    neck=anatomy.Anchor(0, hy - 0.15, 0.14, 0.13),
  )
