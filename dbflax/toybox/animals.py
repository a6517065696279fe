"""The animals of the toybox, from the side and from the front."""

import numpy as np

from dbflax.toybox import anatomy, shapes


def dog_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg = 0.06 * n.p[0]  # longer legs lift everything above
  y = 0.42 + leg
  hx, hy, r = 0.3 + 0.03 * n.p[1], 0.74 + leg, 0.23 + 0.02 * n.p[2]
  ear = 0.17 + 0.05 * n.p[3]
  body = (-0.1, y, 0.36 + 0.04 * n.p[1], 0.185 + 0.02 * n.p[4])
  items = [
    shapes.shape(
      -0.49, y + 0.17, 0.05, 0.17 + 0.04 * n.p[5], shapes.MAIN,
      angle=30, bend=0.25, fur=1.0,
    ),
    *anatomy.legs((-0.28, 0.1), 0.062, 0.3 + leg, 0.8, shapes.MAIN),
    shapes.shape(*body, shapes.MAIN, box=0.3, fur=1.0),
    *anatomy.marks(n, *body[:2], 0.36, 0.185),
    *anatomy.legs((-0.36, 0.17), 0.066, 0.32 + leg, 1.0, shapes.SECOND),
    shapes.shape(hx, hy, r * 1.03, r, shapes.MAIN, box=0.15, fur=1.0),
    anatomy.head_mark(n, hx, hy, 0.23),
    shapes.shape(
      hx + 0.17, hy - 0.09, 0.15, 0.105, shapes.SECOND, box=0.2, fur=0.5,
    ),
    shapes.shape(hx + 0.26, hy - 0.04, 0.05, 0.04, shapes.DARK, gloss=0.6),
    shapes.shape(
      hx - 0.17, hy + 0.02, 0.085, ear, shapes.MAIN,
      angle=-14, taper=-0.3, tint=0.7, fur=1.0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.09, hy + 0.03, 0.19, 0.23),
    top=anatomy.Anchor(hx, hy + r * 0.85, 0.24, 0.24),
    neck=anatomy.Anchor(hx - 0.1, hy - 0.25, 0.24, 0.2),
  )


def dog_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  up = 0.03 * n.p[0]
  hy, r = 0.72 + up, 0.25 + 0.02 * n.p[2]
  ear = 0.18 + 0.05 * n.p[3]
  body = (0.0, 0.29, 0.25 + 0.03 * n.p[1], 0.28 + up)
  ears = [
    shapes.shape(
      s * 0.25, hy, 0.085, ear, shapes.MAIN,
      angle=s * 14, taper=-0.3, tint=0.7, fur=1.0,
    )
    for s in (-1, 1)
  ]  # fmt: skip
  items = [
    shapes.shape(
      -0.3, 0.2, 0.05, 0.15 + 0.04 * n.p[5], shapes.MAIN, angle=40, fur=1.0
    ),
    *[
      shapes.shape(s * 0.21, 0.09, 0.1, 0.09, shapes.MAIN, fur=1)
      for s in (-1, 1)
    ],
    shapes.shape(*body, shapes.MAIN, box=0.2, taper=-0.2, fur=1.0),
    *anatomy.marks(n, *body[:2], 0.25, 0.28),
    *anatomy.legs((-0.1, 0.1), 0.066, 0.26, 1.0, shapes.SECOND),
    shapes.shape(0, hy, r * 1.06, r, shapes.MAIN, box=0.15, fur=1.0),
    anatomy.head_mark(n, 0, hy, 0.25),
    shapes.shape(0, hy - 0.11, 0.13, 0.1, shapes.SECOND, box=0.2, fur=0.5),
    shapes.shape(0, hy - 0.055, 0.05, 0.038, shapes.DARK, gloss=0.6),
    *ears,
  ]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.25, 0.24),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.25, 0.25),
    neck=anatomy.Anchor(0, hy - 0.25, 0.25, 0.2),
  )


def _cat_ears(x, y, size, ear) -> list[shapes.Shape]:
  """Pointed ears, outer and inner, on a head of that half width."""
  return [
    shapes.shape(
      x + s * size, y, w, ear * k, paint,
      angle=-s * 9, taper=-0.9, box=0.3, fur=1.0,
    )
    for w, k, paint in ((0.11, 1.0, shapes.MAIN), (0.06, 0.7, shapes.PINK))
    for s in (-1, 1)
  ]  # fmt: skip


def cat_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  leg = 0.04 * n.p[0]
  y = 0.34 + leg
  hx, hy, r = 0.3 + 0.03 * n.p[1], 0.6 + leg, 0.21 + 0.02 * n.p[2]
  ear = 0.15 + 0.035 * n.p[3]
  body = (-0.06, y, 0.34 + 0.04 * n.p[1], 0.145 + 0.025 * n.p[4])
  items = [
    shapes.shape(
      -0.48, y + 0.25, 0.05, 0.3 + 0.05 * n.p[5], shapes.MAIN,
      angle=4, bend=0.3, fur=1.0,
    ),
    shapes.shape(-0.4, y + 0.5 + 0.05 * n.p[5], 0.055, 0.07, shapes.SECOND),
    *anatomy.legs((-0.24, 0.1), 0.05, 0.25 + leg, 0.8, shapes.MAIN),
    shapes.shape(*body, shapes.MAIN, box=0.25, fur=1.0),
    *anatomy.marks(n, *body[:2], 0.34, 0.145),
    *anatomy.legs((-0.32, 0.18), 0.053, 0.26 + leg, 1.0, shapes.SECOND),
    *_cat_ears(hx, hy + 0.17, 0.13, ear),
    shapes.shape(hx, hy, r * 1.12, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(n, hx, hy, 0.21),
    shapes.shape(hx + 0.09, hy - 0.09, 0.1, 0.07, shapes.SECOND, fur=0.5),
    shapes.shape(hx + 0.09, hy - 0.05, 0.03, 0.022, shapes.PINK, tint=0.8),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.08, hy + 0.03, 0.2, 0.21),
    top=anatomy.Anchor(hx, hy + r * 0.9, 0.2, 0.22),
    neck=anatomy.Anchor(hx - 0.06, hy - 0.22, 0.2, 0.17),
  )


def cat_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  up = 0.02 * n.p[0]
  hy, r = 0.64 + up, 0.225 + 0.02 * n.p[2]
  ear = 0.155 + 0.035 * n.p[3]
  body = (0.0, 0.25, 0.2 + 0.03 * n.p[4], 0.25 + up)
  items = [
    shapes.shape(
      0.32, 0.22, 0.05, 0.22 + 0.04 * n.p[5], shapes.MAIN,
      angle=-20, bend=-0.4, fur=1.0,
    ),
    *[shapes.shape(s * 0.17, 0.08, 0.09, 0.08, shapes.MAIN,
    fur=1) for s in (-1, 1)],
    shapes.shape(*body, shapes.MAIN, box=0.1, taper=-0.3, fur=1.0),
    *anatomy.marks(n, *body[:2], 0.2, 0.25),
    *anatomy.legs((-0.08, 0.08), 0.054, 0.24, 1.0, shapes.SECOND),
    *_cat_ears(0, hy + 0.18, 0.15, ear),
    shapes.shape(0, hy, r * 1.18, r, shapes.MAIN, box=0.05, fur=1.0),
    anatomy.head_mark(n, 0, hy, 0.225),
    shapes.shape(0, hy - 0.09, 0.1, 0.07, shapes.SECOND, fur=0.5),
    shapes.shape(0, hy - 0.05, 0.032, 0.024, shapes.PINK, tint=0.8),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.03, 0.24, 0.22),
    top=anatomy.Anchor(0, hy + r * 0.9, 0.22, 0.23),
    neck=anatomy.Anchor(0, hy - 0.22, 0.21, 0.18),
  )


def duck_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y = 0.32 + 0.03 * n.p[0]
  hx, hy, r = 0.24 + 0.03 * n.p[1], 0.77 + 0.06 * n.p[0], 0.18 + 0.015 * n.p[2]
  body = (-0.08, y, 0.38 + 0.04 * n.p[1], 0.23 + 0.02 * n.p[4])
  items = [
    *[shapes.shape(x, 0.08, 0.03, 0.1, shapes.BEAK, tint=0.9) for x in (-0.08,
    0.1)],
    *[
      shapes.shape(
        x + 0.04, 0.025, 0.09, 0.03, shapes.BEAK) for x in (-0.08, 0.1,
      )
    ],
    shapes.shape(
      -0.44, y + 0.13, 0.07, 0.15 + 0.04 * n.p[5], shapes.MAIN, angle=42,
      taper=-0.5
    ),
    shapes.shape(
      hx - 0.03, 0.55, 0.115, 0.2, shapes.MAIN, angle=8, taper=-0.25, fur=0.6
    ),
    shapes.shape(*body, shapes.MAIN, angle=8, fur=0.6),
    *anatomy.marks(n, *body[:2], 0.38, 0.23),
    shapes.shape(
      -0.14, y + 0.03, 0.22 + 0.03 * n.p[3], 0.12, shapes.MAIN,
      angle=-8, taper=0.2, tint=0.82, fur=0.6,
    ),
    shapes.shape(
      -0.26, y + 0.0, 0.13 + 0.03 * n.p[3], 0.06, shapes.SECOND, angle=-6,
      fur=0.6
    ),
    shapes.shape(hx, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(n, hx, hy, 0.18),
    shapes.shape(
      hx + 0.22, hy - 0.04, 0.13 + 0.025 * n.p[5], 0.055, shapes.BEAK,
      angle=-6, bend=0.0, box=0.3,
    ),
    shapes.shape(
      hx + 0.2, hy - 0.055, 0.1 + 0.02 * n.p[5], 0.012, shapes.BEAK,
      angle=-6, tint=0.55, line=0,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.03, hy + 0.04, 0.16, 0.19),
    mouth=anatomy.Anchor(hx + 0.21, hy - 0.06, 0.12, 0.12),
    top=anatomy.Anchor(hx - 0.02, hy + r * 0.85, 0.18, 0.2),
    neck=anatomy.Anchor(hx - 0.04, hy - 0.22, 0.15, 0.16),
  )


def duck_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  hy, r = 0.73 + 0.06 * n.p[0], 0.19 + 0.015 * n.p[2]
  body = (0.0, 0.33 + 0.03 * n.p[0], 0.27 + 0.03 * n.p[4], 0.25)
  items = [
    *[shapes.shape(s * 0.11, 0.06, 0.03, 0.07, shapes.BEAK) for s in (-1, 1)],
    *[shapes.shape(s * 0.12, 0.025, 0.09, 0.032, shapes.BEAK) for s in (-1, 1)],
    shapes.shape(0, 0.57, 0.12, 0.14, shapes.MAIN, taper=-0.2, fur=0.6),
    shapes.shape(*body, shapes.MAIN, taper=-0.1, fur=0.6),
    *anatomy.marks(n, *body[:2], 0.27, 0.25),
    *[
      shapes.shape(
        s * 0.27, 0.36, 0.07 + 0.02 * n.p[3], 0.19, shapes.MAIN,
        angle=s * 14, tint=0.82, fur=0.6,
      )
      for s in (-1, 1)
    ],
    shapes.shape(0, hy, r, r, shapes.MAIN, fur=0.6),
    anatomy.head_mark(n, 0, hy, 0.19),
    shapes.shape(
      0, hy - 0.06, 0.11 + 0.02 * n.p[5], 0.06, shapes.BEAK, box=0.2,
    ),
    shapes.shape(
      0, hy - 0.07, 0.09 + 0.02 * n.p[5], 0.012, shapes.BEAK, tint=0.55, line=0
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.05, 0.2, 0.2),
    mouth=anatomy.Anchor(0, hy - 0.07, 0.14, 0.14),
    top=anatomy.Anchor(0, hy + r * 0.85, 0.19, 0.2),
    neck=anatomy.Anchor(0, hy - 0.22, 0.17, 0.16),
  )
