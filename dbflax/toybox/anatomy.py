"""What the figures of the toybox have in common.

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


def marks(n: Numbers, x, y, w, h) -> list[shapes.Shape]:
  """Three patches on a body with centre (x, y) and usual half sizes (w, h).

  Their places and sizes are sums over the one-hot kind of marking, times
  constants, which keeps the figure affine in its numbers.
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


def head_mark(n: Numbers, x, y, r) -> shapes.Shape:
  """One patch on a head: a dark eye, a blaze or a cap, by kind of marking."""
  _, spots, belly, stripes, saddle = n.m
  return shapes.mark(
    x + r * (0.4 * spots + 0.35 * belly),
    y + r * (0.15 * spots - 0.7 * belly + 0.4 * stripes + 1.05 * saddle),
    0.001 + r * (0.38 * spots + 0.7 * belly + 0.14 * stripes + 0.9 * saddle),
    0.001 + r * (0.42 * spots + 0.6 * belly + 0.8 * stripes + 0.55 * saddle),
    alpha=spots + belly + stripes + saddle,
  )


def legs(xs, w, h, tint, feet) -> list[shapes.Shape]:
  """Legs with paws on the ground at each x."""
  legs = [
    shapes.shape(
      x, h / 2, w, h / 2 + 0.04, shapes.MAIN, box=0.6, tint=tint, fur=1.0
    )
    for x in xs
  ]
  return legs + [
    shapes.shape(x + 0.025, 0.035, w * 1.2, 0.04, feet, tint=tint) for x in xs
  ]
