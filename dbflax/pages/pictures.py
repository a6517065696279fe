"""Images as parts of a page."""

import base64
import io
import math
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from dbflax import disk
from dbflax.data import images

# Images whose shorter side is at most this stay lossless and are scaled up
# with hard edges.
SMALL = 128


class Picture(NamedTuple):
  """An image that is part of a page."""

  uri: str
  # Of the file, in pixels; the page may hold fewer.
  width: int
  height: int

  @property
  def small(self) -> bool:
    return min(self.width, self.height) <= SMALL


# Where none is made yet.
NONE = Picture('', 0, 0)


def picture(path: pathlib.Path, side: int, quality: int) -> Picture:
  """An image file as a data URI.

  Small ones as they are; others as JPEG with at most side² pixels, unless the
  file is smaller than that.

  Raises:
    UserError: the file is missing or no image.
  """
  pixels = images.load(path)
  height, width = pixels.shape[:2]
  kind, content = 'png', disk.read(path)
  if min(width, height) > SMALL:
    jpeg = _jpeg(pixels, side, quality)
    if len(jpeg) < len(content):
      kind, content = 'jpeg', jpeg
  return Picture(_uri(kind, content), width, height)


def thumbnail(pixels: np.ndarray, side: int, quality: int = 80) -> str:
  """uint8 [H, W, 3] as a data URI of at most side² pixels."""
  return _uri('jpeg', _jpeg(pixels, side, quality))


def _uri(kind: str, content: bytes) -> str:
  return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def _jpeg(pixels, side, quality) -> bytes:
  """uint8 [H, W, 3] as JPEG of at most side² pixels."""
  height, width = pixels.shape[:2]
  scale = min(1, side / math.sqrt(height * width))
  image = Image.fromarray(pixels)
  if scale < 1:
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
  file = io.BytesIO()
  # Subsampled colours would blur thin coloured outlines.
  image.save(file, 'JPEG', quality=quality, subsampling=0, optimize=True)
  return file.getvalue()
