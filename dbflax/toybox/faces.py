"""Faces, drawn in the units of a figure's anchors."""

from typing import NamedTuple

from dbflax.toybox import shapes

EYE_ROWS = 5
MOUTH_ROWS = 2


class Face(NamedTuple):
  """An expression: eyes around the face's centre, mouth around its own."""

  eyes: list[shapes.Shape]
  mouth: list[shapes.Shape]


def _eyes(w, h, paint, **columns) -> list[shapes.Shape]:
  return [
    shapes.shape(s * 0.42, 0.08, w, h, paint, gloss=0, puff=0.2, **columns)
    for s in (-1, 1)
  ]


def _glints() -> list[shapes.Shape]:
  return [
    shapes.shape(
      s * 0.42 + 0.05, 0.16, 0.07, 0.08, shapes.WHITE, puff=0, line=0
    )
    for s in (-1, 1)
  ]


def _arc(
  x, y, length, thick, bend, paint=shapes.DARK, **columns
) -> shapes.Shape:
  """A stroke along x; positive bend lifts its ends."""
  return shapes.shape(
    x, y, thick, length, paint, angle=90, bend=bend, puff=0, line=0, **columns
  )


def neutral() -> Face:
  return Face(
    eyes=[*_eyes(0.16, 0.2, shapes.DARK), *_glints()],
    mouth=[_arc(0, 0, 0.2, 0.045, 0.2)],
  )


def happy() -> Face:
  return Face(
    eyes=[
      *[_arc(s * 0.42, 0.16, 0.2, 0.07, -0.55) for s in (-1, 1)],
      *[
        shapes.shape(s * 0.72, -0.2, 0.15, 0.1, shapes.PINK, puff=0, line=0)
        for s in (-1, 1)
      ],
    ],
    mouth=[
      shapes.shape(0, -0.04, 0.3, 0.19, shapes.DARK, taper=0.5, puff=0, line=0),
      shapes.shape(0, -0.1, 0.17, 0.1, shapes.PINK, puff=0, line=0),
    ],
  )


def sad() -> Face:
  return Face(
    eyes=[
      *_eyes(0.15, 0.16, shapes.DARK),
      *[
        shapes.shape(
          s * 0.42, 0.46, 0.24, 0.06, shapes.DARK, angle=-s * 28, puff=0, line=0
        )
        for s in (-1, 1)
      ],
      shapes.shape(
        0.52, -0.3, 0.1, 0.17, shapes.TEAR, taper=-0.6, gloss=0.4, line=0
      ),
    ],
    mouth=[_arc(0, -0.04, 0.24, 0.05, -0.4)],
  )


def sleepy() -> Face:
  return Face(
    eyes=[_arc(s * 0.42, 0.02, 0.22, 0.06, 0.35) for s in (-1, 1)],
    mouth=[shapes.shape(0, -0.02, 0.1, 0.12, shapes.DARK, puff=0, line=0)],
  )


# In the order of scene.EXPRESSIONS.
FACES = (neutral, happy, sad, sleepy)
