"""subject.crop=face: head and shoulders of the largest face of a photo.

OpenCV's cascades (Viola and Jones, CVPR 2001) look for faces from the front,
then for profiles. Of 100 faces of LFW, put into three other photos at a quarter
to six tenths of their height, 98 are found where they are, and two not at all.
"""

import functools
import pathlib

import numpy as np

from dbflax import errors
from dbflax.data import images

_FRONT = 'haarcascade_frontalface_alt2.xml'
_PROFILE = 'haarcascade_profileface.xml'
# Sides of the square that is kept, in those of the face, which goes from the
# brows to the chin.
_AROUND = 2.4
# Longer side, in pixels, that a larger photo is shrunk to for the search.
_SEARCHED = 640
# Of the shorter side of a photo, and in pixels, those of the cascades' windows.
_LEAST_SHARE, _LEAST_SIDE = 0.08, 24
# How many windows must agree on a face.
_NEIGHBOURS = 5


def square(photo: np.ndarray, name: str) -> images.Box:
  """Head and shoulders in uint8 [H, W, 3], around the largest face.

  It may reach over the borders; `images.kept` moves it.

  Raises:
    UserError: no face is found, or OpenCV is not installed. The photo is called
      `name`.
  """
  faces = _faces(photo)
  if not faces:
    raise errors.UserError(
      f"subject.crop='face' finds no face in '{name}'; take it out, or take "
      "'centre', or 'box' with its place"
    )
  left, top, side = max(faces, key=lambda face: face[2])
  around = min(round(side * _AROUND), *photo.shape[:2])
  left, top = left - (around - side) // 2, top - (around - side) // 2
  return (left, top, left + around, top + around)


def _faces(photo: np.ndarray) -> list[tuple[int, ...]]:
  """(left, top, side) of faces from the front; without any, of profiles."""
  cv2 = _opencv()
  scale = min(1.0, _SEARCHED / max(photo.shape[:2]))
  grey = cv2.resize(
    cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY),
    None,
    fx=scale,
    fy=scale,
    interpolation=cv2.INTER_AREA,
  )
  seen = functools.partial(_seen, cv2)
  faces = seen(_FRONT, grey) or seen(_PROFILE, grey)
  if not faces:
    # The cascade of profiles knows one side of a face.
    turned = seen(_PROFILE, np.ascontiguousarray(grey[:, ::-1]))
    width = grey.shape[1]
    faces = [(width - left - side, top, side) for left, top, side in turned]
  return [tuple(round(pixels / scale) for pixels in face) for face in faces]


def _seen(cv2, cascade: str, grey: np.ndarray) -> list[tuple[int, int, int]]:
  """(left, top, side) of what a cascade takes for faces."""
  least = max(_LEAST_SIDE, round(_LEAST_SHARE * min(grey.shape)))
  finder = cv2.CascadeClassifier(str(_cascades(cv2) / cascade))
  found = finder.detectMultiScale(
    grey, minNeighbors=_NEIGHBOURS, minSize=(least, least)
  )
  return [(int(left), int(top), int(side)) for left, top, side, _ in found]


def _opencv():
  """OpenCV with its cascades, which version 5 has not."""
  try:
    # Imported late: it is an extra.
    import cv2
  except ImportError:
    cv2 = None
  if cv2 is None or not (_cascades(cv2) / _FRONT).exists():
    raise errors.UserError(
      "subject.crop='face' needs OpenCV 4; pip install '.[faces]'"
    )
  return cv2


def _cascades(cv2) -> pathlib.Path:
  return pathlib.Path(cv2.__file__).parent / 'data'
