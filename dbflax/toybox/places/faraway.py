"""Places of another light: night, the sea floor, the moon."""

from dbflax.toybox import shapes
from dbflax.toybox.places import place

_flat = place.flat


def night() -> place.Place:
  return place.Place(
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
        line=0,
      ),
      _flat(0.8, 0.83, 0.085, 0.085, shapes.PROP_A, puff=0.2),
      *[
        _flat(x, y, 0.014, 0.014, shapes.PROP_C, puff=0)
        for x, y in (
          (0.1, 0.9), (0.25, 0.75), (0.4, 0.93), (0.55, 0.8),
          (0.05, 0.72), (0.93, 0.58), (0.6, 0.94),
        )
      ],
      _flat(0.2, 0.3, 0.4, 0.16, shapes.PROP_B),
      _flat(0.85, 0.3, 0.4, 0.2, shapes.PROP_B, tint=0.8),
      _flat(0.1, 0.5, 0.075, 0.06, shapes.PROP_B, box=1.0, tint=2.4),
      _flat(
        0.1, 0.59, 0.065, 0.04, shapes.PROP_B, box=1.0, taper=-0.6, tint=1.7
      ),
      _flat(0.1, 0.5, 0.022, 0.026, shapes.PROP_D, box=0.9, puff=0),
    ],
  )  # fmt: skip


def under_water() -> place.Place:
  return place.Place(
    palette=(
      (0.30, 0.78, 0.80), (0.04, 0.38, 0.50),
      (0.40, 0.58, 0.52), (0.70, 0.74, 0.58),
      (0.96, 0.40, 0.42), (0.99, 0.66, 0.25),
      (0.10, 0.55, 0.36), (0.80, 0.96, 0.98),
    ),
    horizon=0.25,
    light=0.95,
    props=[
      *[
        _flat(
          x, 0.8, 0.07, 0.5, shapes.PROP_D, angle=angle, taper=-0.3,
          alpha=0.3, soft=0.06, puff=0, line=0,
        )
        for x, angle in ((0.12, -14), (0.45, -8), (0.8, 10))
      ],
      _flat(0.2, 0.36, 0.022, 0.2, shapes.PROP_C, bend=0.15, tint=0.9),
      _flat(0.82, 0.4, 0.025, 0.24, shapes.PROP_C, bend=-0.15, tint=1.1),
      *[
        _flat(x, y, w, h, paint, angle=angle, puff=0.8)
        for x, y, w, h, angle, paint in (
          (0.03, 0.3, 0.035, 0.14, 25, shapes.PROP_A),
          (0.09, 0.33, 0.035, 0.17, -5, shapes.PROP_A),
          (0.15, 0.26, 0.03, 0.1, -35, shapes.PROP_A),
          (0.91, 0.24, 0.1, 0.09, 0, shapes.PROP_B),
          (0.99, 0.31, 0.04, 0.14, -15, shapes.PROP_A),
        )
      ],
      *[
        _flat(x, y, r, r, shapes.PROP_D, alpha=0.75, gloss=0.6, puff=0.9)
        for x, y, r in (
          (0.1, 0.66, 0.035), (0.16, 0.8, 0.025), (0.9, 0.74, 0.04),
          (0.85, 0.88, 0.024),
        )
      ],
      _flat(0.1, 0.9, 0.07, 0.035, shapes.PROP_B),
      _flat(0.18, 0.9, 0.03, 0.035, shapes.PROP_B, angle=90, taper=-0.7),
    ],
  )  # fmt: skip


def moon() -> place.Place:
  crater = lambda x, y, w: (
    _flat(x, y, w, 0.33 * w, shapes.PROP_A, puff=0),
    _flat(x, y - 0.08 * w, 0.85 * w, 0.22 * w, shapes.PROP_B, puff=0),
  )
  return place.Place(
    palette=(
      (0.01, 0.01, 0.03), (0.04, 0.04, 0.08),
      (0.52, 0.52, 0.55), (0.68, 0.68, 0.71),
      (0.40, 0.40, 0.44), (0.58, 0.58, 0.61),
      (0.22, 0.50, 0.92), (0.36, 0.66, 0.34),
    ),
    horizon=0.36,
    light=1.0,
    props=[
      *[
        _flat(x, y, 0.012, 0.012, shapes.WHITE, puff=0)
        for x, y in ((0.42, 0.93), (0.07, 0.62), (0.74, 0.88), (0.93, 0.66))
      ],
      _flat(0.17, 0.81, 0.115, 0.115, shapes.PROP_C, puff=0.7),
      _flat(0.13, 0.84, 0.05, 0.06, shapes.PROP_D, angle=30, clip=1.0),
      _flat(0.23, 0.76, 0.05, 0.035, shapes.PROP_D, clip=1.0),
      _flat(0.17, 0.91, 0.09, 0.03, shapes.WHITE, clip=1.0),
      _flat(0.05, 0.35, 0.28, 0.09, shapes.PROP_B, puff=0.6),
      _flat(0.95, 0.35, 0.3, 0.13, shapes.PROP_B, tint=0.9, puff=0.6),
      *crater(0.12, 0.2, 0.12), *crater(0.9, 0.14, 0.13),
      *crater(0.72, 0.04, 0.1),
    ],
  )  # fmt: skip
