"""The places of the toybox: a palette, a horizon and a few large props.

Coordinates are frame widths, origin at the lower left, y upwards.
"""

from typing import NamedTuple

from dbflax.toybox import shapes

ROWS = 14


class Place(NamedTuple):
  """What a place looks like behind the subject.

  Attributes:
    palette: eight rgb colours: sky above and at the horizon, ground at the
      horizon and in front, and four for props.
    horizon: its height; sharp: the inverse softness of the horizon, 1 a line.
    light: brightness of everything that stands there.
    props: shapes, back to front.
  """

  palette: tuple
  horizon: float
  light: float
  props: list[shapes.Shape]


def _flat(*args, **columns) -> shapes.Shape:
  return shapes.shape(*args, **{'puff': 0.3, **columns})


def beach() -> Place:
  return Place(
    palette=(
      (0.36, 0.68, 0.95), (0.80, 0.93, 0.98),
      (0.93, 0.84, 0.62), (0.96, 0.87, 0.66),
      (0.10, 0.52, 0.72), (0.99, 0.90, 0.45),
      (0.22, 0.58, 0.30), (0.55, 0.38, 0.24),
    ),
    horizon=0.36,
    light=1.0,
    props=[
      _flat(0.82, 0.86, 0.075, 0.075, shapes.PROP_B, soft=0.02, puff=0),
      _flat(0.3, 0.87, 0.14, 0.03, shapes.WHITE, soft=0.04, alpha=0.8),
      _flat(0.5, 0.45, 0.9, 0.11, shapes.PROP_A, box=1.0, puff=0),
      _flat(0.5, 0.37, 0.9, 0.018, shapes.WHITE, alpha=0.9, puff=0, soft=0.02),
      _flat(0.08, 0.55, 0.025, 0.26, shapes.PROP_D, bend=-0.15, angle=-4),
      *[
        _flat(0.11, 0.82, 0.045, 0.17, shapes.PROP_C, angle=a, bend=b, tint=t)
        for a, b, t in ((95, 0.35, 0.9), (55, 0.1, 1.1), (125, 0.2, 1.0))
      ],
    ],
  )  # fmt: skip


def snow() -> Place:
  return Place(
    palette=(
      (0.66, 0.78, 0.90), (0.90, 0.94, 0.98),
      (0.88, 0.92, 0.97), (0.97, 0.98, 1.00),
      (0.20, 0.42, 0.38), (0.74, 0.82, 0.92),
      (0.98, 0.99, 1.00), (0.40, 0.30, 0.26),
    ),
    horizon=0.42,
    light=1.0,
    props=[
      _flat(0.2, 0.42, 0.35, 0.2, shapes.PROP_B, soft=0.01),
      _flat(0.85, 0.4, 0.4, 0.26, shapes.PROP_B, tint=0.95, soft=0.01),
      *[
        _flat(x, y, w, h, paint, taper=-0.95, box=0.3)
        for x in (0.1, 0.9)
        for y, w, h, paint in (
          (0.52, 0.12, 0.13, shapes.PROP_A), (0.6, 0.07, 0.045, shapes.PROP_C),
          (0.68, 0.09, 0.11, shapes.PROP_A), (0.76, 0.045, 0.045,
          shapes.PROP_C),
        )
      ],
      _flat(0.5, 0.3, 1.0, 0.1, shapes.PROP_C, soft=0.02, puff=0.2),
    ],
  )  # fmt: skip


def jungle() -> Place:
  return Place(
    palette=(
      (0.10, 0.30, 0.16), (0.34, 0.56, 0.24),
      (0.16, 0.34, 0.14), (0.28, 0.40, 0.16),
      (0.12, 0.46, 0.20), (0.36, 0.24, 0.15),
      (0.30, 0.66, 0.24), (0.90, 0.36, 0.42),
    ),
    horizon=0.3,
    light=0.95,
    props=[
      _flat(0.12, 0.6, 0.05, 0.5, shapes.PROP_B, bend=0.05),
      _flat(0.9, 0.6, 0.06, 0.5, shapes.PROP_B, bend=-0.05, tint=0.85),
      *[
        _flat(x, y, 0.07, 0.24, shapes.PROP_A, angle=a, bend=b, tint=t)
        for x, y, a, b, t in (
          (0.05, 0.85, 130, 0.2, 1.0), (0.28, 0.93, 80, 0.25, 0.8),
          (0.62, 0.95, 100, -0.2, 0.9), (0.95, 0.85, 50, -0.2, 1.1),
          (0.02, 0.4, 40, 0.3, 1.2), (0.98, 0.42, -40, -0.3, 1.2),
        )
      ],
      *[
        _flat(x, 0.3, 0.05, 0.17, shapes.PROP_C, angle=a, bend=0.2)
        for x, a in ((0.1, -30), (0.2, 25), (0.84, 30), (0.93, -20))
      ],
      _flat(0.16, 0.42, 0.04, 0.04, shapes.PROP_D),
    ],
  )  # fmt: skip


def street() -> Place:
  return Place(
    palette=(
      (0.62, 0.74, 0.86), (0.86, 0.88, 0.90),
      (0.44, 0.44, 0.47), (0.36, 0.36, 0.40),
      (0.72, 0.42, 0.34), (0.56, 0.58, 0.66),
      (0.95, 0.90, 0.62), (0.93, 0.93, 0.90),
    ),
    horizon=0.34,
    light=1.0,
    props=[
      _flat(0.13, 0.6, 0.19, 0.3, shapes.PROP_A, box=1.0, puff=0.1),
      _flat(0.5, 0.52, 0.2, 0.2, shapes.PROP_B, box=1.0, puff=0.1),
      _flat(0.88, 0.62, 0.2, 0.33, shapes.PROP_B, box=1.0, tint=0.8, puff=0.1),
      *[
        _flat(x, y, 0.04, 0.05, shapes.PROP_C, box=0.9, puff=0)
        for x in (0.07, 0.2, 0.8, 0.93)
        for y in (0.58, 0.78)
      ],
      _flat(0.5, 0.33, 0.8, 0.035, shapes.PROP_D, box=1.0, tint=0.75, puff=0),
      _flat(0.2, 0.07, 0.13, 0.018, shapes.PROP_D, box=0.9, puff=0),
      _flat(0.8, 0.07, 0.13, 0.018, shapes.PROP_D, box=0.9, puff=0),
    ],
  )  # fmt: skip


def kitchen() -> Place:
  return Place(
    palette=(
      (0.95, 0.87, 0.70), (0.97, 0.91, 0.78),
      (0.66, 0.42, 0.28), (0.74, 0.50, 0.34),
      (0.42, 0.62, 0.60), (0.97, 0.96, 0.92),
      (0.60, 0.83, 0.96), (0.86, 0.86, 0.88),
    ),
    horizon=0.27,
    light=1.0,
    props=[
      _flat(0.5, 0.76, 0.19, 0.17, shapes.PROP_B, box=1.0, puff=0.1),
      _flat(0.5, 0.76, 0.165, 0.145, shapes.PROP_C, box=1.0, puff=0, tint=1.05),
      _flat(0.5, 0.76, 0.013, 0.15, shapes.PROP_B, box=1.0, puff=0),
      _flat(0.12, 0.83, 0.16, 0.15, shapes.PROP_A, box=0.95, puff=0.1),
      _flat(0.9, 0.83, 0.16, 0.15, shapes.PROP_A, box=0.95, puff=0.1),
      _flat(0.5, 0.36, 0.8, 0.13, shapes.PROP_A, box=1.0, puff=0.0),
      _flat(0.5, 0.5, 0.8, 0.022, shapes.PROP_B, box=1.0, puff=0),
      *[
        _flat(x, 0.36, 0.012, 0.12, shapes.PROP_A, box=1.0, tint=0.75, puff=0)
        for x in (0.02, 0.34, 0.66, 0.98)
      ],
      _flat(0.12, 0.57, 0.07, 0.055, shapes.PROP_D, box=0.6, gloss=0.5),
      _flat(0.12, 0.63, 0.075, 0.012, shapes.PROP_D, tint=0.7),
    ],
  )  # fmt: skip


def desert() -> Place:
  return Place(
    palette=(
      (0.96, 0.66, 0.36), (1.00, 0.86, 0.60),
      (0.86, 0.55, 0.30), (0.91, 0.62, 0.35),
      (0.78, 0.44, 0.24), (1.00, 0.94, 0.74),
      (0.30, 0.54, 0.30), (0.66, 0.34, 0.22),
    ),
    horizon=0.34,
    light=1.0,
    props=[
      _flat(0.22, 0.84, 0.085, 0.085, shapes.PROP_B, soft=0.03, puff=0),
      _flat(0.78, 0.42, 0.16, 0.16, shapes.PROP_D, box=0.8, taper=-0.15),
      _flat(0.3, 0.3, 0.45, 0.13, shapes.PROP_A, puff=0.5),
      _flat(0.9, 0.28, 0.5, 0.12, shapes.PROP_A, tint=1.1, puff=0.5),
      _flat(0.5, 0.12, 1.0, 0.2, shapes.GROUND, soft=0.01, puff=0.2),
      _flat(0.1, 0.5, 0.04, 0.22, shapes.PROP_C, box=0.5, puff=0.8),
      _flat(0.155, 0.48, 0.06, 0.025, shapes.PROP_C, puff=0.8),
      _flat(0.195, 0.54, 0.025, 0.08, shapes.PROP_C, box=0.4, puff=0.8),
      _flat(0.05, 0.56, 0.05, 0.023, shapes.PROP_C, puff=0.8),
      _flat(0.015, 0.61, 0.023, 0.07, shapes.PROP_C, box=0.4, puff=0.8),
    ],
  )  # fmt: skip


def meadow() -> Place:
  return Place(
    palette=(
      (0.42, 0.72, 0.98), (0.86, 0.95, 1.00),
      (0.52, 0.78, 0.32), (0.40, 0.70, 0.24),
      (0.62, 0.84, 0.40), (0.98, 0.40, 0.52),
      (0.99, 0.92, 0.35), (0.96, 0.96, 0.98),
    ),
    horizon=0.38,
    light=1.03,
    props=[
      _flat(0.25, 0.84, 0.14, 0.05, shapes.PROP_D, soft=0.03, alpha=0.95),
      _flat(0.33, 0.88, 0.09, 0.05, shapes.PROP_D, soft=0.03, alpha=0.95),
      _flat(0.8, 0.76, 0.13, 0.04, shapes.PROP_D, soft=0.03, alpha=0.9),
      _flat(0.2, 0.34, 0.45, 0.16, shapes.PROP_A, tint=0.86),
      _flat(0.85, 0.34, 0.4, 0.13, shapes.PROP_A),
      *[
        _flat(x, y, 0.024, 0.024, paint)
        for x, y, paint in (
          (0.06, 0.12, 5 + 9), (0.16, 0.22, 6 + 9), (0.1, 0.32, 7 + 9),
          (0.93, 0.1, 6 + 9), (0.84, 0.2, 5 + 9), (0.94, 0.3, 7 + 9),
          (0.27, 0.06, 7 + 9), (0.72, 0.05, 5 + 9),
        )
      ],
    ],
  )  # fmt: skip


def night() -> Place:
  return Place(
    palette=(
      (0.04, 0.05, 0.18), (0.16, 0.18, 0.42),
      (0.09, 0.13, 0.22), (0.12, 0.17, 0.26),
      (0.97, 0.95, 0.80), (0.07, 0.09, 0.20),
      (0.90, 0.92, 1.00), (0.98, 0.80, 0.40),
    ),
    horizon=0.34,
    light=0.72,
    props=[
      _flat(
        0.8, 0.83, 0.17, 0.17, shapes.PROP_A, soft=0.12, alpha=0.25, puff=0,
      ),
      _flat(0.8, 0.83, 0.085, 0.085, shapes.PROP_A, puff=0.2),
      *[
        _flat(x, y, 0.014, 0.014, shapes.PROP_C, puff=0)
        for x, y in (
          (0.1, 0.9), (0.25, 0.75), (0.4, 0.93), (0.55, 0.8),
          (0.08, 0.62), (0.93, 0.58), (0.6, 0.94),
        )
      ],
      _flat(0.2, 0.3, 0.4, 0.16, shapes.PROP_B),
      _flat(0.85, 0.3, 0.4, 0.2, shapes.PROP_B, tint=0.8),
    ],
  )  # fmt: skip


# In the order of scene.PLACES.
PLACES = (beach, snow, jungle, street, kitchen, desert, meadow, night)
