"""The classes of the toybox: each figure as a short list of shapes.

A figure stands on y = 0 and is about 1 high, x to the right, facing right.
It is an affine function of an individual's 13 numbers: proportions `p` [6],
the one-hot kind of marking `m` [5] and the marking's place `at` [2].

Every figure returns (shapes, anchors). Anchors say where a face and worn
things go: (x, y, width, height) of the face, of the top of the head, and of
the neck; `mouth` differs from its place in the face where there is a beak.
Things have a face with alpha 0: it only says where sunglasses go.
"""

from typing import NamedTuple

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.shapes import ACCENT, BEAK, DARK, MAIN, PINK, SECOND, WHITE

NUMBERS = 13
ROWS = 27  # the longest figure


class Anchor(NamedTuple):
  """Where a part goes: centre and the lengths of its two unit vectors."""

  x: float
  y: float
  w: float
  h: float
  alpha: float = 1.0


class Figure(NamedTuple):
  shapes: list[shapes.Shape]
  face: Anchor
  top: Anchor
  neck: Anchor
  mouth: Anchor | None = None  # where the face alone does not say


class Numbers(NamedTuple):
  """An individual's numbers by name."""

  p: np.ndarray  # proportions [6]
  m: np.ndarray  # one-hot marking [5]: plain, spots, belly, stripes, saddle
  at: np.ndarray  # [2]


def numbers(v: np.ndarray) -> Numbers:
  return Numbers(v[:6], v[6:11], v[11:13])


def _marks(n: Numbers, x, y, w, h) -> list[shapes.Shape]:
  """Three patches on a body with centre (x, y) and half sizes (w, h).

  Their places and sizes are sums over the one-hot kind of marking, which
  keeps the figure affine in its numbers.
  """
  _, spots, belly, stripes, saddle = n.m
  dx, dy = 0.3 * w * n.at[0], 0.2 * h * n.at[1]
  at = lambda u, v, a, b, **c: shapes.mark(
    x + dx + u * w, y + dy + v * h, 0.001 + a * w, 0.001 + b * h, **c
  )
  each = spots + stripes
  return [
    at(
      -0.5 * spots - 0.55 * stripes,
      0.3 * spots,
      0.27 * spots + 0.11 * stripes,
      0.38 * spots + 1.6 * stripes,
      alpha=each,
    ),
    at(
      0.05 * spots,
      -0.35 * spots - 0.95 * belly + 0.95 * saddle,
      0.24 * spots + 0.11 * stripes + 0.8 * belly + 0.62 * saddle,
      0.34 * spots + 1.6 * stripes + 0.75 * belly + 0.8 * saddle,
      alpha=each + belly + saddle,
    ),
    at(
      0.6 * spots + 0.55 * stripes,
      0.25 * spots,
      0.26 * spots + 0.11 * stripes,
      0.36 * spots + 1.6 * stripes,
      alpha=each,
    ),
  ]


def _head_mark(n: Numbers, x, y, r) -> shapes.Shape:
  """One patch on a head: a dark eye, a blaze or a cap, by kind of marking."""
  _, spots, belly, stripes, saddle = n.m
  return shapes.mark(
    x + r * (0.4 * spots + 0.35 * belly),
    y + r * (0.15 * spots - 0.7 * belly + 0.4 * stripes + 1.05 * saddle),
    0.001 + r * (0.38 * spots + 0.7 * belly + 0.14 * stripes + 0.9 * saddle),
    0.001 + r * (0.42 * spots + 0.6 * belly + 0.8 * stripes + 0.55 * saddle),
    alpha=spots + belly + stripes + saddle,
  )


def _legs(xs, w, h, tint, feet) -> list[shapes.Shape]:
  """Legs with paws on the ground at each x."""
  legs = [
    shapes.shape(x, h / 2, w, h / 2 + 0.04, MAIN, box=0.6, tint=tint, fur=1.0)
    for x in xs
  ]
  return legs + [
    shapes.shape(x + 0.025, 0.035, w * 1.2, 0.04, feet, tint=tint) for x in xs
  ]


def dog_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  leg = 0.06 * n.p[0]  # longer legs lift everything above
  y = 0.42 + leg
  hx, hy, r = 0.3 + 0.03 * n.p[1], 0.74 + leg, 0.23 + 0.02 * n.p[2]
  ear = 0.17 + 0.05 * n.p[3]
  body = (-0.1, y, 0.36 + 0.04 * n.p[1], 0.185 + 0.02 * n.p[4])
  items = [
    shapes.shape(
      -0.49, y + 0.17, 0.05, 0.17 + 0.04 * n.p[5], MAIN,
      angle=30, bend=0.25, fur=1.0,
    ),
    *_legs((-0.28, 0.1), 0.062, 0.3 + leg, 0.8, MAIN),
    shapes.shape(*body, MAIN, box=0.3, fur=1.0),
    *_marks(n, *body),
    *_legs((-0.36, 0.17), 0.066, 0.32 + leg, 1.0, SECOND),
    shapes.shape(hx, hy, r * 1.03, r, MAIN, box=0.15, fur=1.0),
    _head_mark(n, hx, hy, 0.23),
    shapes.shape(
      hx + 0.17, hy - 0.09, 0.15, 0.105, SECOND, box=0.2, fur=0.5,
    ),
    shapes.shape(hx + 0.26, hy - 0.04, 0.05, 0.04, DARK, gloss=0.6),
    shapes.shape(
      hx - 0.17, hy + 0.02, 0.085, ear, MAIN,
      angle=-14, taper=-0.3, tint=0.7, fur=1.0,
    ),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(hx + 0.09, hy + 0.03, 0.19, 0.23),
    top=Anchor(hx, hy + r * 0.85, 0.24, 0.24),
    neck=Anchor(hx - 0.1, hy - 0.25, 0.24, 0.2),
  )


def dog_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  up = 0.03 * n.p[0]
  hy, r = 0.72 + up, 0.25 + 0.02 * n.p[2]
  ear = 0.18 + 0.05 * n.p[3]
  body = (0.0, 0.29, 0.25 + 0.03 * n.p[1], 0.28 + up)
  ears = [
    shapes.shape(
      s * 0.25, hy, 0.085, ear, MAIN,
      angle=s * 14, taper=-0.3, tint=0.7, fur=1.0,
    )
    for s in (-1, 1)
  ]  # fmt: skip
  items = [
    shapes.shape(
      -0.3, 0.2, 0.05, 0.15 + 0.04 * n.p[5], MAIN, angle=40, fur=1.0
    ),
    *[shapes.shape(s * 0.21, 0.09, 0.1, 0.09, MAIN, fur=1) for s in (-1, 1)],
    shapes.shape(*body, MAIN, box=0.2, taper=-0.2, fur=1.0),
    *_marks(n, *body),
    *_legs((-0.1, 0.1), 0.066, 0.26, 1.0, SECOND),
    shapes.shape(0, hy, r * 1.06, r, MAIN, box=0.15, fur=1.0),
    _head_mark(n, 0, hy, 0.25),
    shapes.shape(0, hy - 0.11, 0.13, 0.1, SECOND, box=0.2, fur=0.5),
    shapes.shape(0, hy - 0.055, 0.05, 0.038, DARK, gloss=0.6),
    *ears,
  ]
  return Figure(
    items,
    face=Anchor(0, hy + 0.03, 0.25, 0.24),
    top=Anchor(0, hy + r * 0.85, 0.25, 0.25),
    neck=Anchor(0, hy - 0.25, 0.25, 0.2),
  )


def _cat_ears(x, y, size, ear) -> list[shapes.Shape]:
  """Pointed ears, outer and inner, on a head of that half width."""
  return [
    shapes.shape(
      x + s * size, y, w, ear * k, paint,
      angle=-s * 9, taper=-0.9, box=0.3, fur=1.0,
    )
    for w, k, paint in ((0.11, 1.0, MAIN), (0.06, 0.7, PINK))
    for s in (-1, 1)
  ]  # fmt: skip


def cat_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  leg = 0.04 * n.p[0]
  y = 0.34 + leg
  hx, hy, r = 0.3 + 0.03 * n.p[1], 0.6 + leg, 0.21 + 0.02 * n.p[2]
  ear = 0.15 + 0.035 * n.p[3]
  body = (-0.06, y, 0.34 + 0.04 * n.p[1], 0.145 + 0.025 * n.p[4])
  items = [
    shapes.shape(
      -0.48, y + 0.25, 0.05, 0.3 + 0.05 * n.p[5], MAIN,
      angle=4, bend=0.3, fur=1.0,
    ),
    shapes.shape(-0.4, y + 0.5 + 0.05 * n.p[5], 0.055, 0.07, SECOND),
    *_legs((-0.24, 0.1), 0.05, 0.25 + leg, 0.8, MAIN),
    shapes.shape(*body, MAIN, box=0.25, fur=1.0),
    *_marks(n, *body),
    *_legs((-0.32, 0.18), 0.053, 0.26 + leg, 1.0, SECOND),
    *_cat_ears(hx, hy + 0.17, 0.13, ear),
    shapes.shape(hx, hy, r * 1.12, r, MAIN, box=0.05, fur=1.0),
    _head_mark(n, hx, hy, 0.21),
    shapes.shape(hx + 0.09, hy - 0.09, 0.1, 0.07, SECOND, fur=0.5),
    shapes.shape(hx + 0.09, hy - 0.05, 0.03, 0.022, PINK, tint=0.8),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(hx + 0.08, hy + 0.03, 0.2, 0.21),
    top=Anchor(hx, hy + r * 0.9, 0.2, 0.22),
    neck=Anchor(hx - 0.06, hy - 0.22, 0.2, 0.17),
  )


def cat_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  up = 0.02 * n.p[0]
  hy, r = 0.64 + up, 0.225 + 0.02 * n.p[2]
  ear = 0.155 + 0.035 * n.p[3]
  body = (0.0, 0.25, 0.2 + 0.03 * n.p[4], 0.25 + up)
  items = [
    shapes.shape(
      0.32, 0.22, 0.05, 0.22 + 0.04 * n.p[5], MAIN,
      angle=-20, bend=-0.4, fur=1.0,
    ),
    *[shapes.shape(s * 0.17, 0.08, 0.09, 0.08, MAIN, fur=1) for s in (-1, 1)],
    shapes.shape(*body, MAIN, box=0.1, taper=-0.3, fur=1.0),
    *_marks(n, *body),
    *_legs((-0.08, 0.08), 0.054, 0.24, 1.0, SECOND),
    *_cat_ears(0, hy + 0.18, 0.15, ear),
    shapes.shape(0, hy, r * 1.18, r, MAIN, box=0.05, fur=1.0),
    _head_mark(n, 0, hy, 0.225),
    shapes.shape(0, hy - 0.09, 0.1, 0.07, SECOND, fur=0.5),
    shapes.shape(0, hy - 0.05, 0.032, 0.024, PINK, tint=0.8),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(0, hy + 0.03, 0.24, 0.22),
    top=Anchor(0, hy + r * 0.9, 0.22, 0.23),
    neck=Anchor(0, hy - 0.22, 0.21, 0.18),
  )


def duck_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  y = 0.32 + 0.03 * n.p[0]
  hx, hy, r = 0.24 + 0.03 * n.p[1], 0.77 + 0.06 * n.p[0], 0.18 + 0.015 * n.p[2]
  body = (-0.08, y, 0.38 + 0.04 * n.p[1], 0.23 + 0.02 * n.p[4])
  items = [
    *[shapes.shape(x, 0.08, 0.03, 0.1, BEAK, tint=0.9) for x in (-0.08, 0.1)],
    *[
      shapes.shape(x + 0.04, 0.025, 0.09, 0.03, BEAK) for x in (-0.08, 0.1)
    ],
    shapes.shape(
      -0.44, y + 0.13, 0.07, 0.15 + 0.04 * n.p[5], MAIN, angle=42, taper=-0.5
    ),
    shapes.shape(
      hx - 0.03, 0.55, 0.115, 0.2, MAIN, angle=8, taper=-0.25, fur=0.6
    ),
    shapes.shape(*body, MAIN, angle=8, fur=0.6),
    *_marks(n, *body),
    shapes.shape(
      -0.14, y + 0.03, 0.22 + 0.03 * n.p[3], 0.12, MAIN,
      angle=-8, taper=0.2, tint=0.82, fur=0.6,
    ),
    shapes.shape(
      -0.26, y + 0.0, 0.13 + 0.03 * n.p[3], 0.06, SECOND, angle=-6, fur=0.6
    ),
    shapes.shape(hx, hy, r, r, MAIN, fur=0.6),
    _head_mark(n, hx, hy, 0.18),
    shapes.shape(
      hx + 0.22, hy - 0.04, 0.13 + 0.025 * n.p[5], 0.055, BEAK,
      angle=-6, bend=0.0, box=0.3,
    ),
    shapes.shape(
      hx + 0.2, hy - 0.055, 0.1 + 0.02 * n.p[5], 0.012, BEAK,
      angle=-6, tint=0.55, line=0,
    ),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(hx + 0.03, hy + 0.04, 0.16, 0.19),
    mouth=Anchor(hx + 0.21, hy - 0.06, 0.12, 0.12),
    top=Anchor(hx - 0.02, hy + r * 0.85, 0.18, 0.2),
    neck=Anchor(hx - 0.04, hy - 0.22, 0.15, 0.16),
  )


def duck_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  hy, r = 0.73 + 0.06 * n.p[0], 0.19 + 0.015 * n.p[2]
  body = (0.0, 0.33 + 0.03 * n.p[0], 0.27 + 0.03 * n.p[4], 0.25)
  items = [
    *[shapes.shape(s * 0.11, 0.06, 0.03, 0.07, BEAK) for s in (-1, 1)],
    *[shapes.shape(s * 0.12, 0.025, 0.09, 0.032, BEAK) for s in (-1, 1)],
    shapes.shape(0, 0.57, 0.12, 0.14, MAIN, taper=-0.2, fur=0.6),
    shapes.shape(*body, MAIN, taper=-0.1, fur=0.6),
    *_marks(n, *body),
    *[
      shapes.shape(
        s * 0.27, 0.36, 0.07 + 0.02 * n.p[3], 0.19, MAIN,
        angle=s * 14, tint=0.82, fur=0.6,
      )
      for s in (-1, 1)
    ],
    shapes.shape(0, hy, r, r, MAIN, fur=0.6),
    _head_mark(n, 0, hy, 0.19),
    shapes.shape(0, hy - 0.06, 0.11 + 0.02 * n.p[5], 0.06, BEAK, box=0.2),
    shapes.shape(
      0, hy - 0.07, 0.09 + 0.02 * n.p[5], 0.012, BEAK, tint=0.55, line=0
    ),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(0, hy + 0.05, 0.2, 0.2),
    mouth=Anchor(0, hy - 0.07, 0.14, 0.14),
    top=Anchor(0, hy + r * 0.85, 0.19, 0.2),
    neck=Anchor(0, hy - 0.22, 0.17, 0.16),
  )


def _pot(n: Numbers, gloss=0.7) -> list[shapes.Shape]:
  """The round body of a teapot with its foot and lid."""
  w, h = 0.34 + 0.04 * n.p[0], 0.3 + 0.04 * n.p[1]
  body = (0.0, 0.37, w, h)
  knob = 0.06 + 0.015 * n.p[3]
  return [
    shapes.shape(0, 0.06, 0.22, 0.06, MAIN, box=0.5, tint=0.8, gloss=gloss),
    shapes.shape(*body, MAIN, box=0.12, gloss=gloss),
    *_marks(n, *body),
    shapes.shape(
      0, 0.655 + 0.04 * n.p[1], 0.21, 0.075, SECOND, gloss=gloss, taper=-0.2
    ),
    shapes.shape(
      0, 0.77 + 0.04 * n.p[1] + 0.02 * n.p[3], knob, knob, ACCENT, gloss=gloss
    ),
  ]


def teapot_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  handle = 0.17 + 0.04 * n.p[4]
  items = [
    shapes.shape(
      -0.53, 0.42, 0.045, handle, SECOND, bend=1.05, gloss=0.5, box=0.2
    ),
    shapes.shape(-0.4, 0.585 + 0.04 * n.p[4], 0.13, 0.042, SECOND, angle=8),
    shapes.shape(-0.4, 0.255 - 0.04 * n.p[4], 0.13, 0.042, SECOND, angle=-8),
    shapes.shape(
      0.44 + 0.02 * n.p[2], 0.44, 0.085, 0.25 + 0.04 * n.p[2], MAIN,
      angle=-42, taper=-0.35, bend=0.18, gloss=0.7,
    ),
    *_pot(n),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(0.06, 0.42, 0.27, 0.28, 0.0),
    top=Anchor(0, 0.74, 0.22, 0.24),
    neck=Anchor(0, 0.24, 0.32, 0.18),
  )


def teapot_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  items = [
    *_pot(n),
    shapes.shape(
      0, 0.42, 0.1, 0.17 + 0.03 * n.p[2], MAIN, taper=-0.3, gloss=0.7
    ),
    shapes.shape(0, 0.55 + 0.03 * n.p[2], 0.07, 0.045, MAIN, tint=0.9),
    shapes.shape(0, 0.555 + 0.03 * n.p[2], 0.045, 0.026, DARK, line=0),
  ]
  return Figure(
    items,
    face=Anchor(0, 0.42, 0.27, 0.28, 0.0),
    top=Anchor(0, 0.74, 0.22, 0.24),
    neck=Anchor(0, 0.24, 0.32, 0.18),
  )


def backpack_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  h = 0.43 + 0.04 * n.p[0]
  w = 0.26 + 0.03 * n.p[1]
  body = (0.0, 0.45, w, h)
  top = 0.06 * n.p[0]
  items = [
    *[
      shapes.shape(x, 0.46, 0.04, 0.3, SECOND, bend=0.22, box=0.4, tint=t)
      for x, t in ((-0.33, 0.7), (-0.27, 0.85))
    ],
    shapes.shape(-0.04, 0.9 + top, 0.1, 0.075, SECOND, tint=0.8),
    shapes.shape(*body, MAIN, box=0.65, taper=-0.12, fur=0.4),
    *_marks(n, *body),
    shapes.shape(
      -0.17, 0.22, 0.08, 0.15 + 0.03 * n.p[3], ACCENT, box=0.7, fur=0.4
    ),
    shapes.shape(
      0.14, 0.25, 0.18, 0.17 + 0.03 * n.p[2], SECOND, box=0.7, fur=0.4
    ),
    shapes.shape(0.14, 0.31, 0.155, 0.014, DARK, box=0.8, line=0),
    shapes.shape(
      0.03, 0.79 + top, 0.25, 0.1, MAIN, box=0.5, tint=0.78, fur=0.4
    ),
    *[
      shapes.shape(x, 0.65 + 0.05 * n.p[0], 0.028, 0.09, ACCENT, box=0.7)
      for x in (0.02, 0.2)
    ],
  ]
  return Figure(
    items,
    face=Anchor(0.06, 0.56, 0.23, 0.25, 0.0),
    top=Anchor(0, 0.88, 0.22, 0.24),
    neck=Anchor(0.02, 0.42, 0.28, 0.2),
  )


def backpack_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  h = 0.43 + 0.04 * n.p[0]
  body = (0.0, 0.45, 0.33 + 0.03 * n.p[1], h)
  pocket = 0.16 + 0.03 * n.p[2]
  items = [
    *[
      shapes.shape(s * 0.36, 0.25, 0.07, 0.15 + 0.03 * n.p[3], ACCENT, box=0.6)
      for s in (-1, 1)
    ],
    shapes.shape(0, 0.9 + 0.06 * n.p[0], 0.11, 0.08, SECOND, tint=0.8),
    shapes.shape(*body, MAIN, box=0.65, taper=-0.12, fur=0.4),
    *_marks(n, *body),
    shapes.shape(0, 0.24, 0.23, pocket, SECOND, box=0.7, fur=0.4),
    shapes.shape(0, 0.24 + 0.06, 0.2, 0.014, DARK, box=0.8, line=0),
    shapes.shape(
      0, 0.79 + 0.06 * n.p[0], 0.3, 0.1, MAIN, box=0.5, tint=0.78, fur=0.4
    ),
    *[
      shapes.shape(s * 0.14, 0.64 + 0.05 * n.p[0], 0.028, 0.09, ACCENT, box=0.7)
      for s in (-1, 1)
    ],
  ]
  return Figure(
    items,
    face=Anchor(0, 0.56, 0.26, 0.25, 0.0),
    top=Anchor(0, 0.88, 0.23, 0.24),
    neck=Anchor(0, 0.42, 0.33, 0.2),
  )


def _wheel(x, r) -> list[shapes.Shape]:
  return [
    shapes.shape(x, r, r, r, DARK, puff=0.5),
    shapes.shape(x, r, r * 0.52, r * 0.52, ACCENT, gloss=0.8, line=0),
  ]


def car_side(v: np.ndarray) -> Figure:
  n = numbers(v)
  r = 0.135 + 0.02 * n.p[0]
  w = 0.58 + 0.05 * n.p[1]
  roof = 0.15 + 0.03 * n.p[2]
  cx = -0.06 + 0.06 * n.p[3]
  body = (0.0, 0.28, w, 0.15 + 0.015 * n.p[4])
  items = [
    shapes.shape(
      cx, 0.5 + 0.03 * n.p[2], 0.34, roof + 0.05, MAIN,
      box=0.55, taper=-0.3, gloss=0.6,
    ),
    shapes.shape(
      cx - 0.145, 0.51 + 0.03 * n.p[2], 0.115, roof - 0.045, WHITE,
      box=0.6, taper=-0.15, tint=0.72, gloss=0.8, angle=-5,
    ),
    shapes.shape(
      cx + 0.14, 0.51 + 0.03 * n.p[2], 0.115, roof - 0.045, WHITE,
      box=0.6, taper=-0.15, tint=0.72, gloss=0.8, angle=5,
    ),
    shapes.shape(*body, MAIN, box=0.55, taper=-0.05, gloss=0.6),
    *_marks(n, *body),
    shapes.shape(w - 0.04, 0.33, 0.05, 0.045, BEAK, tint=1.1, gloss=0.9),
    shapes.shape(-w + 0.03, 0.33, 0.035, 0.045, PINK, tint=0.85),
    shapes.shape(0, 0.165, w, 0.035, SECOND, box=0.6, tint=0.8),
    *_wheel(-0.36, r),
    *_wheel(0.36, r),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(cx + 0.05, 0.52, 0.27, 0.22, 0.0),
    top=Anchor(cx, 0.66 + 0.06 * n.p[2], 0.26, 0.26),
    neck=Anchor(cx, 0.38, 0.4, 0.17),
  )


def car_front(v: np.ndarray) -> Figure:
  n = numbers(v)
  r = 0.135 + 0.02 * n.p[0]
  w = 0.4 + 0.03 * n.p[1]
  roof = 0.16 + 0.03 * n.p[2]
  body = (0.0, 0.32, w, 0.18 + 0.015 * n.p[4])
  items = [
    *[
      shapes.shape(s * 0.31, r, 0.08, r, DARK, box=0.5, puff=0.5)
      for s in (-1, 1)
    ],
    shapes.shape(
      0, 0.55 + 0.03 * n.p[2], 0.33, roof + 0.05, MAIN,
      box=0.55, taper=-0.22, gloss=0.6,
    ),
    shapes.shape(
      0, 0.565 + 0.03 * n.p[2], 0.26, roof - 0.035, WHITE,
      box=0.6, taper=-0.22, tint=0.72, gloss=0.8,
    ),
    shapes.shape(*body, MAIN, box=0.55, taper=-0.05, gloss=0.6),
    *_marks(n, *body),
    *[
      shapes.shape(s * 0.29, 0.35, 0.07, 0.065, BEAK, tint=1.1, gloss=0.9)
      for s in (-1, 1)
    ],
    shapes.shape(0, 0.3, 0.15 + 0.02 * n.p[3], 0.05, DARK, box=0.6),
    shapes.shape(0, 0.175, w, 0.04, SECOND, box=0.6, tint=0.8),
    shapes.shape(0, 0.18, 0.09, 0.03, WHITE, box=0.8, line=0),
  ]  # fmt: skip
  return Figure(
    items,
    face=Anchor(0, 0.57, 0.3, 0.22, 0.0),
    top=Anchor(0, 0.72 + 0.06 * n.p[2], 0.26, 0.26),
    neck=Anchor(0, 0.4, 0.38, 0.17),
  )


# In the order of scene.CLASSES and, inside, scene.VIEWS.
FIGURES = (
  (dog_side, dog_front),
  (cat_side, cat_front),
  (duck_side, duck_front),
  (teapot_side, teapot_front),
  (backpack_side, backpack_front),
  (car_side, car_front),
)
