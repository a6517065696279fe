"""Encoded photos of prepared TFDS data sets, which anybody may have packed.

TFDS believes what lies in the folder of a data set: `dataset_info.json` says
how the files of records are called, `features.json` names Python classes, whose
modules it imports. So both are checked before TFDS acts on them: records are
files of that folder, and features are those that TFDS brings with it.
"""

import io
import json
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from dbflax import disk, errors

# Below it are the features of TFDS; importing one runs no other code.
_FEATURES = 'tensorflow_datasets.core.features.'
_CLASS = ('pythonClassName', 'python_class_name')
# JSON within a string, and the form of old versions of TFDS: there a name would
# not be where it is looked for.
_OPAQUE = ('json', 'type')


class Encoded(NamedTuple):
  """A photo.

  Attributes:
    file: the image file.
    name: what messages call it.
    caption: UTF-8; b'' without one.
  """

  file: io.BytesIO
  name: str
  caption: bytes


def photos(source: str) -> list[Encoded]:
  """The photos of 'tfds:NAME/CONFIG:SPLIT', and their captions.

  Args:
    source: NAME is that of a data set, or the path of its folder.

  Raises:
    UserError: no such data set, split or feature `image`; no photos; or a data
      set that reaches out of its folder.
  """
  name, _, split = source.removeprefix('tfds:').partition(':')
  if not name or not split:
    raise errors.UserError(
      f"'{source}' must look like tfds:NAME:SPLIT or tfds:NAME/CONFIG:SPLIT"
    )
  try:
    encoded = _read(name, split)
  except errors.UserError:
    raise
  # TFDS raises many kinds (not found, not prepared, no such split or feature,
  # stored as tfrecord); its first line says which.
  except Exception as error:
    raise errors.UserError(
      f"cannot read '{source}': {str(error).strip().splitlines()[0]} "
      '(python -m dbflax.data.photo_folder or .dreambooth prepares one; others '
      "want file_format='array_record' and a feature `image`)"
    ) from error
  if not encoded:
    raise errors.UserError(f"'{source}' is empty; give a split with photos")
  return [
    Encoded(io.BytesIO(image), f'{source}#{index}', caption)
    for index, (image, caption) in enumerate(encoded)
  ]


def _read(name: str, split: str) -> list[tuple[bytes, bytes]]:
  """(image, caption) of every example; the feature `caption` may be missing."""
  # Imported late: TFDS takes a second, and most subjects are folders.
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.utils import file_utils

  folder = pathlib.Path(name).expanduser()
  if folder.is_dir():
    _check_files(folder)
    builder = tfds.builder_from_directory(folder)
  else:
    for root in file_utils.list_data_dirs():
      _check_files(pathlib.Path(root, name.partition('/')[0]))
    builder = tfds.builder(name)
  _check_records(builder)
  # Encoded bytes, so that files and data sets are decoded by one function.
  examples = builder.as_data_source(
    split=split, decoders={'image': tfds.decode.SkipDecoding()}
  )
  return [(bytes(e['image']), bytes(e.get('caption', b''))) for e in examples]


def _check_files(folder: pathlib.Path) -> None:
  """Raises UserError if TFDS would wait for a pipe, or import other code."""
  for path in folder.rglob('*'):
    if not path.is_dir():
      disk.check_file(path)
    if path.name == 'features.json':
      _check_features(path)


def _check_features(path: pathlib.Path) -> None:
  """Raises UserError if features.json would have TFDS import other code."""
  for key, text in _texts(json.loads(disk.read(path))):
    if key in _OPAQUE:
      raise errors.UserError(
        f"'{path}' describes a feature by '{key}', which cannot be checked; "
        'prepare the data set again with a newer TFDS'
      )
    if key in _CLASS and not text.startswith(_FEATURES):
      raise errors.UserError(
        f"'{path}' asks for the Python class '{text}', but only features of "
        f'TFDS itself are read ({_FEATURES}*); do not trust this data set'
      )


def _texts(value) -> Iterator[tuple[str, str]]:
  """(key, value) of all strings in the objects of JSON, at any depth."""
  if isinstance(value, list):
    value = dict(enumerate(value))
  if isinstance(value, dict):
    for key, entry in value.items():
      if isinstance(entry, str):
        yield key, entry
      yield from _texts(entry)


def _check_records(builder) -> None:
  """Raises UserError if records are not files in the data set's folder."""
  folder = pathlib.Path(builder.data_path).resolve()
  for name, split in builder.info.splits.items():
    for path in split.filepaths:
      real = pathlib.Path(path).resolve()
      if not real.is_relative_to(folder) or not real.is_file():
        raise errors.UserError(
          f"split '{name}' of '{folder}' is read from '{path}', which is no "
          'file in that folder; do not trust this data set'
        )
