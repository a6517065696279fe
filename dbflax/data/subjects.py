"""The photos of a subject at every resolution of a cascade."""

import pathlib
from collections.abc import Sequence

import numpy as np

import dbflax
from dbflax import errors
from dbflax.data import archives, images

# The subjects that dbflax brings with it.
EMBEDDED = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/subjects'
# A smaller photo shows nothing to learn; it is likely an icon or a mistake.
MIN_SIDE = 32


def load(
  source: str,
  resolutions: Sequence[int],
  crop: str = 'centre',
) -> dict[int, np.ndarray]:
  """Reads the photos of a subject.

  Args:
    source: a folder of image files; 'tfds:NAME/CONFIG:SPLIT', a prepared TFDS
      data set with a feature `image` (NAME may be the path of its folder);
      'toybox:NAME', an embedded subject; or 'toybox:CLASS/SEED', one that is
      drawn now.
    resolutions: of the cascade's stages, such as (64, 256, 1024).
    crop: how photos become square, see `images.square`.

  Returns:
    {resolution: float32 [N, resolution, resolution, 3] in [-1, 1]}. All
    resolutions show the same N squares in the same order.

  Raises:
    UserError: no photos there, or one that is unreadable or too small.
  """
  photos = _photos(source, max(resolutions))
  squares = [images.square(photo, crop) for photo in photos]
  return {
    resolution: np.stack(
      [images.to_float(images.resize(photo, resolution)) for photo in squares]
    )
    for resolution in resolutions
  }


def _photos(source: str, resolution: int) -> list[np.ndarray]:
  """uint8 [H, W, 3] of every photo of `source`, each of its own size.

  What is drawn now is drawn at `resolution`.
  """
  if source.startswith('toybox:') and '/' in source:
    return _drawn(source, resolution)
  if source.startswith('tfds:'):
    named_files = archives.photos(source)
  else:
    folder = _embedded(source) if source.startswith('toybox:') else source
    named_files = [(path, str(path)) for path in images.list_photos(folder)]
  return [read(file, name) for file, name in named_files]


def read(file, name: str) -> np.ndarray:
  """uint8 [H, W, 3] of one photo (a path, or an open file).

  Raises:
    UserError: it is unreadable, too large or too small; it is called `name`.
  """
  photo = images.load(file, name)
  if min(photo.shape[:2]) < MIN_SIDE:
    raise errors.UserError(
      f"'{name}' has {photo.shape[1]} x {photo.shape[0]} pixels; photos "
      f'need at least {MIN_SIDE} a side: replace or remove it'
    )
  return photo


def _embedded(source: str) -> pathlib.Path:
  """The folder of 'toybox:NAME'."""
  name = source.split(':', 1)[1]
  known = sorted(path.name for path in EMBEDDED.glob('*') if path.is_dir())
  if name not in known:
    raise errors.UserError(
      f"no embedded subject '{source}'; there are "
      f'{", ".join(f"toybox:{subject}" for subject in known)}, and others by '
      "class and number, such as 'toybox:cat/3'"
    )
  return EMBEDDED / name


def _drawn(source: str, resolution: int) -> list[np.ndarray]:
  """The photos of 'toybox:CLASS/SEED'."""
  # Imported late: drawing takes JAX, and other subjects do not.
  from dbflax.toybox import subjects

  subject = subjects.named(source.removeprefix('toybox:'))
  return [*subjects.photos(subject, resolution)]
