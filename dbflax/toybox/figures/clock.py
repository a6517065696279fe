"""The alarm clock: a dial, two bells and a key behind.

Its proportions: 0 size of the drum, 1 size of the bells, 2 length of the
feet, 3 turn of the hour hand, 4 width of the rim, 5 turn of the minute hand.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy

_Y = 0.44  # the middle of the drum


def _metal(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'gloss': 0.7, **columns})


def _flat(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'puff': 0, 'line': 0, **columns})


def _hand(x, length, width, clock, turn, squeeze=1.0) -> shapes.Shape:
  """A hand from the middle of the dial.

  Its middle moves along the tangent of its circle, which keeps the hand
  affine in `turn` (radians) and leaves it less than a hundredth off.

  Args:
    x: middle of the dial.
    length, width: half sizes.
    clock: radians clockwise from twelve.
    turn: more of that.
    squeeze: how narrow the dial looks.
  """
  along = length * np.array([np.sin(clock), np.cos(clock)])
  across = length * np.array([np.cos(clock), -np.sin(clock)]) * turn
  dx, dy = along[0] + across[0], along[1] + across[1]
  return _flat(
    x + squeeze * dx, _Y + dy, width, length, shapes.DARK, box=0.6,
    angle=-np.rad2deg(clock + turn) * squeeze,
  )  # fmt: skip


def _hands(n: anatomy.Numbers, x, squeeze=1.0) -> list[shapes.Shape]:
  return [
    _hand(x, 0.08, 0.026, -1.0, 0.5 * n.p[3], squeeze),
    _hand(x, 0.115, 0.019, 0.8, 0.5 * n.p[5], squeeze),
    _flat(x, _Y, 0.035 * (0.4 + 0.6 * squeeze), 0.035, shapes.ACCENT),
  ]


def _stand(n: anatomy.Numbers, x, w, angle) -> list[shapes.Shape]:
  """Feet under the drum and bells over it, x from its middle."""
  foot, bell = 0.09 + 0.03 * n.p[2], 0.145 + 0.03 * n.p[1]
  top = 0.82 + 0.03 * n.p[0]
  return [
    *[
      _metal(
        s * (x + 0.02), 0.095 + 0.02 * n.p[2], 0.04, foot, shapes.SECOND,
        angle=s * angle, taper=0.2, tint=0.8,
      )
      for s in (-1, 1)
    ],
    *[
      _metal(
        s * x, top, bell * w, bell * 0.72, shapes.ACCENT, angle=-s * angle,
        taper=-0.35, box=0.2,
      )
      for s in (-1, 1)
    ],
  ]  # fmt: skip


def _hammer(n: anatomy.Numbers) -> list[shapes.Shape]:
  y = 0.86 + 0.03 * n.p[0]
  return [
    _flat(0, y, 0.018, 0.09, shapes.DARK, box=0.6),
    shapes.shape(0, y + 0.08, 0.05, 0.03, shapes.DARK, box=0.4, tint=1.5),
  ]


def _drum(n: anatomy.Numbers, spread) -> list[shapes.Shape]:
  """The round body; its marking lies `spread` times wider than on others."""
  r = 0.37 + 0.03 * n.p[0]
  return [
    _metal(0, _Y, r, r, shapes.MAIN),
    *anatomy.marks(n, 0, _Y, 0.37 * spread, 0.37 * spread),
  ]


def _figure(n: anatomy.Numbers, items, w=0.3) -> anatomy.Figure:
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, _Y + 0.06, w, 0.28, 0.0),
    top=anatomy.Anchor(0, 0.86 + 0.03 * n.p[0], 0.25, 0.22),
    neck=anatomy.Anchor(0, 0.2, w, 0.16),
  )


def side(v: np.ndarray) -> anatomy.Figure:
  """A thin drum with a glimpse of its dial."""
  n = anatomy.numbers(v)
  r = 0.37 + 0.03 * n.p[0]
  dial = r - 0.075 - 0.02 * n.p[4]
  items = [
    *_stand(n, 0.07, 0.75, 8),
    _metal(-0.3, _Y, 0.09, 0.028, shapes.ACCENT, box=0.5),
    _metal(-0.38, _Y, 0.03, 0.085, shapes.ACCENT),
    _metal(-0.15, _Y, 0.12, r, shapes.MAIN, tint=0.85),
    _metal(0, _Y, 0.16, r, shapes.MAIN, box=0.9),
    *anatomy.marks(n, 0, _Y, 0.2, 0.37),
    _metal(0.15, _Y, 0.15, r, shapes.MAIN),
    shapes.shape(0.16, _Y, 0.115, dial, shapes.WHITE, puff=0.25, gloss=0.3),
    *[
      _flat(0.16 + x, _Y + y, 0.013, 0.022, shapes.DARK)
      for x, y in ((0, 0.23), (0, -0.23), (-0.08, 0), (0.08, 0))
    ],
    *_hands(n, 0.16, 0.45),
  ]
  return _figure(n, items, 0.26)


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  dial = 0.285 + 0.03 * n.p[0] - 0.025 * n.p[4]
  items = [
    *_stand(n, 0.23, 1.0, 30),
    *_hammer(n),
    *_drum(n, 1.3),
    shapes.shape(0, _Y, dial, dial, shapes.WHITE, puff=0.25, gloss=0.2),
    *[
      _flat(0.22 * np.sin(a), _Y + 0.22 * np.cos(a), w, h, shapes.DARK)
      for a, w, h in (
        (0.0, 0.016, 0.03), (np.pi / 2, 0.03, 0.016),
        (np.pi, 0.016, 0.03), (-np.pi / 2, 0.03, 0.016),
      )
    ],
    *_hands(n, 0),
  ]  # fmt: skip
  return _figure(n, items)


def back(v: np.ndarray) -> anatomy.Figure:
  """A winding key over a battery door."""
  n = anatomy.numbers(v)
  items = [
    *_stand(n, 0.23, 1.0, 30),
    *_hammer(n),
    *_drum(n, 1.0),
    _flat(0, _Y - 0.16, 0.16, 0.085, shapes.DARK, box=0.8, alpha=0.6),
    shapes.shape(
      0, _Y - 0.16, 0.145, 0.07, shapes.MAIN, box=0.8, tint=0.75, puff=0.3
    ),
    _flat(0, _Y - 0.115, 0.05, 0.012, shapes.DARK, box=0.6),
    shapes.shape(0, _Y + 0.1, 0.1, 0.1, shapes.MAIN, tint=0.65),
    *[
      _metal(
        s * 0.07, _Y + 0.1 + s * 0.08, 0.1, 0.055, shapes.ACCENT, angle=49
      )
      for s in (-1, 1)
    ],
    _metal(0, _Y + 0.1, 0.05, 0.022, shapes.DARK, angle=49, box=0.5),
  ]  # fmt: skip
  return _figure(n, items)


def above(v: np.ndarray) -> anatomy.Figure:
  """The drum from the top, its dial foreshortened, the key behind."""
  n = anatomy.numbers(v)
  w, y = 0.37 + 0.03 * n.p[0], 0.5
  bell, dial = 0.12 + 0.025 * n.p[1], 0.29 + 0.03 * n.p[0] - 0.025 * n.p[4]
  items = [
    _metal(0, y + 0.24, 0.028, 0.09, shapes.ACCENT, box=0.5),
    _metal(0, y + 0.32, 0.085, 0.03, shapes.ACCENT),
    *[_metal(s * 0.27, 0.08, 0.045, 0.06, shapes.SECOND) for s in (-1, 1)],
    _metal(0, y - 0.04, w, 0.22, shapes.MAIN, box=0.75),
    *anatomy.marks(n, 0, y - 0.04, 0.37, 0.22),
    _metal(0, 0.27, w, 0.2, shapes.MAIN, tint=0.85),
    shapes.shape(0, 0.25, dial, 0.15, shapes.WHITE, puff=0.25, gloss=0.2),
    *[
      _flat(x, 0.25 + y, 0.018, 0.016, shapes.DARK)
      for x, y in ((0, 0.11), (0.21, 0), (0, -0.11), (-0.21, 0))
    ],
    _flat(-0.065, 0.275, 0.075, 0.02, shapes.DARK, angle=-25, box=0.6),
    _flat(0.08, 0.29, 0.1, 0.016, shapes.DARK, angle=30, box=0.6),
    _flat(0, 0.25, 0.035, 0.025, shapes.ACCENT),
    _flat(0, y + 0.07, 0.09, 0.02, shapes.DARK, box=0.6),
    *[_metal(s * 0.2, y + 0.06, bell, bell, shapes.ACCENT) for s in (-1, 1)],
    shapes.shape(0, y + 0.07, 0.035, 0.05, shapes.DARK, tint=1.5),
  ]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y, 0.3, 0.28, 0.0),
    top=anatomy.Anchor(0, y + 0.04, 0.25, 0.24),
    neck=anatomy.Anchor(0, y - 0.1, 0.36, 0.17),
  )
