"""The photos of a subject at every resolution of a cascade."""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

import dbflax
from dbflax import disk, errors
from dbflax.data import (
  archives,
  boxes,
  captions,
  faces,
  finding,
  framing,
  images,
  remote,
)

# The subjects that dbflax brings with it.
EMBEDDED = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/subjects'
# A smaller photo shows nothing to learn; it is likely an icon or a mistake.
MIN_SIDE = 32


class Photo(NamedTuple):
  """A photo as it was taken.

  Attributes:
    image: uint8 [H, W, 3].
    name: what messages call it.
    caption: what is said of it (`data.captions`); '' is nothing.
    box: around the subject; only where crop is 'box' (`data.boxes`), 'auto'
      (`data.finding`) or 'face' (`data.faces`).
  """

  image: np.ndarray
  name: str
  caption: str = ''
  box: images.Box | None = None


def load(
  source: str,
  resolutions: Sequence[int],
  crop: str = 'centre',
) -> dict[int, np.ndarray]:
  """Reads the photos of a subject.

  Args:
    source: a folder of image files, or its URL, such as gs://bucket/rex;
      'tfds:NAME/CONFIG:SPLIT', a prepared TFDS data set with a feature `image`
      (NAME may be the path of its folder); 'toybox:NAME', an embedded subject;
      or 'toybox:CLASS/SEED' and 'toybox:CLASS/SEED/woven', drawn now.
    resolutions: of the cascade's stages, such as (64, 256, 1024).
    crop: how photos become square, see `images.kept`.

  Returns:
    {resolution: float32 [N, resolution, resolution, 3] in [-1, 1]}. All
    resolutions show the same N squares in the same order.

  Raises:
    UserError: no photos there, or one that is unreadable or too small; or as
      `crop` is found.
  """
  photos = read(source, max(resolutions), crop)
  return cut(photos, resolutions, crop)


def cut(
  photos: Sequence[Photo], resolutions: Sequence[int], crop: str
) -> dict[int, np.ndarray]:
  """What `load` returns, of photos that have been read."""
  squares = [images.square(photo.image, crop, photo.box) for photo in photos]
  return {
    resolution: np.stack(
      [images.to_float(images.resize(photo, resolution)) for photo in squares]
    )
    for resolution in resolutions
  }


def side(photo: Photo, crop: str) -> int:
  """Pixels a side of what is kept of a photo, before it is resized."""
  return images.kept(*photo.image.shape[:2], crop, photo.box).side


def framed(photos: Sequence[Photo], crop: str) -> list[np.ndarray]:
  """The whole photos with what is kept outlined; none if all is."""
  shapes = [photo.image.shape[:2] for photo in photos]
  places = [
    images.kept(*shape, crop, photo.box)
    for shape, photo in zip(shapes, photos, strict=True)
  ]
  if shapes == [(place.side, place.side) for place in places]:
    return []
  return [
    framing.draw(photo.image, place)
    for photo, place in zip(photos, places, strict=True)
  ]


def read(
  source: str,
  resolution: int,
  crop: str = 'centre',
  *,
  with_captions: bool = False,
) -> list[Photo]:
  """The photos of `source` (see `load`), each of its own size.

  What is drawn now is drawn at `resolution`. Captions are those of a folder, or
  the feature `caption` of a data set; boxes are a folder's alone.

  Raises:
    UserError: as `load`; or a caption or box that is none, or a square of more
      than MAX_PIXELS.
  """
  photos = _read(source, resolution, with_captions, crop == 'box')
  if crop == 'auto':
    photos = [p._replace(box=finding.square(p.image)) for p in photos]
  if crop == 'face':
    photos = [p._replace(box=faces.square(p.image, p.name)) for p in photos]
  for photo in photos:
    _check_side(photo, crop)
  return photos


def _check_side(photo: Photo, crop: str) -> None:
  """Raises UserError for a square that repeats more borders than fit."""
  kept = side(photo, crop)
  if kept**2 > images.MAX_PIXELS:
    height, width = photo.image.shape[:2]
    raise errors.UserError(
      f"'{photo.name}' has {width} x {height} pixels, of which crop={crop!r} "
      f'makes {kept} x {kept}, more than the {images.MAX_PIXELS // 1_000_000} '
      "million allowed; take 'centre', a smaller 'box', or scale it down"
    )


def _read(
  source: str, resolution: int, with_captions: bool, with_boxes: bool
) -> list[Photo]:
  if with_boxes and source.startswith(('toybox:', 'tfds:')):
    raise errors.UserError(
      f"subject.crop='box' needs a {boxes.NAME} in a folder of photos, and "
      f"'{source}' is none; take 'centre', 'pad', 'auto' or 'face'"
    )
  if source.startswith('toybox:') and '/' in source:
    return _drawn(source, resolution)
  if source.startswith('tfds:'):
    return [
      read_one(file, name, caption if with_captions else b'')
      for file, name, caption in archives.photos(source)
    ]
  folder = _folder(source)
  paths = images.list_photos(folder)
  said = (
    captions.of_folder(folder, paths) if with_captions else [''] * len(paths)
  )
  around = boxes.of_folder(folder, paths) if with_boxes else [None] * len(paths)
  return _all(_of_folder, zip(paths, said, around, strict=True))


def _all(read: Callable[..., Photo], files: Iterable[tuple]) -> list[Photo]:
  """UserError for the first (path, …) that cannot be read, and names others."""
  photos, faults = [], {}
  for path, *more in files:
    try:
      photos.append(read(path, *more))
    except errors.UserError as error:
      faults[path] = error
  if not faults:
    return photos
  first, *others = faults
  also = ', '.join(f"'{path.name}'" for path in others)
  raise errors.UserError(
    f'{faults[first]}' + (f'. Nor can be taken: {also}' if others else '')
  ) from faults[first]


def _of_folder(path: pathlib.Path, caption: str, box) -> Photo:
  photo = read_one(path, str(path))
  if box:
    boxes.check(box, *photo.image.shape[:2], str(path), MIN_SIDE)
  return photo._replace(caption=caption, box=box)


def read_one(file, name: str, caption: bytes = b'') -> Photo:
  """One photo (a path, or an open file), uncut.

  Raises:
    UserError: it is unreadable, too large or too small; it is called `name`.
  """
  image = images.load(file, name)
  if min(image.shape[:2]) < MIN_SIDE:
    raise errors.UserError(
      f"'{name}' has {image.shape[1]} x {image.shape[0]} pixels; photos "
      f'need at least {MIN_SIDE} a side: replace or remove it'
    )
  said = captions.decode(caption, name) if caption else ''
  return Photo(image, name, said)


def _folder(source: str) -> pathlib.Path:
  """The folder of a source that is one; a copy, if it is remote."""
  if source.startswith('toybox:'):
    return _embedded(source)
  if disk.is_url(source):
    return remote.fetch(source, _is_of_photos)
  return pathlib.Path(source).expanduser()


def _is_of_photos(name: str) -> bool:
  """Whether a file of a folder is read: photos, captions and boxes."""
  path = pathlib.PurePosixPath(name)
  endings = (*images.SUFFIXES, captions.SUFFIX)
  known = path.suffix.lower() in endings or name == boxes.NAME
  return len(path.parts) == 1 and known


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


def _drawn(source: str, resolution: int) -> list[Photo]:
  """The photos of 'toybox:CLASS/SEED'."""
  # Imported late: drawing takes JAX, and other subjects do not.
  from dbflax.toybox import subjects

  subject = subjects.named(source.removeprefix('toybox:'))
  drawn = subjects.photos(subject, resolution)
  return [Photo(image, f'{source}#{n}') for n, image in enumerate(drawn)]
