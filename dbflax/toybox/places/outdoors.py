"""Places in the wild: beach, snow, jungle, desert, meadow, hills, woods."""

from dbflax.toybox import shapes
from dbflax.toybox.places import place

_flat = place.flat


def beach() -> place.Place:
  return place.Place(
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
      _flat(0.88, 0.555, 0.05, 0.06, shapes.WHITE, taper=-0.8, box=0.6),
      _flat(0.88, 0.475, 0.06, 0.022, shapes.PROP_D, taper=0.3, box=0.6),
      _flat(0.08, 0.55, 0.025, 0.26, shapes.PROP_D, bend=-0.15, angle=-4),
      *[
        _flat(0.11, 0.82, 0.045, 0.17, shapes.PROP_C, angle=a, bend=b, tint=t)
        for a, b, t in ((95, 0.35, 0.9), (55, 0.1, 1.1), (125, 0.2, 1.0))
      ],
    ],
  )  # fmt: skip


def snow() -> place.Place:
  return place.Place(
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
        _flat(x, y, w, h, paint, taper=-0.75, box=0.3)
        for x in (0.1, 0.9)
        for y, w, h, paint in (
          (0.52, 0.12, 0.13, shapes.PROP_A), (0.6, 0.07, 0.045, shapes.PROP_C),
          (0.68, 0.09, 0.11, shapes.PROP_A), (0.76, 0.045, 0.045,
          shapes.PROP_C),
        )
      ],
      _flat(0.5, 0.3, 1.0, 0.1, shapes.PROP_C, soft=0.02, puff=0.2),
      *[
        _flat(x, y, 0.013, 0.013, shapes.PROP_C, puff=0)
        for x, y in (
          (0.27, 0.93), (0.45, 0.84), (0.62, 0.94), (0.76, 0.8), (0.24, 0.72),
        )
      ],
    ],
  )  # fmt: skip


def jungle() -> place.Place:
  return place.Place(
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


def desert() -> place.Place:
  return place.Place(
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


def meadow() -> place.Place:
  return place.Place(
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
          (0.06, 0.12, shapes.PROP_B), (0.16, 0.22, shapes.PROP_C),
          (0.1, 0.32, shapes.PROP_D), (0.93, 0.1, shapes.PROP_C),
          (0.84, 0.2, shapes.PROP_B), (0.94, 0.3, shapes.PROP_D),
          (0.27, 0.06, shapes.PROP_D), (0.72, 0.05, shapes.PROP_B),
        )
      ],
    ],
  )  # fmt: skip


def mountains() -> place.Place:
  peak = lambda x, y, w, h, tint: (
    _flat(x, y, w, h, shapes.PROP_A, box=1.0, taper=-0.95, tint=tint, puff=0.1),
    _flat(x, y + h, 0.6 * w, 0.4 * h, shapes.PROP_C, clip=1.0),
  )
  pine = lambda x, tint: (
    _flat(x, 0.4, 0.085, 0.11, shapes.PROP_B, box=0.3, taper=-0.9, tint=tint),
    _flat(x, 0.51, 0.06, 0.1, shapes.PROP_B, box=0.3, taper=-0.9, tint=tint),
  )
  return place.Place(
    palette=(
      (0.42, 0.64, 0.90), (0.84, 0.91, 0.97),
      (0.26, 0.46, 0.34), (0.38, 0.58, 0.32),
      (0.45, 0.53, 0.68), (0.12, 0.31, 0.24),
      (0.97, 0.98, 1.00), (0.33, 0.54, 0.36),
    ),
    horizon=0.36,
    light=1.0,
    props=[
      *peak(0.54, 0.62, 0.27, 0.31, 1.12),
      *peak(0.13, 0.59, 0.25, 0.28, 0.92),
      *peak(0.9, 0.57, 0.24, 0.26, 1.0),
      _flat(0.3, 0.9, 0.12, 0.025, shapes.PROP_C, soft=0.04, alpha=0.8),
      _flat(0.12, 0.32, 0.5, 0.08, shapes.PROP_D, tint=0.85),
      _flat(0.88, 0.31, 0.5, 0.09, shapes.PROP_D, tint=0.95),
      *pine(0.17, 1.2), *pine(0.04, 1.0), *pine(0.93, 1.1),
    ],
  )  # fmt: skip


def forest() -> place.Place:
  return place.Place(
    palette=(
      (0.90, 0.80, 0.58), (0.98, 0.92, 0.76),
      (0.62, 0.36, 0.17), (0.72, 0.44, 0.20),
      (0.93, 0.50, 0.12), (0.78, 0.20, 0.13),
      (0.34, 0.21, 0.14), (0.98, 0.76, 0.20),
    ),
    horizon=0.32,
    light=0.97,
    props=[
      _flat(0.5, 0.42, 0.8, 0.14, shapes.PROP_A, tint=0.85, soft=0.05, line=0),
      *[
        _flat(x, 0.55, w, 0.32, shapes.PROP_C, box=0.7, taper=-0.2, tint=t)
        for x, w, t in (
          (0.27, 0.02, 1.5), (0.73, 0.022, 1.5),
          (0.09, 0.04, 1.0), (0.92, 0.045, 1.0),
        )
      ],
      *[
        _flat(x, y, w, h, paint, puff=0.7)
        for x, y, w, h, paint in (
          (0.34, 0.93, 0.17, 0.11, shapes.PROP_B),
          (0.68, 0.94, 0.18, 0.11, shapes.PROP_D),
          (0.03, 0.72, 0.13, 0.13, shapes.PROP_B),
          (0.12, 0.88, 0.19, 0.14, shapes.PROP_A),
          (0.98, 0.7, 0.12, 0.12, shapes.PROP_A),
          (0.9, 0.88, 0.18, 0.13, shapes.PROP_B),
        )
      ],
      *[
        _flat(x, y, 0.035, 0.018, paint, angle=angle)
        for x, y, angle, paint in (
          (0.1, 0.2, 30, shapes.PROP_B), (0.2, 0.08, -20, shapes.PROP_D),
          (0.9, 0.21, -35, shapes.PROP_D), (0.83, 0.08, 15, shapes.PROP_B),
          (0.5, 0.04, 40, shapes.PROP_A),
        )
      ],
    ],
  )  # fmt: skip
