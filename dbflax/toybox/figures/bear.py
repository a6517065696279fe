"""A bear, sitting upright: plump, round ears on top, a stub of a tail.

Proportions: 0 limbs, 1 height of the body, 2 head, 3 ears, 4 girth, 5 muzzle
and tail.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _sitting(n: anatomy.Numbers):
  """Height of the body's middle, of the head and the head's radius."""
  up = 0.02 * n.p[1]
  return 0.33 + up, 0.76 + 1.8 * up, 0.215 + 0.028 * n.p[2]


def _ears(x, y, apart, n: anatomy.Numbers, inner) -> list[shapes.Shape]:
  """Round ears, outer and inner, at that distance from x."""
  ear = 0.085 + 0.025 * n.p[3]
  return [
    shapes.shape(x + s * apart, y, ear * k, ear * k, paint, tint=tint, fur=1.0)
    for k, paint, tint in ((1.0, shapes.MAIN, 0.85), (0.55, inner, 1.0))
    for s in (-1, 1)
  ]


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  hx, limb, wide = 0.06, 0.035 * n.p[0], 0.035 * n.p[4]
  muzzle = 0.025 * n.p[5]
  items = [
    shapes.shape(
      -0.36 - wide, 0.13, 0.07 + muzzle, 0.065 + muzzle, shapes.MAIN, fur=1.0
    ),
    shapes.shape(
      0.18 + limb, 0.1, 0.2 + limb, 0.09, shapes.MAIN, tint=0.8, fur=1.0
    ),
    shapes.shape(
      0.16 + limb, y + 0.09, 0.065, 0.15 + limb, shapes.MAIN,
      angle=48, tint=0.8, fur=1.0,
    ),
    shapes.shape(
      -0.08, y, 0.29 + wide, y - 0.01, shapes.MAIN,
      angle=-4, box=0.1, taper=-0.12, fur=1.0,
    ),
    *anatomy.marks(n, -0.08, y, 0.29, 0.31),
    shapes.shape(
      0.12 + limb, 0.1, 0.24 + limb, 0.1, shapes.MAIN, box=0.1, fur=1.0
    ),
    shapes.shape(
      0.36 + 2 * limb, 0.13, 0.065, 0.13, shapes.SECOND, angle=-8, fur=0.5
    ),
    shapes.shape(
      0.02 + limb, y + 0.04, 0.075, 0.17 + limb, shapes.MAIN,
      angle=38, tint=0.9, fur=1.0,
    ),
    shapes.shape(
      0.13 + 1.7 * limb, y - 0.1 - limb, 0.08, 0.07, shapes.SECOND, fur=0.5
    ),
    *_ears(hx - 0.03, hy + 0.82 * r, 0.15, n, shapes.SECOND),
    shapes.shape(hx, hy, r * 1.06, r, shapes.MAIN, fur=1.0),
    anatomy.head_mark(n, hx, hy, 0.215),
    shapes.shape(
      hx + 0.17 + 0.5 * muzzle, hy - 0.07, 0.115 + muzzle,
      0.09 + 0.5 * muzzle, shapes.SECOND, fur=0.5,
    ),
    shapes.shape(
      hx + 0.24 + 1.3 * muzzle, hy - 0.02, 0.045, 0.035, shapes.DARK,
      gloss=0.6,
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(hx + 0.08, hy + 0.05, 0.18, 0.2),
    mouth=anatomy.Anchor(hx + 0.17, hy - 0.1, 0.15, 0.16),
    top=anatomy.Anchor(hx - 0.02, hy + r * 0.88, 0.22, 0.22),
    neck=anatomy.Anchor(hx - 0.05, hy - 0.21, 0.24, 0.18),
  )


def _arms(n: anatomy.Numbers, y, angle) -> list[shapes.Shape]:
  limb = 0.035 * n.p[0]
  return anatomy.pair(
    0.27 + 0.03 * n.p[4], y + 0.05, 0.075, 0.17 + limb, shapes.MAIN,
    angle=angle, tint=0.86, fur=1.0,
  )  # fmt: skip


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  foot, muzzle = 0.012 * n.p[0], 0.02 * n.p[5]
  apart = 0.25 + 0.03 * n.p[4]
  items = [
    shapes.shape(
      0, y, 0.29 + 0.04 * n.p[4], y - 0.01, shapes.MAIN,
      box=0.1, taper=-0.12, fur=1.0,
    ),
    *anatomy.marks(n, 0, y, 0.29, 0.31),
    *_arms(n, y, 24),
    *anatomy.pair(
      apart, 0.11, 0.12 + foot, 0.12 + foot, shapes.MAIN, tint=0.9, fur=1.0
    ),
    *anatomy.pair(
      apart, 0.11, 0.075 + foot, 0.08 + foot, shapes.SECOND, fur=0.5
    ),
    *_ears(0, hy + 0.78 * r, 0.17, n, shapes.SECOND),
    shapes.shape(0, hy, r * 1.12, r, shapes.MAIN, fur=1.0),
    anatomy.head_mark(n, 0, hy, 0.215),
    shapes.shape(
      0, hy - 0.08, 0.11 + muzzle, 0.085 + 0.6 * muzzle, shapes.SECOND,
      fur=0.5,
    ),
    shapes.shape(0, hy - 0.03, 0.045, 0.033, shapes.DARK, gloss=0.6),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.05, 0.23, 0.21),
    mouth=anatomy.Anchor(0, hy - 0.11, 0.18, 0.18),
    top=anatomy.Anchor(0, hy + r * 0.88, 0.23, 0.23),
    neck=anatomy.Anchor(0, hy - 0.21, 0.25, 0.18),
  )


def back(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, hy, r = _sitting(n)
  foot, tail = 0.012 * n.p[0], 0.02 * n.p[5]
  items = [
    *_ears(0, hy + 0.78 * r, 0.17, n, shapes.MAIN),
    shapes.shape(0, hy, r * 1.12, r, shapes.MAIN, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.215),
    *anatomy.pair(
      0.29 + 0.03 * n.p[4], 0.07, 0.11 + foot, 0.07 + foot, shapes.MAIN,
      tint=0.85, fur=1.0,
    ),
    *_arms(n, y, 24),
    shapes.shape(
      0, y, 0.29 + 0.04 * n.p[4], y - 0.01, shapes.MAIN,
      box=0.1, taper=-0.12, fur=1.0,
    ),
    *anatomy.back_marks(n, 0, y + 0.04, 0.27, 0.28),
    shapes.shape(
      0, 0.13, 0.075 + tail, 0.07 + tail, shapes.MAIN, tint=0.78, fur=1.0
    ),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy + 0.05, 0.23, 0.21, alpha=0.0),
    top=anatomy.Anchor(0, hy + r * 0.88, 0.23, 0.23),
    neck=anatomy.Anchor(0, hy - 0.21, 0.25, 0.18),
  )


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  limb, long, wide = 0.03 * n.p[0], 0.025 * n.p[1], 0.035 * n.p[4]
  hy, r = 0.72 + long, 0.185 + 0.024 * n.p[2]
  muzzle = 0.02 * n.p[5]
  items = [
    shapes.shape(
      0, 0.08 - long, 0.06 + muzzle, 0.055 + muzzle, shapes.MAIN,
      tint=0.85, fur=1.0,
    ),
    *anatomy.pair(
      0.26 + 0.7 * wide, 0.15 - limb, 0.085, 0.15 + limb, shapes.MAIN,
      angle=32, tint=0.88, fur=1.0,
    ),
    *anatomy.pair(
      0.33 + 0.7 * wide + 0.4 * limb, 0.06 - 1.6 * limb, 0.085, 0.06,
      shapes.SECOND, angle=32, fur=0.5,
    ),
    *anatomy.pair(
      0.29 + 0.7 * wide, 0.58 + 0.6 * limb, 0.08, 0.15 + limb, shapes.MAIN,
      angle=-42, tint=0.88, fur=1.0,
    ),
    *anatomy.pair(
      0.38 + 0.7 * wide + limb, 0.67 + 1.3 * limb, 0.075, 0.065,
      shapes.SECOND, angle=-42, fur=0.5,
    ),
    shapes.shape(
      0, 0.36, 0.26 + wide, 0.27 + long, shapes.MAIN, box=0.15, fur=1.0
    ),
    *anatomy.back_marks(n, 0, 0.34, 0.25, 0.26),
    shapes.shape(
      0, hy + 0.185 + 0.6 * muzzle, 0.1 + 0.5 * muzzle, 0.085 + muzzle,
      shapes.SECOND, fur=0.5,
    ),
    shapes.shape(
      0, hy + 0.25 + 1.6 * muzzle, 0.042, 0.03, shapes.DARK, gloss=0.6
    ),
    *_ears(0, hy - 0.02, 0.21, n, shapes.SECOND),
    shapes.shape(0, hy, r * 1.1, r, shapes.MAIN, fur=1.0),
    anatomy.head_mark(anatomy.from_behind(n), 0, hy, 0.185, up=0.2),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, hy, 0.19, 0.19, alpha=0.0),
    top=anatomy.Anchor(0, hy - 0.01, 0.15, 0.15),
    neck=anatomy.Anchor(0, hy - 0.18, 0.21, 0.15),
  )
