"""What a subject wears, drawn in the units of a figure's anchors.

Every accessory is drawn for the four views: on the head or neck as seen from
the side or the front, from behind, and from above.
"""

from dbflax.toybox import shapes

WORN_ROWS = 6
_GOLD = shapes.BEAK


def none() -> list[shapes.Shape]:
  return []


def hat() -> list[shapes.Shape]:
  return [
    shapes.shape(
      0, 0.42, 0.62, 0.55, shapes.WORN, box=0.5, taper=-0.15, fur=0.3
    ),
    shapes.shape(0, 0.16, 0.64, 0.14, shapes.DARK, box=0.6, clip=1, line=0),
    shapes.shape(0, 0.0, 1.15, 0.17, shapes.WORN, box=0.2, tint=0.9, fur=0.3),
  ]


def hat_above() -> list[shapes.Shape]:
  """A brim with a band and a crown on it."""
  return [
    shapes.shape(0, 0, 1.32, 1.26, shapes.WORN, tint=0.9, puff=0.4, fur=0.3),
    shapes.shape(0, 0.04, 0.86, 0.82, shapes.DARK, puff=0.2, line=0),
    shapes.shape(0, 0.06, 0.74, 0.7, shapes.WORN, fur=0.3),
    shapes.shape(0, 0.06, 0.08, 0.42, shapes.WORN, tint=0.75, puff=0, line=0),
  ]


def _stripes(xs, **columns) -> list[shapes.Shape]:
  return [
    shapes.shape(x, 0, 0.09, 0.6, shapes.WHITE, clip=1, line=0, **columns)
    for x in xs
  ]


def _scarf(tail_x, tail_angle) -> list[shapes.Shape]:
  """A scarf with one end hanging down."""
  return [
    shapes.shape(
      tail_x, -0.75, 0.27, 0.75, shapes.WORN,
      box=0.6, angle=tail_angle, tint=0.85, fur=0.6,
    ),
    shapes.shape(0, 0, 1.02, 0.42, shapes.WORN, box=0.35, fur=0.6),
    *_stripes((-0.5, 0.0, 0.5)),
  ]  # fmt: skip


def scarf() -> list[shapes.Shape]:
  return _scarf(-0.35, -8)


def scarf_back() -> list[shapes.Shape]:
  return _scarf(0.0, 0)


def scarf_above() -> list[shapes.Shape]:
  """A collar around the neck, its end lying across the back."""
  return [
    shapes.shape(
      0.45, -0.8, 0.3, 0.75, shapes.WORN,
      box=0.6, angle=20, tint=0.85, fur=0.6,
    ),
    shapes.shape(
      0, -0.1, 0.42, 1.25, shapes.WORN, angle=90, bend=0.3, box=0.3, fur=0.6
    ),
    *_stripes((-0.55, 0.0, 0.55)),
  ]  # fmt: skip


def sunglasses() -> list[shapes.Shape]:
  return [
    shapes.shape(0, 0.14, 0.95, 0.06, shapes.DARK, box=0.7, line=0),
    *[
      shapes.shape(
        s * 0.45, 0.07, 0.38, 0.31, shapes.DARK, box=0.3, gloss=1.0, puff=0.8
      )
      for s in (-1, 1)
    ],
    *[
      shapes.shape(
        s * 0.45 - 0.1, 0.17, 0.14, 0.05, shapes.ACCENT,
        angle=25, alpha=0.9, puff=0, line=0,
      )
      for s in (-1, 1)
    ],
  ]  # fmt: skip


def crown() -> list[shapes.Shape]:
  """A golden band with three points and a stone."""
  points = [
    shapes.shape(
      x, y, 0.32, h, _GOLD, angle=angle, box=0.3, taper=-0.9, gloss=0.8
    )
    for x, y, h, angle in (
      (-0.62, 0.42, 0.45, 12), (0.62, 0.42, 0.45, -12), (0, 0.52, 0.55, 0),
    )
  ]  # fmt: skip
  return [
    *points,
    shapes.shape(
      0, 0.12, 0.88, 0.25, _GOLD, box=0.7, taper=0.06, tint=0.92, gloss=0.8
    ),
    shapes.shape(0, 0.13, 0.15, 0.17, shapes.WORN, gloss=0.9, line=0.5),
    shapes.shape(0, 1.06, 0.12, 0.12, shapes.WORN, gloss=0.9, line=0.5),
  ]


def crown_above() -> list[shapes.Shape]:
  """A golden ring with eight points around a lining."""
  return [
    *[
      shapes.shape(
        0, 0, 1.0, 1.0, _GOLD, angle=angle, box=0.95, puff=0.5, gloss=0.5
      )
      for angle in (20, 65)
    ],
    shapes.shape(0, 0, 0.84, 0.84, _GOLD, tint=0.78, puff=0.3, line=0.5),
    shapes.shape(0, 0, 0.62, 0.62, shapes.WORN, puff=0.7, fur=0.4),
    shapes.shape(0, 0, 0.16, 0.16, _GOLD, gloss=0.8, line=0.5),
  ]


def bow_tie() -> list[shapes.Shape]:
  """Two wings, a fold in each, and a knot."""
  wings = [
    shapes.shape(
      s * 0.55, -0.02, 0.42, 0.55, shapes.WORN,
      angle=-s * 90, box=0.55, taper=0.45, fur=0.3,
    )
    for s in (-1, 1)
  ]  # fmt: skip
  folds = [
    shapes.shape(
      s * 0.42, -0.02, 0.05, 0.24, shapes.DARK,
      angle=-s * 90, alpha=0.45, puff=0, line=0,
    )
    for s in (-1, 1)
  ]  # fmt: skip
  knot = shapes.shape(0, -0.02, 0.2, 0.25, shapes.WORN, box=0.5, tint=0.8)
  return [*wings, *folds, knot]


# In the order of scene.ACCESSORIES and, inside, scene.VIEWS. Scenes never
# show sunglasses or a bow tie from behind or above.
ACCESSORIES = (
  (none, none, none, none),
  (hat, hat, hat, hat_above),
  (scarf, scarf, scarf_back, scarf_above),
  (sunglasses, sunglasses, sunglasses, sunglasses),
  (crown, crown, crown, crown_above),
  (bow_tie, bow_tie, bow_tie, bow_tie),
)
WORN_ON = ('face', 'top', 'neck') * 2  # the anchor of each accessory
