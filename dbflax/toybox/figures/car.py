"""The car.

Its proportions: 0 size of the wheels, 1 length and width, 2 height of the
roof, 3 place of the cabin, 4 height of the body, 5 length of the cabin.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _steel(x, y, w, h, **columns) -> shapes.Shape:
  columns = {'box': 0.55, 'gloss': 0.6, **columns}
  return shapes.shape(x, y, w, h, shapes.MAIN, **columns)


def _glass(x, y, w, h, **columns) -> shapes.Shape:
  # The pale blue of tears: white or grey would vanish in a grey car.
  columns = {'box': 0.6, 'tint': 0.85, 'gloss': 0.8, **columns}
  return shapes.shape(x, y, w, h, shapes.TEAR, **columns)


def _lamp(x, y, w, h) -> shapes.Shape:
  return shapes.shape(x, y, w, h, shapes.BEAK, tint=1.1, gloss=0.9)


def _tail(x, y, w, h) -> shapes.Shape:
  return shapes.shape(x, y, w, h, shapes.PINK, tint=0.85, box=0.6, gloss=0.6)


def _wheel(x, r) -> list[shapes.Shape]:
  return [
    shapes.shape(x, r, r, r, shapes.DARK, puff=0.5),
    shapes.shape(x, r, r * 0.52, r * 0.52, shapes.ACCENT, gloss=0.8, line=0),
  ]


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  r, w = 0.135 + 0.025 * n.p[0], 0.57 + 0.045 * n.p[1]
  roof, long = 0.04 * n.p[2], 0.05 * n.p[5]
  cx, y = -0.06 + 0.08 * n.p[3], 0.27 + 0.02 * n.p[4]
  glass = 0.51 + 0.7 * roof
  items = [
    _steel(cx, 0.5 + roof, 0.34 + long, 0.2 + roof, taper=-0.3),
    *[
      _glass(
        cx + s * (0.143 + 0.45 * long), glass, 0.115 + 0.4 * long,
        0.105 + 0.7 * roof, taper=-0.15, angle=s * 5,
      )
      for s in (-1, 1)
    ],
    _steel(0, y, w, 0.15 + 0.025 * n.p[4], taper=-0.05),
    *anatomy.marks(n, 0, y, 0.58, 0.15),
    _lamp(w - 0.04, y + 0.05, 0.05, 0.045),
    _tail(0.03 - w, y + 0.05, 0.035, 0.045),
    shapes.shape(0, 0.165, w, 0.035, shapes.SECOND, box=0.6, tint=0.8),
    *_wheel(-0.36, r),
    *_wheel(0.36, r),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(cx + 0.05, 0.52 + roof, 0.27, 0.22, 0.0),
    top=anatomy.Anchor(cx, 0.66 + 2 * roof, 0.26, 0.26),
    neck=anatomy.Anchor(cx, 0.38, 0.4, 0.17),
  )


def _end(n: anatomy.Numbers, glass, details) -> anatomy.Figure:
  """The car along its axis: wheels, cabin, body, then `details`."""
  r, roof = 0.135 + 0.025 * n.p[0], 0.04 * n.p[2]
  y, w = 0.32 + 0.02 * n.p[4], 0.4 + 0.035 * n.p[1]
  items = [
    *[
      shapes.shape(
        s * (0.31 + 0.03 * n.p[1]), r, 0.08, r, shapes.DARK, box=0.5, puff=0.5
      )
      for s in (-1, 1)
    ],
    _steel(0, 0.55 + roof, 0.33 + 0.025 * n.p[1], 0.21 + roof, taper=-0.22),
    _glass(
      0, 0.575 + roof, 0.26 * glass + 0.025 * n.p[1],
      0.125 * glass + 0.8 * roof, taper=-0.22,
    ),
    _steel(0, y, w, 0.18 + 0.025 * n.p[4], taper=-0.05),
    *anatomy.marks(n, 0, y, 0.4, 0.18),
    *details,
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, 0.57 + roof, 0.3, 0.22, 0.0),
    top=anatomy.Anchor(0, 0.72 + 2 * roof, 0.26, 0.26),
    neck=anatomy.Anchor(0, 0.38, 0.34, 0.13),
  )


def _bumper(n: anatomy.Numbers) -> shapes.Shape:
  w = 0.4 + 0.035 * n.p[1]
  return shapes.shape(0, 0.165, w, 0.04, shapes.SECOND, box=0.6, tint=0.8)


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  x, y = 0.28 + 0.035 * n.p[1], 0.35 + 0.02 * n.p[4]
  details = [
    *[_lamp(s * x, y, 0.07, 0.065) for s in (-1, 1)],
    shapes.shape(0, y - 0.05, 0.15, 0.05, shapes.DARK, box=0.6),
    _bumper(n),
    shapes.shape(0, 0.17, 0.09, 0.03, shapes.WHITE, box=0.8, line=0),
  ]
  return _end(n, 1.0, details)


def back(v: np.ndarray) -> anatomy.Figure:
  """Tail lights, a number plate on the boot lid, an exhaust pipe."""
  n = anatomy.numbers(v)
  x, y = 0.3 + 0.035 * n.p[1], 0.36 + 0.02 * n.p[4]
  details = [
    shapes.shape(0.22, 0.09, 0.045, 0.035, shapes.DARK, box=0.3, gloss=0.4),
    *[_tail(s * x, y, 0.05, 0.095) for s in (-1, 1)],
    shapes.shape(0, y + 0.075, 0.07, 0.02, shapes.ACCENT, box=0.6, gloss=0.8),
    shapes.shape(0, y - 0.05, 0.145, 0.062, shapes.WHITE, box=0.9, puff=0.2),
    *[
      shapes.shape(
        at, y - 0.05, 0.018, 0.03, shapes.DARK, box=0.5, puff=0, line=0
      )
      for at in (-0.075, -0.025, 0.04, 0.09)
    ],
    _bumper(n),
  ]
  return _end(n, 0.82, details)


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  w, wide = 0.57 + 0.045 * n.p[1], 0.27 + 0.02 * n.p[1]
  cx, y = -0.06 + 0.08 * n.p[3], 0.42
  long = 0.05 * n.p[5]
  items = [
    *[
      shapes.shape(
        x, y + s * (0.25 + 0.02 * n.p[1]), 0.1 + 0.025 * n.p[0], 0.055,
        shapes.DARK, box=0.6, puff=0.5,
      )
      for x in (-0.36, 0.36)
      for s in (-1, 1)
    ],
    *[
      shapes.shape(
        cx + 0.2, y + s * (0.29 + 0.02 * n.p[1]), 0.035, 0.04, shapes.MAIN,
        tint=0.8,
      )
      for s in (-1, 1)
    ],
    _steel(0, y, w, wide, box=0.5, puff=0.7),
    *anatomy.marks(n, 0, y, 0.58, 0.27),
    *[_lamp(w - 0.045, y + s * 0.15, 0.03, 0.055) for s in (-1, 1)],
    *[_tail(0.035 - w, y + s * 0.15, 0.022, 0.06) for s in (-1, 1)],
    _glass(cx, y, 0.33 + long, 0.215 + 0.02 * n.p[1], box=0.7, gloss=0.5),
    _steel(cx - 0.03, y, 0.21 + long, 0.185 + 0.02 * n.p[1], box=0.65),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(cx, y, 0.27, 0.22, 0.0),
    top=anatomy.Anchor(cx - 0.03, y, 0.26, 0.26),
    neck=anatomy.Anchor(cx - 0.03, y, 0.34, 0.17),
  )
