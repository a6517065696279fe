"""Places that people built: street, kitchen, living room, castle."""

from dbflax.toybox import shapes
from dbflax.toybox.places import place

_flat = place.flat


def street() -> place.Place:
  return place.Place(
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
      _flat(0.96, 0.5, 0.01, 0.2, shapes.DARK, box=1.0),
      _flat(0.96, 0.72, 0.035, 0.035, shapes.PROP_C, tint=1.05),
      _flat(0.2, 0.07, 0.13, 0.018, shapes.PROP_D, box=0.9, puff=0),
      _flat(0.8, 0.07, 0.13, 0.018, shapes.PROP_D, box=0.9, puff=0),
    ],
  )  # fmt: skip


def kitchen() -> place.Place:
  return place.Place(
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


def living_room() -> place.Place:
  box = lambda *args, **columns: _flat(
    *args, **{'box': 1.0, 'puff': 0.1, **columns}
  )
  return place.Place(
    palette=(
      (0.79, 0.58, 0.62), (0.83, 0.64, 0.66),
      (0.45, 0.29, 0.21), (0.54, 0.36, 0.25),
      (0.24, 0.36, 0.58), (1.00, 0.88, 0.56),
      (0.60, 0.40, 0.18), (0.90, 0.84, 0.74),
    ),
    horizon=0.29,
    light=0.98,
    props=[
      *[
        box(x, 0.7, 0.035, 0.45, shapes.SKY, puff=0, tint=1.1)
        for x in (-0.03, 0.21, 0.45, 0.69, 0.93)
      ],
      box(0.5, 0.3, 0.8, 0.018, shapes.PROP_D, puff=0),
      box(0.2, 0.77, 0.14, 0.12, shapes.PROP_C),
      box(0.2, 0.77, 0.115, 0.095, shapes.PROP_D, puff=0),
      _flat(0.22, 0.7, 0.12, 0.07, shapes.PROP_A, tint=1.3, clip=1.0),
      box(0.34, 0.42, 0.36, 0.13, shapes.PROP_A, box=0.8, puff=0.5),
      box(0.34, 0.29, 0.36, 0.07, shapes.PROP_A, box=0.8, puff=0.5, tint=1.15),
      _flat(
        0.03, 0.36, 0.07, 0.12, shapes.PROP_A, box=0.7, puff=0.8, tint=0.85
      ),
      box(0.9, 0.45, 0.012, 0.24, shapes.PROP_C),
      _flat(
        0.9, 0.72, 0.22, 0.2, shapes.PROP_B, soft=0.2, alpha=0.45, puff=0,
        line=0,
      ),
      box(0.9, 0.73, 0.095, 0.085, shapes.PROP_B, taper=-0.35),
      _flat(0.5, 0.12, 0.46, 0.085, shapes.PROP_D, puff=0),
    ],
  )  # fmt: skip


def castle() -> place.Place:
  tower = lambda x, y, w: (
    _flat(x, y, w, 0.24, shapes.PROP_A, box=1.0, tint=1.05),
    _flat(x, y + 0.32, 0.72 * w, 0.1, shapes.PROP_B, box=1.0, taper=-0.9),
    _flat(x + 0.045, y + 0.43, 0.045, 0.025, shapes.PROP_C, box=0.9),
    _flat(x, y + 0.1, 0.022, 0.05, shapes.DARK, box=0.5, puff=0),
  )
  return place.Place(
    palette=(
      (0.48, 0.74, 0.98), (0.86, 0.94, 0.99),
      (0.50, 0.74, 0.36), (0.42, 0.68, 0.30),
      (0.72, 0.69, 0.72), (0.70, 0.22, 0.32),
      (0.99, 0.82, 0.25), (0.20, 0.48, 0.24),
    ),
    horizon=0.33,
    light=1.0,
    props=[
      _flat(0.5, 0.45, 0.6, 0.14, shapes.PROP_A, box=1.0, tint=0.85),
      *[
        _flat(x, 0.61, 0.035, 0.03, shapes.PROP_A, box=1.0, tint=0.85)
        for x in (0.3, 0.43, 0.56, 0.69)
      ],
      *tower(0.12, 0.47, 0.115),
      *tower(0.88, 0.43, 0.105),
      _flat(0.06, 0.28, 0.15, 0.06, shapes.PROP_D, puff=0.7),
      _flat(0.95, 0.28, 0.15, 0.07, shapes.PROP_D, puff=0.7),
      _flat(0.55, 0.88, 0.13, 0.03, shapes.WHITE, soft=0.04, alpha=0.9),
    ],
  )  # fmt: skip
