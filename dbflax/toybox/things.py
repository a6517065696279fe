"""The things of the toybox, from the side and from the front."""

import numpy as np

from dbflax.toybox import anatomy, shapes


def _pot(n: anatomy.Numbers, gloss=0.7) -> list[shapes.Shape]:
  """The round body of a teapot with its foot and lid."""
  w, h = 0.34 + 0.04 * n.p[0], 0.3 + 0.04 * n.p[1]
  body = (0.0, 0.37, w, h)
  knob = 0.06 + 0.015 * n.p[3]
  return [
    shapes.shape(
      0, 0.06, 0.22, 0.06, shapes.MAIN, box=0.5, tint=0.8, gloss=gloss
    ),
    shapes.shape(*body, shapes.MAIN, box=0.12, gloss=gloss),
    *anatomy.marks(n, *body[:2], 0.34, 0.3),
    shapes.shape(
      0,
      0.655 + 0.04 * n.p[1],
      0.21,
      0.075,
      shapes.SECOND,
      gloss=gloss,
      taper=-0.2,
    ),
    shapes.shape(
      0,
      0.77 + 0.04 * n.p[1] + 0.02 * n.p[3],
      knob,
      knob,
      shapes.ACCENT,
      gloss=gloss,
    ),
  ]


def teapot_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  handle = 0.17 + 0.04 * n.p[4]
  items = [
    shapes.shape(
      -0.53, 0.42, 0.045, handle, shapes.SECOND, bend=1.05, gloss=0.5, box=0.2
    ),
    shapes.shape(
      -0.4, 0.585 + 0.04 * n.p[4], 0.13, 0.042, shapes.SECOND, angle=8,
    ),
    shapes.shape(
      -0.4, 0.255 - 0.04 * n.p[4], 0.13, 0.042, shapes.SECOND, angle=-8,
    ),
    shapes.shape(
      0.44 + 0.02 * n.p[2], 0.44, 0.085, 0.25 + 0.04 * n.p[2], shapes.MAIN,
      angle=-42, taper=-0.35, bend=0.18, gloss=0.7,
    ),
    *_pot(n),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0.06, 0.42, 0.27, 0.28, 0.0),
    top=anatomy.Anchor(0, 0.74, 0.22, 0.24),
    neck=anatomy.Anchor(0, 0.24, 0.32, 0.18),
  )


def teapot_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  items = [
    *_pot(n),
    shapes.shape(
      0, 0.42, 0.1, 0.17 + 0.03 * n.p[2], shapes.MAIN, taper=-0.3, gloss=0.7
    ),
    shapes.shape(0, 0.55 + 0.03 * n.p[2], 0.07, 0.045, shapes.MAIN, tint=0.9),
    shapes.shape(0, 0.555 + 0.03 * n.p[2], 0.045, 0.026, shapes.DARK, line=0),
  ]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, 0.42, 0.27, 0.28, 0.0),
    top=anatomy.Anchor(0, 0.74, 0.22, 0.24),
    neck=anatomy.Anchor(0, 0.24, 0.32, 0.18),
  )


def backpack_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  h = 0.43 + 0.04 * n.p[0]
  w = 0.26 + 0.03 * n.p[1]
  body = (0.0, 0.45, w, h)
  top = 0.06 * n.p[0]
  items = [
    *[
      shapes.shape(
        x, 0.46, 0.04, 0.3, shapes.SECOND, bend=0.22, box=0.4, tint=t
      )
      for x, t in ((-0.33, 0.7), (-0.27, 0.85))
    ],
    shapes.shape(-0.04, 0.9 + top, 0.1, 0.075, shapes.SECOND, tint=0.8),
    shapes.shape(*body, shapes.MAIN, box=0.65, taper=-0.12, fur=0.4),
    *anatomy.marks(n, *body[:2], 0.26, 0.43),
    shapes.shape(
      -0.17, 0.22, 0.08, 0.15 + 0.03 * n.p[3], shapes.ACCENT, box=0.7, fur=0.4
    ),
    shapes.shape(
      0.14, 0.25, 0.18, 0.17 + 0.03 * n.p[2], shapes.SECOND, box=0.7, fur=0.4
    ),
    shapes.shape(0.14, 0.31, 0.155, 0.014, shapes.DARK, box=0.8, line=0),
    shapes.shape(
      0.03, 0.79 + top, 0.25, 0.1, shapes.MAIN, box=0.5, tint=0.78, fur=0.4
    ),
    *[
      shapes.shape(x, 0.65 + 0.05 * n.p[0], 0.028, 0.09, shapes.ACCENT, box=0.7)
      for x in (0.02, 0.2)
    ],
  ]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0.06, 0.56, 0.23, 0.25, 0.0),
    top=anatomy.Anchor(0, 0.88, 0.22, 0.24),
    neck=anatomy.Anchor(0.02, 0.42, 0.28, 0.2),
  )


def backpack_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  h = 0.43 + 0.04 * n.p[0]
  body = (0.0, 0.45, 0.33 + 0.03 * n.p[1], h)
  pocket = 0.16 + 0.03 * n.p[2]
  items = [
    *[
      shapes.shape(
        s * 0.36, 0.25, 0.07, 0.15 + 0.03 * n.p[3], shapes.ACCENT, box=0.6
      )
      for s in (-1, 1)
    ],
    shapes.shape(0, 0.9 + 0.06 * n.p[0], 0.11, 0.08, shapes.SECOND, tint=0.8),
    shapes.shape(*body, shapes.MAIN, box=0.65, taper=-0.12, fur=0.4),
    *anatomy.marks(n, *body[:2], 0.33, 0.43),
    shapes.shape(0, 0.24, 0.23, pocket, shapes.SECOND, box=0.7, fur=0.4),
    shapes.shape(0, 0.24 + 0.06, 0.2, 0.014, shapes.DARK, box=0.8, line=0),
    shapes.shape(
      0,
      0.79 + 0.06 * n.p[0],
      0.3,
      0.1,
      shapes.MAIN,
      box=0.5,
      tint=0.78,
      fur=0.4,
    ),
    *[
      shapes.shape(
        s * 0.14, 0.64 + 0.05 * n.p[0], 0.028, 0.09, shapes.ACCENT, box=0.7
      )
      for s in (-1, 1)
    ],
  ]
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, 0.56, 0.26, 0.25, 0.0),
    top=anatomy.Anchor(0, 0.88, 0.23, 0.24),
    neck=anatomy.Anchor(0, 0.42, 0.33, 0.2),
  )


def _wheel(x, r) -> list[shapes.Shape]:
  return [
    shapes.shape(x, r, r, r, shapes.DARK, puff=0.5),
    shapes.shape(x, r, r * 0.52, r * 0.52, shapes.ACCENT, gloss=0.8, line=0),
  ]


def car_side(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  r = 0.135 + 0.02 * n.p[0]
  w = 0.58 + 0.05 * n.p[1]
  roof = 0.15 + 0.03 * n.p[2]
  cx = -0.06 + 0.06 * n.p[3]
  body = (0.0, 0.28, w, 0.15 + 0.015 * n.p[4])
  items = [
    shapes.shape(
      cx, 0.5 + 0.03 * n.p[2], 0.34, roof + 0.05, shapes.MAIN,
      box=0.55, taper=-0.3, gloss=0.6,
    ),
    shapes.shape(
      cx - 0.145, 0.51 + 0.03 * n.p[2], 0.115, roof - 0.045, shapes.WHITE,
      box=0.6, taper=-0.15, tint=0.72, gloss=0.8, angle=-5,
    ),
    shapes.shape(
      cx + 0.14, 0.51 + 0.03 * n.p[2], 0.115, roof - 0.045, shapes.WHITE,
      box=0.6, taper=-0.15, tint=0.72, gloss=0.8, angle=5,
    ),
    shapes.shape(*body, shapes.MAIN, box=0.55, taper=-0.05, gloss=0.6),
    *anatomy.marks(n, *body[:2], 0.58, 0.15),
    shapes.shape(w - 0.04, 0.33, 0.05, 0.045, shapes.BEAK, tint=1.1, gloss=0.9),
    shapes.shape(-w + 0.03, 0.33, 0.035, 0.045, shapes.PINK, tint=0.85),
    shapes.shape(0, 0.165, w, 0.035, shapes.SECOND, box=0.6, tint=0.8),
    *_wheel(-0.36, r),
    *_wheel(0.36, r),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(cx + 0.05, 0.52, 0.27, 0.22, 0.0),
    top=anatomy.Anchor(cx, 0.66 + 0.06 * n.p[2], 0.26, 0.26),
    neck=anatomy.Anchor(cx, 0.38, 0.4, 0.17),
  )


def car_front(v: np.ndarray) -> anatomy.Figure:
  n = anatomy.numbers(v)
  r = 0.135 + 0.02 * n.p[0]
  w = 0.4 + 0.03 * n.p[1]
  roof = 0.16 + 0.03 * n.p[2]
  body = (0.0, 0.32, w, 0.18 + 0.015 * n.p[4])
  items = [
    *[
      shapes.shape(s * 0.31, r, 0.08, r, shapes.DARK, box=0.5, puff=0.5)
      for s in (-1, 1)
    ],
    shapes.shape(
      0, 0.55 + 0.03 * n.p[2], 0.33, roof + 0.05, shapes.MAIN,
      box=0.55, taper=-0.22, gloss=0.6,
    ),
    shapes.shape(
      0, 0.565 + 0.03 * n.p[2], 0.26, roof - 0.035, shapes.WHITE,
      box=0.6, taper=-0.22, tint=0.72, gloss=0.8,
    ),
    shapes.shape(*body, shapes.MAIN, box=0.55, taper=-0.05, gloss=0.6),
    *anatomy.marks(n, *body[:2], 0.4, 0.18),
    *[
      shapes.shape(
        s * 0.29, 0.35, 0.07, 0.065, shapes.BEAK, tint=1.1, gloss=0.9,
      )
      for s in (-1, 1)
    ],
    shapes.shape(0, 0.3, 0.15 + 0.02 * n.p[3], 0.05, shapes.DARK, box=0.6),
    shapes.shape(0, 0.175, w, 0.04, shapes.SECOND, box=0.6, tint=0.8),
    shapes.shape(0, 0.18, 0.09, 0.03, shapes.WHITE, box=0.8, line=0),
  ]  # fmt: skip
  return anatomy.Figure(
    items,
    face=anatomy.Anchor(0, 0.57, 0.3, 0.22, 0.0),
    top=anatomy.Anchor(0, 0.72 + 0.06 * n.p[2], 0.26, 0.26),
    neck=anatomy.Anchor(0, 0.4, 0.38, 0.17),
  )
