"""The boot: laces in front, a pull loop behind.

Its proportions: 0 height of the shaft, 1 width of the shaft, 2 length of the
toe, 3 height of the sole, 4 height of the cuff, 5 size of the toe cap.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _leather(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'gloss': 0.35, **columns})


def _lace(x, y, w, angle) -> shapes.Shape:
  return shapes.shape(x, y, w, 0.02, shapes.ACCENT, box=0.5, angle=angle)


def _top(n: anatomy.Numbers):
  """The height of the opening."""
  return 0.9 + 0.09 * n.p[0]


def _cuff(n: anatomy.Numbers, x, w) -> list[shapes.Shape]:
  """The turned-down cuff and the opening in it."""
  h = 0.065 + 0.025 * n.p[4]
  top = _top(n)
  return [
    _leather(x, top - h, w, h, shapes.SECOND, box=0.5),
    shapes.shape(x, top - 0.01, w - 0.03, 0.03, shapes.DARK, line=0, puff=0.3),
  ]


def _figure(n: anatomy.Numbers, items, x=0.0) -> anatomy.Figure:
  top = _top(n)
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(x, 0.58 + 0.045 * n.p[0], 0.2, 0.22, 0.0),
    top=anatomy.Anchor(x, top - 0.03, 0.22, 0.24),
    neck=anatomy.Anchor(x, 0.48, 0.22, 0.17),
  )


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  wide, toe, sole = 0.03 * n.p[1], 0.05 * n.p[2], 0.02 * n.p[3]
  h = (_top(n) - 0.16) / 2
  x = -0.17
  items = [
    shapes.shape(x - 0.21 - wide, _top(n) - 0.06, 0.04, 0.085, shapes.ACCENT),
    _leather(
      0.1 + toe, 0.22, 0.35 + toe, 0.17, shapes.MAIN, box=0.3, taper=-0.25,
      puff=0.7,
    ),
    _leather(
      0.45 + 1.5 * toe, 0.2, 0.15 + 0.05 * n.p[5], 0.25, shapes.SECOND, clip=1,
      line=0.6,
    ),
    _leather(
      x, 0.12 + h, 0.2 + wide, h, shapes.MAIN, box=0.6, taper=0.06, puff=0.7,
    ),
    *anatomy.marks(n, x, 0.5, 0.2, 0.37),
    *[
      _lace(x + 0.14 + wide + d, y, 0.075, -14)
      for d, y in ((0.07, 0.38), (0.02, 0.48), (0.01, 0.58), (0.02, 0.68))
    ],
    *_cuff(n, x, 0.235 + wide),
    shapes.shape(
      0.06 + toe, 0.06 + sole, 0.45 + toe, 0.05 + sole, shapes.DARK, box=0.6,
      tint=2.2, puff=0.5,
    ),
    shapes.shape(x, 0.04, 0.17, 0.045, shapes.DARK, box=0.8, puff=0.5),
  ]  # fmt: skip
  return _figure(n, items, x)


def _upright(n: anatomy.Numbers) -> list[shapes.Shape]:
  """The shaft along the boot's axis."""
  h = (_top(n) - 0.1) / 2
  return [
    _leather(
      0, 0.1 + h, 0.21 + 0.03 * n.p[1], h, shapes.MAIN, box=0.6, taper=0.06,
      puff=0.75,
    ),
    *anatomy.marks(n, 0, 0.52, 0.21, 0.38),
  ]  # fmt: skip


def _sole(n: anatomy.Numbers, w) -> shapes.Shape:
  h = 0.05 + 0.02 * n.p[3]
  return shapes.shape(0, h, w, h, shapes.DARK, box=0.6, tint=2.2, puff=0.5)


def front(v: np.ndarray) -> anatomy.Figure:
  """Crossed laces on the tongue above a round toe cap."""
  n = anatomy.numbers(v)
  toe = 0.025 * n.p[2]
  items = [
    *_upright(n),
    _leather(0, 0.58, 0.085, 0.24, shapes.MAIN, tint=0.7, box=0.6),
    *[
      _lace(0, y, 0.12, s * 22)
      for y in (0.46, 0.57, 0.68)
      for s in (-1, 1)
    ],
    *_cuff(n, 0, 0.245 + 0.03 * n.p[1]),
    _leather(
      0, 0.23 + toe, 0.25 + toe, 0.18 + toe, shapes.MAIN, box=0.15, taper=-0.1,
    ),
    _leather(
      0, 0.1, 0.3, 0.17 + 0.05 * n.p[5], shapes.SECOND, clip=1, line=0.6,
    ),
    _sole(n, 0.27 + toe),
  ]  # fmt: skip
  return _figure(n, items)


def back(v: np.ndarray) -> anatomy.Figure:
  """A seam from the pull loop down to the heel."""
  n = anatomy.numbers(v)
  top = _top(n)
  items = [
    *_upright(n),
    shapes.shape(0, 0.55, 0.014, 0.26, shapes.DARK, box=0.6, puff=0, line=0),
    *_cuff(n, 0, 0.245 + 0.03 * n.p[1]),
    shapes.shape(0, top - 0.05, 0.06, 0.1, shapes.ACCENT, box=0.5),
    shapes.shape(0, top - 0.05, 0.025, 0.055, shapes.DARK, line=0, puff=0),
    _leather(
      0, 0.23, 0.235 + 0.02 * n.p[1], 0.17, shapes.MAIN, box=0.4, taper=-0.08,
    ),
    _leather(0, 0.2, 0.13, 0.17, shapes.SECOND, box=0.2, taper=-0.3),
    _sole(n, 0.25 + 0.02 * n.p[1]),
    shapes.shape(0, 0.035, 0.22, 0.035, shapes.DARK, box=0.8, puff=0.5),
  ]  # fmt: skip
  return _figure(n, items)


def above(v: np.ndarray) -> anatomy.Figure:
  """The toe to the right, the opening over the heel."""
  n = anatomy.numbers(v)
  y, toe, wide = 0.4, 0.05 * n.p[2], 0.03 * n.p[1]
  x = -0.24
  items = [
    shapes.shape(x - 0.25 - wide, y, 0.07, 0.04, shapes.ACCENT, box=0.5),
    shapes.shape(
      0.04 + toe, y, 0.225, 0.5 + toe, shapes.DARK, angle=-90, taper=0.1,
      box=0.3, tint=2.2, puff=0.4,
    ),
    _leather(
      0.04 + toe, y, 0.2, 0.47 + toe, shapes.MAIN, angle=-90, taper=0.1,
      box=0.3,
    ),
    *anatomy.marks(n, 0.04, y, 0.47, 0.2),
    _leather(
      0.5 + 2 * toe, y, 0.17 + 0.05 * n.p[5], 0.3, shapes.SECOND, clip=1,
      line=0.6,
    ),
    _leather(0.1, y, 0.17, 0.07, shapes.MAIN, tint=0.7, box=0.5),
    *[
      _lace(at, y, 0.1, 90 + s * 20)
      for at in (0.07, 0.15, 0.23)
      for s in (-1, 1)
    ],
    _leather(x, y, 0.225 + wide, 0.2 + wide, shapes.SECOND),
    shapes.shape(x, y, 0.16 + wide, 0.135 + wide, shapes.DARK, puff=0.3),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y, 0.2, 0.22, 0.0),
    top=anatomy.Anchor(x, y, 0.22, 0.24),
    neck=anatomy.Anchor(x, y, 0.25, 0.17),
  )
