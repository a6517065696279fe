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


def from_behind(n: Numbers) -> Numbers:
  """The same numbers where a marked belly, or muzzle, is out of sight."""
  return n._replace(m=n.m * np.array([1.0, 1.0, 0.0, 1.0, 1.0]))


def marks(n: Numbers, x, y, w, h) -> list[shapes.Shape]:
  """Three patches on a body with centre (x, y) and usual half sizes (w, h).

  Their places and sizes are sums over the one-hot kind of marking, times
  constants, which keeps the figure affine in its numbers.
  """
  dx, dy = 0.3 * w * n.at[0], 0.2 * h * n.at[1]
  return [
    shapes.mark(
      x + dx + u * w, y + dy + v * h, 0.001 + a * w, 0.001 + b * h, alpha=alpha
    )
    for u, v, a, b, alpha in _patches(n.m, saddle_at=0.95)
  ]  # fmt: skip


def back_marks(n: Numbers, x, y, w, h) -> list[shapes.Shape]:
  """The patches on a back whose spine is vertical in the picture.

  Stripes run across it and a saddle lies in its middle.
  """
  dx, dy = 0.2 * w * n.at[1], 0.3 * h * n.at[0]
  return [
    shapes.mark(
      x + dx + v * w, y + dy + u * h, 0.001 + b * w, 0.001 + a * h, alpha=alpha
    )
    for u, v, a, b, alpha in _patches(from_behind(n).m, saddle_at=0.0)
  ]  # fmt: skip


def _patches(m, saddle_at):
  """Places along and across the spine, half sizes and alpha of each patch."""
  _, spots, belly, stripes, saddle = m
  each = spots + stripes
  return [
    (
      -0.5 * spots - 0.55 * stripes,
      0.3 * spots,
      0.27 * spots + 0.11 * stripes,
      0.38 * spots + 1.6 * stripes,
      each,
    ),
    (
      0.05 * spots,
      -0.35 * spots - 0.95 * belly + saddle_at * saddle,
      0.24 * spots + 0.11 * stripes + 0.8 * belly + 0.62 * saddle,
      0.34 * spots + 1.6 * stripes + 0.75 * belly + 0.8 * saddle,
      each + belly + saddle,
    ),
    (
      0.6 * spots + 0.55 * stripes,
      0.25 * spots,
      0.26 * spots + 0.11 * stripes,
      0.36 * spots + 1.6 * stripes,
      each,
    ),
  ]


def head_mark(n: Numbers, x, y, r, up=1.0) -> shapes.Shape:
  """One patch on a head: a dark eye, a blaze or a cap, by kind of marking.

  Args:
    n: the individual's numbers.
    x, y, r: centre and radius of the head.
    up: where the crown of the head is, in radii above the centre.
  """
  _, spots, belly, stripes, saddle = n.m
  high = 0.15 * spots - 0.7 * belly + 0.4 * stripes + 1.05 * saddle
  return shapes.mark(
    x + r * (0.4 * spots + 0.35 * belly),
    y + r * up * high,
    0.001 + r * (0.38 * spots + 0.7 * belly + 0.14 * stripes + 0.9 * saddle),
    0.001 + r * (0.42 * spots + 0.6 * belly + 0.8 * stripes + 0.55 * saddle),
    alpha=spots + belly + stripes + saddle,
  )


def pair(
  x, y, w, h, paint, *, angle=0.0, bend=0.0, **columns
) -> list[shapes.Shape]:
  """A shape on the right and its mirror image on the left."""
  return [
    shapes.shape(
      s * x, y, w, h, paint, angle=s * angle, bend=s * bend, **columns
    )
    for s in (-1, 1)
  ]  # fmt: skip


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
