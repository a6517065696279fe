"""The vase.

Its proportions: 0 width of the belly, 1 width of the neck, 2 length of the
neck, 3 width of the rim, 4 size of the handles, 5 height of the belly.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _china(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'gloss': 0.7, **columns})


def _vessel(n: anatomy.Numbers) -> list[shapes.Shape]:
  """Foot, neck, flared rim with its opening, belly and its marking."""
  h = 0.27 + 0.03 * n.p[5]
  y = 0.07 + h
  neck, rim = 0.095 + 0.03 * n.p[1], 0.19 + 0.04 * n.p[3]
  top = 0.91 + 0.06 * n.p[2] + 0.03 * n.p[5]
  return [
    _china(0, 0.05, 0.19, 0.055, shapes.SECOND, box=0.5, taper=-0.25),
    _china(0, top - 0.2, neck, 0.19, shapes.MAIN, box=0.8),
    _china(0, top - 0.055, rim - 0.05, 0.07, shapes.MAIN, taper=0.4, box=0.5),
    _china(0, top, rim, 0.045, shapes.SECOND),
    shapes.shape(0, top + 0.008, rim - 0.04, 0.024, shapes.DARK, line=0),
    _china(0, y, 0.32 + 0.06 * n.p[0], h, shapes.MAIN, box=0.08, taper=0.1),
    *anatomy.marks(n, 0, y, 0.32, 0.27),
    shapes.shape(
      0, y + 0.2, 0.6, 0.022, shapes.ACCENT, clip=1, line=0, box=0.9
    ),
    _china(0, y + h, neck + 0.035, 0.035, shapes.ACCENT, box=0.3),
  ]


def _handles(n: anatomy.Numbers) -> list[shapes.Shape]:
  """One on either side, from the shoulder to below the rim."""
  size = 0.13 + 0.03 * n.p[4]
  x = 0.2 + 0.03 * n.p[1] + 0.03 * n.p[4]
  y = 0.67 + 0.03 * n.p[2] + 0.045 * n.p[5]
  return [
    _china(s * x, y, 0.032, size, shapes.SECOND, bend=-s * 0.95, box=0.3)
    for s in (-1, 1)
  ]


def _figure(n: anatomy.Numbers, items) -> anatomy.Figure:
  y = 0.34 + 0.03 * n.p[5]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y + 0.05, 0.26, 0.26, 0.0),
    top=anatomy.Anchor(0, 0.91 + 0.06 * n.p[2] + 0.03 * n.p[5], 0.2, 0.22),
    neck=anatomy.Anchor(0, 0.64 + 0.06 * n.p[5], 0.2, 0.16),
  )


def side(v: np.ndarray) -> anatomy.Figure:
  """Turned so that one handle points at the viewer."""
  n = anatomy.numbers(v)
  size = 0.14 + 0.03 * n.p[4]
  y = 0.65 + 0.03 * n.p[2] + 0.045 * n.p[5]
  items = [
    *_vessel(n),
    _china(0, y + size - 0.01, 0.05, 0.035, shapes.SECOND, tint=0.85),
    _china(0, y - size + 0.01, 0.06, 0.035, shapes.SECOND, tint=0.85),
    _china(0, y, 0.04, size, shapes.SECOND, box=0.5),
  ]
  return _figure(n, items)


def front(v: np.ndarray) -> anatomy.Figure:
  """Two handles and a flower on the belly."""
  n = anatomy.numbers(v)
  y = 0.32 + 0.03 * n.p[5]
  petals = np.deg2rad(90 + 72 * np.arange(5))
  items = [
    *_handles(n),
    *_vessel(n),
    *[
      shapes.shape(
        0.085 * np.cos(a), y + 0.085 * np.sin(a), 0.05, 0.062, shapes.ACCENT,
        angle=np.rad2deg(a) - 90, puff=0.4,
      )
      for a in petals
    ],
    shapes.shape(0, y, 0.045, 0.045, shapes.WHITE, puff=0.4, line=0.5),
  ]  # fmt: skip
  return _figure(n, items)


def back(v: np.ndarray) -> anatomy.Figure:
  """The front without its flower."""
  n = anatomy.numbers(v)
  return _figure(n, [*_handles(n), *_vessel(n)])


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, r = 0.42, 0.36 + 0.06 * n.p[0]
  rim, neck = 0.21 + 0.04 * n.p[3], 0.12 + 0.03 * n.p[1]
  items = [
    _china(0, y, r, r, shapes.MAIN),
    *anatomy.marks(n, 0, y, 0.46, 0.46),
    *[
      _china(
        s * (0.27 + 0.03 * n.p[4]), y, 0.1 + 0.02 * n.p[4], 0.04,
        shapes.SECOND, box=0.5, tint=0.85,
      )
      for s in (-1, 1)
    ],
    _china(0, y, rim, rim, shapes.SECOND),
    shapes.shape(0, y, rim - 0.035, rim - 0.035, shapes.MAIN, tint=0.6),
    shapes.shape(0, y, neck, neck, shapes.DARK, puff=0.2, line=0),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y, 0.26, 0.26, 0.0),
    top=anatomy.Anchor(0, y, 0.24, 0.24),
    neck=anatomy.Anchor(0, y, 0.28, 0.18),
  )
