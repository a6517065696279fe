"""Image files and uint8 arrays: reading, cropping, resizing, writing.

Two forms and no others: uint8 RGB [H, W, 3] near the disk, and float32 in
[-1, 1] inside (`to_float`, `to_uint8`).
"""

import contextlib
import functools
import io
import pathlib
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageOps

from dbflax import disk, errors

# Checked in the header, before a single pixel is decoded.
MAX_PIXELS = 80_000_000
# Formats that Pillow may lack (HEIC) are listed, so that such a photo ends in
# a message instead of being passed over in silence.
SUFFIXES = (
  '.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm',
  '.avif', '.heic', '.heif',
)  # fmt: skip
# By content, whatever the file is called. Pillow knows others, some of which
# have it start programs (EPS: Ghostscript) or open further files.
_FORMATS = (
  'JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'AVIF', 'HEIF',
)  # fmt: skip
CROPS = ('centre', 'pad', 'box', 'auto', 'face')
# What Pillow's decoders raise on files that are damaged or no image.
_DECODE_ERRORS = (
  OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError,
  struct.error,
)  # fmt: skip


def is_photo(path: pathlib.Path) -> bool:
  """Whether what lies in a folder is one of its photos, by its name."""
  return path.suffix.lower() in SUFFIXES and not path.name.startswith('.')


def list_photos(folder) -> list[pathlib.Path]:
  """The image files of `folder`, in the order of their names.

  Raises:
    UserError: the folder is missing, no folder, or holds no image.
  """
  folder = pathlib.Path(folder).expanduser()
  if folder.is_file():
    raise errors.UserError(
      f"'{folder}' is a file; give the folder that holds the photos"
    )
  if not folder.is_dir():
    raise errors.UserError(
      f"no photo folder '{folder}'; give the path of a folder with 3-5 photos"
    )
  photos = sorted(filter(is_photo, folder.iterdir()))
  if not photos:
    raise errors.UserError(
      f"no photo in '{folder}'; put 3-5 files there ({', '.join(SUFFIXES)})"
    )
  return photos


def load(source, name: str = '') -> np.ndarray:
  """Reads an image file as uint8 RGB [H, W, 3], as a viewer would show it.

  EXIF rotation is applied, transparency is laid over white, and grey, palette,
  CMYK and 16-bit images become 8-bit RGB. Colours become those of sRGB, if an
  ICC profile says which they are; without one they are taken for that.

  Args:
    source: a path, or an open binary file.
    name: what error messages call it; by default the path.

  Raises:
    UserError: unreadable, truncated, not an image, over MAX_PIXELS, or of
      numbers that do not say what is white (floats, or above 16 bits).
  """
  name = name or str(source)
  try:
    with warnings.catch_warnings():
      # Pillow warns about size on its own; `_check_size` refuses earlier.
      warnings.simplefilter('ignore', Image.DecompressionBombWarning)
      with _open(source) as file:
        image = Image.open(file, formats=_formats())
        _check_size(image.size, name)
        image = ImageOps.exif_transpose(image)
        _check_range(image, name)
        return _to_rgb(image)
  except Image.DecompressionBombError as error:
    raise errors.UserError(f"'{name}': {error}; scale it down") from error
  except Image.UnidentifiedImageError as error:
    raise errors.UserError(
      f"cannot read '{name}': not an image of a kind that is read; "
      'save it as PNG or JPEG, or remove it'
    ) from error
  except _DECODE_ERRORS as error:
    raise errors.UserError(
      f"cannot read '{name}': {errors.one_line(error)}; replace or remove it"
    ) from error


def _open(source):
  """A context with an open file; one that was given is not closed after it."""
  if hasattr(source, 'read'):
    return contextlib.nullcontext(source)
  return disk.open_file(source)


@functools.cache
def _formats() -> list[str]:
  """Those of `_FORMATS` that this Pillow can read."""
  Image.init()
  return [name for name in _FORMATS if name in Image.OPEN]


def _check_size(size, name):
  """Raises UserError if an image of `size` (W, H) is too large to decode."""
  if size[0] * size[1] > MAX_PIXELS:
    raise errors.UserError(
      f"'{name}' has {size[0]} x {size[1]} pixels, more than the "
      f'{MAX_PIXELS // 1_000_000} million allowed; scale it down'
    )


def _check_range(image: Image.Image, name):
  """Raises UserError if white may be any number: floats, 32-bit integers."""
  if image.mode == 'F' or (
    image.mode == 'I' and not 0 <= np.min(image) <= np.max(image) <= 65535
  ):
    kind = 'floats' if image.mode == 'F' else 'numbers outside of 0 … 65535'
    raise errors.UserError(
      f"'{name}' has {kind} for pixels; save it as 8- or 16-bit"
    )


def _to_rgb(image: Image.Image) -> np.ndarray:
  """uint8 [H, W, 3] of a Pillow image of any mode."""
  if image.mode.startswith('I'):
    # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
    grey = np.round(np.asarray(image) / 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
  if image.has_transparency_data:
    image = image.convert('RGBA')
  elif image.mode not in ('L', 'CMYK'):
    image = image.convert('RGB')
  image = _in_srgb(image)
  if image.mode == 'RGBA':
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image)
  return np.asarray(image.convert('RGB'))


def _in_srgb(image: Image.Image) -> Image.Image:
  """RGB or RGBA in sRGB, of an image whose ICC profile says which colours.

  A profile that is broken, or not of the image's mode, says nothing.
  """
  profile = image.info.get('icc_profile')
  if not profile:
    return image
  mode = 'RGBA' if image.mode == 'RGBA' else 'RGB'
  try:
    shown = ImageCms.profileToProfile(
      image,
      ImageCms.ImageCmsProfile(io.BytesIO(profile)),
      ImageCms.createProfile('sRGB'),
      outputMode=mode,
    )
  except (ImageCms.PyCMSError, OSError):
    return image
  # There are many profiles of sRGB; some round its curve by a level.
  change = ImageChops.difference(shown, image.convert(mode)).getextrema()
  return image if max(high for _, high in change) <= 1 else shown


class Square(NamedTuple):
  """What is kept of an image, in its pixels; it may reach over the borders."""

  top: int
  left: int
  side: int


# Left, top, right and bottom border, in pixels; right and bottom lie outside.
Box = tuple[int, int, int, int]


def kept(height: int, width: int, crop: str, box: Box | None = None) -> Square:
  """Which square of an image is kept.

  Args:
    height, width: of the image.
    crop: 'centre' keeps the middle of the longer side; 'pad' all of it; 'box',
      'auto' and 'face' the smallest square that holds `box`, with the box in
      its middle, or moved so that it lies within the image, as far as that is
      large enough.
    box: of the subject; only for 'box', 'auto' and 'face'.
  """
  if crop not in CROPS:
    raise ValueError(f'crop {crop!r} is none of {CROPS}')
  if crop in ('centre', 'pad'):
    side = max(height, width) if crop == 'pad' else min(height, width)
    return Square(_middle(height, side), _middle(width, side), side)
  left, top, right, bottom = box
  side = max(right - left, bottom - top)
  return Square(
    _around(top, bottom, height, side), _around(left, right, width, side), side
  )


def _middle(length: int, side: int) -> int:
  """Where `side` pixels start in the middle of `length`; below 0 if more."""
  return (length - side) // 2 if side <= length else -((side - length) // 2)


def _around(start: int, end: int, length: int, side: int) -> int:
  """Where `side` pixels start around those from `start` to `end`."""
  if side > length:
    return _middle(length, side)
  return min(max((start + end - side) // 2, 0), length - side)


def square(
  image: np.ndarray, crop: str = 'centre', box: Box | None = None
) -> np.ndarray:
  """Makes uint8 [H, W, 3] the square [s, s, 3] that `kept` says.

  Beyond its borders border pixels are repeated.
  """
  top, left, side = kept(*image.shape[:2], crop, box)
  margins = [
    (max(0, -start), max(0, start + side - length))
    for start, length in zip((top, left), image.shape[:2], strict=True)
  ]
  if any(map(any, margins)):
    image = np.pad(image, (*margins, (0, 0)), mode='edge')
  top, left = max(0, top), max(0, left)
  return image[top : top + side, left : left + side]


def resize(image: np.ndarray, resolution: int) -> np.ndarray:
  """Scales a square uint8 image to [resolution, resolution, 3], antialiased."""
  if image.shape[:2] == (resolution, resolution):
    return image
  # Lanczos widens its support when it shrinks, so it antialiases.
  scaled = Image.fromarray(image).resize(
    (resolution, resolution), Image.Resampling.LANCZOS
  )
  return np.asarray(scaled)


def to_float(image: np.ndarray) -> np.ndarray:
  """uint8 [...] to float32 in [-1, 1]."""
  return np.asarray(image, np.float32) / np.float32(127.5) - np.float32(1)


def to_uint8(image) -> np.ndarray:
  """Float [...] in [-1, 1] to uint8, rounded; the inverse of `to_float`."""
  image = np.asarray(image, np.float32)
  return np.round(np.clip((image + 1) * 127.5, 0, 255)).astype(np.uint8)


# Looks for repeated pixels alone. PIL's own, of level 6, takes four times as
# long for a drawn picture of 1024 pixels (0.29 s instead of 0.07) and 2 % more.
_COMPRESSION = zlib.Z_RLE


def save_png(path, image: np.ndarray) -> None:
  """Writes uint8 [H, W, 3] losslessly; `path` is whole or absent."""
  if image.dtype != np.uint8:
    raise TypeError(f'{image.dtype} image; convert it with to_uint8 first')
  with disk.atomic_path(path) as partial:
    picture = Image.fromarray(image)
    picture.save(partial, format='PNG', compress_type=_COMPRESSION)


def grid(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
  """Lays uint8 [N, h, w, 3] out row by row on white, `gap` pixels apart."""
  count, height, width = images.shape[:3]
  rows = -(-count // columns)
  sheet = np.full(
    (rows * (height + gap) - gap, columns * (width + gap) - gap, 3),
    255,
    np.uint8,
  )
  for index, image in enumerate(images):
    top = index // columns * (height + gap)
    left = index % columns * (width + gap)
    sheet[top : top + height, left : left + width] = image
  return sheet
