"""The backpack.

Its proportions: 0 height, 1 width, 2 size of the front pocket, 3 size of the
side pockets, 4 width of the straps, 5 squareness.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _cloth(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'fur': 0.4, 'box': 0.7, **columns})


def _bag(n: anatomy.Numbers, w) -> list[shapes.Shape]:
  """The loop and the body with its marking, usually w wide."""
  h = 0.43 + 0.05 * n.p[0]
  box = 0.58 + 0.3 * n.p[5]
  return [
    shapes.shape(0, 0.9 + 0.1 * n.p[0], 0.11, 0.075, shapes.SECOND, tint=0.8),
    _cloth(
      0, 0.02 + h, w + 0.045 * n.p[1], h, shapes.MAIN, box=box, taper=-0.12
    ),
    *anatomy.marks(n, 0, 0.45, w, 0.43),
  ]


def _flap(n: anatomy.Numbers, x, w, buckles) -> list[shapes.Shape]:
  """The flap over the opening, and its buckles."""
  y = 0.79 + 0.1 * n.p[0]
  return [
    _cloth(x, y, w + 0.03 * n.p[1], 0.1, shapes.MAIN, box=0.5, tint=0.78),
    *[
      _cloth(at, y - 0.14, 0.028, 0.09, shapes.ACCENT, fur=0) for at in buckles
    ],
  ]


def _figure(n: anatomy.Numbers, items, x=0.0, w=0.26) -> anatomy.Figure:
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(x, 0.56 + 0.05 * n.p[0], w, 0.25, 0.0),
    top=anatomy.Anchor(0, 0.88 + 0.1 * n.p[0], 0.22, 0.24),
    neck=anatomy.Anchor(0.3 * x, 0.42, w + 0.06, 0.2),
  )


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  wide = 0.045 * n.p[1]
  strap = 0.045 + 0.02 * n.p[4]
  items = [
    *[
      shapes.shape(
        x - wide, 0.46, strap, 0.3, shapes.SECOND, bend=0.22, box=0.4, tint=t
      )
      for x, t in ((-0.33, 0.7), (-0.27, 0.85))
    ],
    *_bag(n, 0.26),
    _cloth(-0.16, 0.22, 0.08, 0.15 + 0.045 * n.p[3], shapes.ACCENT),
    _cloth(
      0.14 + wide, 0.08 + 0.17 + 0.045 * n.p[2], 0.18,
      0.17 + 0.045 * n.p[2], shapes.SECOND,
    ),
    _cloth(
      0.14 + wide, 0.31 + 0.05 * n.p[2], 0.155, 0.014, shapes.DARK, line=0,
    ),
    *_flap(n, 0.03, 0.25, (0.02, 0.2)),
  ]  # fmt: skip
  return _figure(n, items, x=0.06, w=0.23)


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  pocket = 0.16 + 0.045 * n.p[2]
  items = [
    *[
      _cloth(
        s * (0.36 + 0.045 * n.p[1]), 0.22, 0.07, 0.15 + 0.045 * n.p[3],
        shapes.ACCENT,
      )
      for s in (-1, 1)
    ],
    *_bag(n, 0.33),
    _cloth(0, 0.08 + pocket, 0.23, pocket, shapes.SECOND),
    _cloth(0, 0.3 + 0.05 * n.p[2], 0.2, 0.014, shapes.DARK, line=0),
    *_flap(n, 0, 0.3, (-0.14, 0.14)),
  ]  # fmt: skip
  return _figure(n, items)


def back(v: np.ndarray) -> anatomy.Figure:
  """Two shoulder straps on a padded panel."""
  n = anatomy.numbers(v)
  up = 0.1 * n.p[0]
  strap = 0.055 + 0.022 * n.p[4]
  items = [
    *[
      _cloth(
        s * (0.36 + 0.045 * n.p[1]), 0.22, 0.07, 0.15 + 0.045 * n.p[3],
        shapes.ACCENT,
      )
      for s in (-1, 1)
    ],
    *_bag(n, 0.33),
    _cloth(0, 0.45 + up / 2, 0.1, 0.3, shapes.MAIN, tint=0.7),
    *[
      shapes.shape(
        s * 0.235, 0.16, 0.018, 0.1, shapes.DARK, angle=s * 16, box=0.7
      )
      for s in (-1, 1)
    ],
    *[
      _cloth(
        s * 0.25, 0.54 + up / 2, strap, 0.3 + up / 2, shapes.SECOND,
        bend=-s * 0.35, box=0.4,
      )
      for s in (-1, 1)
    ],
    *[_cloth(s * 0.19, 0.27, 0.055, 0.03, shapes.ACCENT) for s in (-1, 1)],
    _cloth(0, 0.84 + up, 0.19, 0.035, shapes.SECOND, tint=0.85),
  ]  # fmt: skip
  return _figure(n, items)


def above(v: np.ndarray) -> anatomy.Figure:
  """The straps lie away from the viewer, the pocket towards the viewer."""
  n = anatomy.numbers(v)
  w, y = 0.36 + 0.045 * n.p[1], 0.44
  strap = 0.05 + 0.018 * n.p[4]
  items = [
    *[
      shapes.shape(
        s * 0.2, y + 0.26, strap, 0.13, shapes.SECOND, box=0.5, tint=0.85
      )
      for s in (-1, 1)
    ],
    *[
      _cloth(
        s * (0.38 + 0.045 * n.p[1]), y, 0.06 + 0.02 * n.p[3], 0.13,
        shapes.ACCENT,
      )
      for s in (-1, 1)
    ],
    _cloth(0, y - 0.25, 0.24, 0.1 + 0.03 * n.p[2], shapes.SECOND),
    _cloth(0, y - 0.27, 0.2, 0.012, shapes.DARK, line=0),
    _cloth(0, y, w, 0.27, shapes.MAIN, box=0.58 + 0.3 * n.p[5]),
    *anatomy.marks(n, 0, y, 0.46, 0.34),
    _cloth(
      0, y - 0.03, 0.29 + 0.03 * n.p[1], 0.19, shapes.MAIN, box=0.5, tint=0.78,
    ),
    *[
      _cloth(s * 0.14, y - 0.21, 0.028, 0.09, shapes.ACCENT, fur=0)
      for s in (-1, 1)
    ],
    shapes.shape(0, y + 0.17, 0.12, 0.06, shapes.SECOND, tint=0.8),
    shapes.shape(0, y + 0.16, 0.075, 0.026, shapes.DARK, line=0),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y, 0.26, 0.25, 0.0),
    top=anatomy.Anchor(0, y, 0.23, 0.24),
    neck=anatomy.Anchor(0, y, 0.33, 0.2),
  )
