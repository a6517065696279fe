"""Photos that were dropped on the page: counted, checked, kept.

A photo is taken only if a run would: `subjects.read_one` checks its kind,
its pixels (before a single one is decoded) and that it is whole. It gets a name
of our own; its bytes stay as they are.
"""

import pathlib
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors
from dbflax.data import images, subjects

THUMBNAIL = 256  # pixels a side


class Limits(NamedTuple):
  """How much may be dropped."""

  count: int
  megabytes: float  # of one photo

  @property
  def total_bytes(self) -> int:
    """Of one request: all the photos, and what a form says around them."""
    return int(self.count * self.megabytes * 1e6) + 100_000


def add(
  folder: pathlib.Path,
  files: Sequence[tuple[pathlib.Path, str]],
  limits: Limits,
) -> list[str]:
  """Copies the good ones of [(file, its name at the user's), …] to `folder`.

  Returns:
    Why each of the others was not taken, in one line.

  Raises:
    UserError: too many; none was taken then.
  """
  kept = photos(folder)
  if len(kept) + len(files) > limits.count:
    raise errors.UserError(
      f'{len(kept) + len(files)} photos are more than the {limits.count} '
      'allowed; 3-5 are enough. Remove some, or raise --config.serve.max_photos'
    )
  numbers = [int(path.stem) for path in kept if path.stem.isdecimal()]
  number = max(numbers, default=-1) + 1
  refused = []
  for path, name in files:
    try:
      suffix = _check(path, name, limits)
    except errors.UserError as error:
      refused.append(str(error))
      continue
    with disk.atomic_path(folder / f'{number:03d}{suffix}') as partial:
      shutil.copyfile(path, partial)
    number += 1
  return refused


def _check(path: pathlib.Path, name: str, limits: Limits) -> str:
  """The ending of a photo's name; UserError if a run would not take it."""
  suffix = pathlib.PurePath(name).suffix.lower()
  if suffix not in images.SUFFIXES:
    raise errors.UserError(
      f"'{name}' is no photo by its name ({', '.join(images.SUFFIXES)}); save "
      'it as PNG or JPEG'
    )
  size = path.stat().st_size
  if size > limits.megabytes * 1e6:
    raise errors.UserError(
      f"'{name}' has {size / 1e6:.3g} MB, more than the {limits.megabytes:g} "
      'allowed; scale it down, or raise --config.serve.max_megabytes'
    )
  subjects.read_one(path, name)
  return suffix


def photos(folder: pathlib.Path) -> list[pathlib.Path]:
  """The photos that were kept, in their order."""
  return sorted(filter(images.is_photo, folder.glob('*')))


def clear(folder: pathlib.Path) -> None:
  """Removes all photos, and what else lies beside them."""
  for path in folder.glob('*'):
    if path.is_file():
      path.unlink()


def thumbnails(source: str, crop: str) -> list[np.ndarray]:
  """uint8 [THUMBNAIL, THUMBNAIL, 3] of each photo, as a run will see it.

  Raises:
    UserError: no photos there, or one that is unreadable or too small.
  """
  loaded = subjects.load(source, (THUMBNAIL,), crop)[THUMBNAIL]
  return [images.to_uint8(photo) for photo in loaded]
