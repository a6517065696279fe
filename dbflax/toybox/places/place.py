"""What a place is, and the notation of its props.

Coordinates are frame widths, origin at the lower left, y upwards. The subject
covers the middle, so what tells a place stands at the edges and at the top.
"""

from typing import NamedTuple

from dbflax.toybox import shapes


class Place(NamedTuple):
  """What a place looks like behind the subject.

  Attributes:
    palette: eight rgb colours: sky above and at the horizon, ground at the
      horizon and in front, and four for props.
    horizon: its height.
    light: brightness of everything that stands there.
    props: shapes, back to front.
  """

  palette: tuple
  horizon: float
  light: float
  props: list[shapes.Shape]


def flat(*args, **columns) -> shapes.Shape:
  """A shape with little shading, as things far away have."""
  return shapes.shape(*args, **{'puff': 0.3, **columns})
