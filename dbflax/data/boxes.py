"""boxes.json in a folder of photos: where the subject is, for subject.crop=box.

    {"rex1.jpg": [120, 40, 420, 380], "rex2.jpg": [0, 300, 900, 1100]}

Of every photo: left, top, right and bottom border of a box around the subject,
in pixels of the photo as a viewer shows it.
"""

import json
import pathlib
from collections.abc import Sequence

from dbflax import disk, errors
from dbflax.data import images

NAME = 'boxes.json'
_MAX_BYTES = 1_000_000
_EXAMPLE = '[left, top, right, bottom] in pixels, such as [120, 40, 420, 380]'


def of_folder(
  folder: pathlib.Path, photos: Sequence[pathlib.Path]
) -> list[images.Box]:
  """The box of each photo of a folder.

  Raises:
    UserError: no boxes.json, one that is none, or a photo without a box.
  """
  path = folder / NAME
  boxes = _read(path)
  names = [photo.name for photo in photos]
  if missing := [name for name in names if name not in boxes]:
    raise errors.UserError(
      f"'{path}' has no box for '{missing[0]}'; add one, {_EXAMPLE}"
    )
  if strays := [name for name in boxes if name not in names]:
    raise errors.UserError(
      f"'{path}' has a box for '{strays[0]}', which is no photo there; "
      'remove it, or name it as the file is called'
    )
  for name, box in boxes.items():
    if not _is_box(box):
      raise errors.UserError(
        f"'{path}': {json.dumps(box)[:80]} is no box for '{name}'; give "
        f'{_EXAMPLE}'
      )
  return [tuple(boxes[name]) for name in names]


def _read(path: pathlib.Path) -> dict:
  if not path.exists():
    raise errors.UserError(
      f"subject.crop='box' needs a file '{path}' with a box for each photo, "
      f"{_EXAMPLE}; or take 'centre', 'pad', 'auto' or 'face'"
    )
  try:
    with disk.open_file(path) as file:
      content = json.loads(file.read(_MAX_BYTES))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.UserError(
      f"cannot read '{path}' ({errors.one_line(error)}); it is JSON, "
      f'such as {{"rex1.jpg": [120, 40, 420, 380]}}'
    ) from error
  if not isinstance(content, dict):
    raise errors.UserError(
      f"'{path}' must be a JSON object, such as "
      f'{{"rex1.jpg": [120, 40, 420, 380]}}'
    )
  return content


def _is_box(box) -> bool:
  """Whether it is four numbers of pixels; `check` knows the photo, too."""
  return (
    isinstance(box, list)
    and len(box) == 4
    and all(type(number) is int for number in box)
  )


def check(
  box: images.Box, height: int, width: int, name: str, least: int
) -> None:
  """Raises UserError unless a box lies in a photo and is large enough.

  Args:
    box: as `of_folder` returns it.
    height, width: of the photo.
    name: of the photo, for messages.
    least: pixels that the longer side must have.
  """
  left, top, right, bottom = box
  if not (0 <= left < right <= width and 0 <= top < bottom <= height):
    raise errors.UserError(
      f"the box {list(box)} of '{name}' does not lie in its {width} x {height} "
      'pixels; give [left, top, right, bottom]'
    )
  if max(right - left, bottom - top) < least:
    raise errors.UserError(
      f"the box {list(box)} of '{name}' is {right - left} x {bottom - top} "
      f'pixels large; a side needs at least {least}'
    )
