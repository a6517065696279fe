"""What is kept of a photo, drawn on it for people."""

import numpy as np
from PIL import Image, ImageDraw

from dbflax.data import images

SIDE = 512  # of the drawing, in pixels
_LINE = (240, 130, 30)
_WIDTH = 4
# What is cut off is mixed with grey.
_GREY, _SHARE = 128, 0.6


def draw(image: np.ndarray, place: images.Square) -> np.ndarray:
  """The whole photo with the kept square outlined, and the rest dimmed.

  Args:
    image: uint8 [H, W, 3].
    place: what is kept; where it reaches over the borders, these are repeated.

  Returns:
    uint8 [h, w, 3], at most SIDE a side.
  """
  height, width = image.shape[:2]
  above, before = max(0, -place.top), max(0, -place.left)
  below = max(0, place.top + place.side - height)
  after = max(0, place.left + place.side - width)
  margins = ((above, below), (before, after), (0, 0))
  canvas = Image.fromarray(np.pad(image, margins, mode='edge'))
  scale = min(1.0, SIDE / max(canvas.size))
  size = tuple(max(1, round(length * scale)) for length in canvas.size)
  canvas = canvas.resize(size, Image.Resampling.LANCZOS)
  scaled = lambda pixels: round(pixels * scale)
  top, left = scaled(place.top + above), scaled(place.left + before)
  box = (left, top, left + scaled(place.side), top + scaled(place.side))
  grey = Image.new('RGB', size, (_GREY,) * 3)
  shown = Image.blend(canvas, grey, _SHARE)
  shown.paste(canvas.crop(box), box[:2])
  edge = (box[0], box[1], box[2] - 1, box[3] - 1)
  ImageDraw.Draw(shown).rectangle(edge, outline=_LINE, width=_WIDTH)
  return np.asarray(shown)
