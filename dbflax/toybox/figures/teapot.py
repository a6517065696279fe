"""The teapot.

Its proportions: 0 width of the body, 1 height of the body, 2 length of the
spout, 3 size of the knob, 4 size of the handle, 5 width of the lid.
"""

import numpy as np

from dbflax.toybox import shapes
from dbflax.toybox.figures import anatomy


def _china(x, y, w, h, paint, **columns) -> shapes.Shape:
  return shapes.shape(x, y, w, h, paint, **{'gloss': 0.7, **columns})


def _pot(n: anatomy.Numbers) -> list[shapes.Shape]:
  """The round body with its foot and lid."""
  w, h = 0.34 + 0.055 * n.p[0], 0.3 + 0.045 * n.p[1]
  y, knob = 0.08 + h, 0.06 + 0.025 * n.p[3]
  lid = y + h - 0.025
  return [
    _china(0, 0.06, 0.22, 0.06, shapes.MAIN, box=0.5, tint=0.8),
    _china(0, y, w, h, shapes.MAIN, box=0.12),
    *anatomy.marks(n, 0, y, 0.34, 0.3),
    _china(0, lid, 0.2 + 0.05 * n.p[5], 0.075, shapes.SECOND, taper=-0.2),
    _china(0, lid + 0.05 + knob, knob, knob, shapes.ACCENT),
  ]


def _figure(n: anatomy.Numbers, items) -> anatomy.Figure:
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0.0, 0.42 + 0.045 * n.p[1], 0.27, 0.28, 0.0),
    top=anatomy.Anchor(0, 0.72 + 0.09 * n.p[1], 0.22, 0.24),
    neck=anatomy.Anchor(0, 0.24, 0.32, 0.18),
  )


def side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  y, back = 0.42 + 0.045 * n.p[1], -0.055 * n.p[0]
  size = 0.05 * n.p[4]
  items = [
    _china(
      -0.53 + back, y, 0.045, 0.17 + size, shapes.SECOND, bend=1.05, box=0.2,
    ),
    _china(-0.4 + back, y + 0.165 + size, 0.13, 0.042, shapes.SECOND, angle=8),
    _china(-0.4 + back, y - 0.165 - size, 0.13, 0.042, shapes.SECOND, angle=-8),
    _china(
      0.4 - 0.4 * back + 0.02 * n.p[2], 0.44 + 0.02 * n.p[2], 0.085,
      0.235 + 0.045 * n.p[2], shapes.MAIN, angle=-42, taper=-0.35, bend=0.18,
    ),
    *_pot(n),
  ]  # fmt: skip
  return _figure(n, items)


def front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  tip = 0.55 + 0.05 * n.p[2]
  items = [
    *_pot(n),
    _china(0, 0.42, 0.1, 0.17 + 0.05 * n.p[2], shapes.MAIN, taper=-0.3),
    shapes.shape(0, tip, 0.07, 0.045, shapes.MAIN, tint=0.9),
    shapes.shape(0, tip + 0.005, 0.045, 0.026, shapes.DARK, line=0),
  ]
  return _figure(n, items)


def back(v: np.ndarray) -> anatomy.Figure:
  """The handle points at the viewer: a loop seen edge-on."""
  n = anatomy.numbers(v)
  y, size = 0.4 + 0.045 * n.p[1], 0.05 * n.p[4]
  items = [
    *_pot(n),
    shapes.shape(
      0.025, y - 0.01, 0.075, 0.2 + size, shapes.DARK, alpha=0.3, soft=0.05,
      line=0, puff=0,
    ),
    _china(0, y + 0.165 + size, 0.085, 0.045, shapes.SECOND, tint=0.85),
    _china(0, y - 0.165 - size, 0.085, 0.045, shapes.SECOND, tint=0.85),
    _china(0, y, 0.06, 0.19 + size, shapes.SECOND, box=0.5),
  ]  # fmt: skip
  return _figure(n, items)


def above(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  r, y = 0.34 + 0.055 * n.p[0], 0.42
  lid, knob = 0.2 + 0.05 * n.p[5], 0.06 + 0.025 * n.p[3]
  items = [
    _china(
      -0.44 - 0.05 * n.p[0], y, 0.13 + 0.02 * n.p[4], 0.048, shapes.SECOND,
      box=0.5,
    ),
    _china(
      0.42 + 0.03 * n.p[0] + 0.015 * n.p[2], y, 0.09, 0.16 + 0.03 * n.p[2],
      shapes.MAIN, angle=-90, taper=-0.4,
    ),
    shapes.shape(
      0.56 + 0.03 * n.p[0] + 0.045 * n.p[2], y, 0.018, 0.036, shapes.DARK,
      line=0,
    ),
    _china(0, y, r, r, shapes.MAIN),
    *anatomy.marks(n, 0, y, 0.42, 0.42),
    shapes.shape(0, y, lid + 0.025, lid + 0.025, shapes.MAIN, tint=0.7),
    _china(0, y, lid, lid, shapes.SECOND),
    _china(0, y, knob, knob, shapes.ACCENT),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, y, 0.27, 0.28, 0.0),
    top=anatomy.Anchor(0, y, 0.24, 0.24),
    neck=anatomy.Anchor(0, y, 0.32, 0.18),
  )
