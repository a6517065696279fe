"""The one primitive that every toybox picture is made of, and its notation.

A primitive is a smooth closed shape: a norm ball, between an ellipse
(`box=0`) and a rounded rectangle (`box=1`), rotated, tapered along its own
height and bent like a banana. Figures and places write lists of `shape(...)`;
`affine` turns a figure, which is a function of an individual's numbers, into
two constant arrays, so that inside jit a figure costs one small product.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Columns of a primitive, in order. Lengths are in the figure's own unit.
COLUMNS = (
  'x', 'y', 'w', 'h', 'angle', 'box', 'taper', 'bend', 'tint', 'alpha',
  'soft', 'puff', 'gloss', 'clip', 'line', 'fur', 'grain', 'rim', 'weave',
)  # fmt: skip
WIDTH = len(COLUMNS)
COLUMN = {name: index for index, name in enumerate(COLUMNS)}

# Paints: indices into a scene's palette, the subject's and the place's.
MAIN, SECOND, DARK, WHITE, ACCENT, WORN, BEAK, PINK, TEAR = range(9)
SKY, SKY_LOW, GROUND_FAR, GROUND, PROP_A, PROP_B, PROP_C, PROP_D = range(9, 17)


class Shape(NamedTuple):
  """A primitive before it enters a table: `row` [WIDTH] and its paint."""

  row: np.ndarray
  paint: int


def shape(x, y, w, h, paint, *, angle=0.0, **columns) -> Shape:
  """A primitive centred at (x, y), y upwards, with half sizes w and h.

  Args:
    x, y, w, h: centre and half sizes in the figure's unit.
    paint: index into the palette.
    angle: counter-clockwise, degrees.
    **columns: box 0 ellipse … 1 rectangle; taper widens the upper end; bend
      moves both ends sideways; tint multiplies the paint; alpha opacity; soft
      width of a blurred edge; puff how round the shading is; gloss strength
      of the highlight; clip 1 paints only on the last unclipped shape and
      keeps its shading; line strength of the outline in drawn styles; fur
      strength of the fine texture, grain of the lines of wood; rim how much
      more opaque the edge of a see-through shape is; weave strength of the
      threads that a picture of 64 pixels does not show.
  """
  values = dict(
    x=x, y=y, w=w, h=h, angle=np.deg2rad(angle), box=0.0, taper=0.0, bend=0.0,
    tint=1.0, alpha=1.0, soft=0.0, puff=0.9, gloss=0.0, clip=0.0, line=1.0,
    fur=0.0, grain=0.0, rim=0.0, weave=0.0,
  )  # fmt: skip
  unknown = set(columns) - set(values)
  if unknown:
    raise TypeError(f'shape has no column {sorted(unknown)}; see COLUMNS')
  values.update(columns)
  return Shape(np.array([values[name] for name in COLUMNS]), paint)


def mark(x, y, w, h, **columns) -> Shape:
  """A flat patch of the second colour, clipped to the shape before it."""
  return shape(x, y, w, h, SECOND, clip=1.0, line=0.0, **columns)


def pad(shapes: list[Shape], length: int) -> list[Shape]:
  """Appends invisible shapes up to a fixed length.

  Raises:
    ValueError: there are more shapes than `length`.
  """
  if len(shapes) > length:
    raise ValueError(f'{len(shapes)} shapes do not fit {length} rows')
  nothing = shape(0.0, 0.0, 1.0, 1.0, MAIN, alpha=0.0, line=0.0, clip=1.0)
  return shapes + [nothing] * (length - len(shapes))


def table(shapes: list[Shape]) -> tuple[np.ndarray, np.ndarray]:
  """Rows [n, WIDTH] float32 and paints [n] int32."""
  rows = np.stack([item.row for item in shapes]).astype(np.float32)
  return rows, np.array([item.paint for item in shapes], np.int32)


def affine(
  figure: Callable[[np.ndarray], list[Shape]], numbers: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """A figure that is affine in its numbers, as constant arrays.

  Returns:
    base [length, WIDTH], slopes [numbers, length, WIDTH] with
    figure(v) = base + v · slopes, and paints [length].
  """
  rows = lambda v: table(pad(figure(v), length))[0]
  base, paints = table(pad(figure(np.zeros(numbers)), length))
  slopes = np.stack([rows(unit) - base for unit in np.eye(numbers)])
  return base, slopes, paints
