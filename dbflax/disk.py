"""Files that are whole or absent, and fingerprints that tell them apart.

A file is written under another name and renamed, a folder is finished when its
manifest is there, and both are known by their sha256.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import stat
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from dbflax import errors

_log = logging.getLogger(__name__)

MANIFEST = 'manifest.json'
STARTED = 'started.json'
# Endings of files that a killed process may leave half-written.
PARTIAL = '.partial'
# Part of the name of a checkpoint that Orbax has not finished.
TEMPORARY = '.orbax-checkpoint-tmp'


def fingerprint(obj) -> str:
  """sha256 (hex) of a value.

  Mappings hash by sorted keys, lists and tuples alike, arrays by dtype, shape
  and content, `pathlib.Path`s by the content of the file or folder they name
  (never by their name), everything else as JSON.
  """
  text = json.dumps(_canonical(obj), sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()


def fingerprints(values: Mapping) -> dict[str, str]:
  """The fingerprint of each of them."""
  return {key: fingerprint(value) for key, value in values.items()}


def _canonical(obj):
  """`obj` as plain JSON data."""
  if isinstance(obj, pathlib.Path):
    return {'path': _path_fingerprint(obj)}
  if hasattr(obj, '__array__'):
    array = np.ascontiguousarray(obj)
    content = hashlib.sha256(array.tobytes()).hexdigest()
    return {'array': [str(array.dtype), list(np.shape(obj)), content]}
  # ml_collections' ConfigDict has `items` but is no Mapping.
  if isinstance(obj, Mapping) or hasattr(obj, 'items'):
    return {str(key): _canonical(value) for key, value in obj.items()}
  if isinstance(obj, (list, tuple)):
    return [_canonical(value) for value in obj]
  if obj is None or isinstance(obj, (bool, int, float, str)):
    return obj
  raise TypeError(f'cannot fingerprint a {type(obj).__name__}: {obj!r}')


def _path_fingerprint(path: pathlib.Path):
  """The sha256 of a file, or {relative path: sha256} of a folder."""
  if path.is_dir():
    return {name: file_fingerprint(path / name) for name in files(path)}
  return file_fingerprint(path)


# What there may be in place of a file; to read it could take for ever.
_KINDS = {
  stat.S_IFIFO: 'a pipe',
  stat.S_IFSOCK: 'a socket',
  stat.S_IFCHR: 'a device',
  stat.S_IFBLK: 'a device',
  stat.S_IFDIR: 'a folder',
}


def check_file(path) -> None:
  """Raises UserError if something is there that is no file.

  For libraries that open files themselves; all else is read by `open_file`.
  """
  mode = os.stat(path).st_mode
  if not stat.S_ISREG(mode):
    kind = _KINDS.get(stat.S_IFMT(mode), 'something else')
    raise errors.UserError(
      f"'{path}' is {kind}, where a file should be; remove or replace it."
    )


def open_file(path) -> BinaryIO:
  """A file, open for reading.

  Raises:
    UserError: it is no file.
    OSError: it is missing, or may not be read.
  """
  check_file(path)
  return open(path, 'rb')


def read(path) -> bytes:
  """What is in a file; raises what `open_file` does."""
  with open_file(path) as file:
    return file.read()


def file_fingerprint(path) -> str:
  """sha256 (hex) of the content of a file."""
  with open_file(path) as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def is_url(path: str) -> bool:
  """Whether a text is no path but a URL, such as gs://bucket/folder."""
  return re.match(r'[a-z][a-z0-9+.-]*://', path) is not None


def slug(text: str) -> str:
  """The words of a text as a name for a file or folder."""
  return re.sub(r'[^\w.-]+', '_', text.lower()).strip('_.')


@contextlib.contextmanager
def atomic_path(path) -> Iterator[pathlib.Path]:
  """A file to write to, which becomes `path` when all went well.

  So `path` is, at any moment, absent, the old one or complete.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Of this process: another may write the same file now.
  partial = path.with_name(f'.{path.name}.{os.getpid()}{PARTIAL}')
  try:
    yield partial
    with open_file(partial) as file:
      os.fsync(file.fileno())
    os.replace(partial, path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def atomic_write(path, content: bytes) -> None:
  """Writes a whole file, or none."""
  with atomic_path(path) as partial:
    partial.write_bytes(content)


def write_json(path, value) -> None:
  """Writes indented JSON, atomically."""
  atomic_write(path, (json.dumps(value, indent=2) + '\n').encode())


def read_json(path):
  """The object in a JSON file; None if it is missing, or holds none.

  Raises:
    UserError: it is no file.
    OSError: it may not be read.
  """
  try:
    content = json.loads(read(path))
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (ValueError, RecursionError):
    return None
  return content if isinstance(content, dict) else None


def read_log(path) -> list[dict]:
  """The objects of a file of JSON lines, each with a 'step'; [] without one.

  A last line that was cut by a kill is left out. So is all from one on that was
  damaged, with a warning.
  """
  if not path.exists():
    return []
  found = []
  for number, line in enumerate(read(path).split(b'\n')[:-1], 1):
    entry = _log_entry(line)
    if entry is None:
      _log.warning('%s is damaged in line %d and not used on', path, number)
      break
    found.append(entry)
  return found


def _log_entry(line: bytes) -> dict | None:
  try:
    entry = json.loads(line)
  except (ValueError, RecursionError):
    return None
  is_one = isinstance(entry, dict) and isinstance(entry.get('step'), int)
  return entry if is_one else None


def damage(folder: pathlib.Path) -> str:
  """What of a folder is not as its manifest says, in words; '' if all is."""
  manifest = read_json(folder / MANIFEST)
  if manifest is None:
    return 'it was not finished'
  found = manifest.get('files')
  if not isinstance(found, dict):
    return 'its files are not known'
  for name, entry in found.items():
    path = folder / name
    if pathlib.Path(name).is_absolute() or '..' in pathlib.Path(name).parts:
      return f'{name} lies elsewhere'
    if not path.is_file():
      return f'{name} is missing'
    # The size first: it spares reading most damaged files.
    size = path.stat().st_size
    is_known = isinstance(entry, list) and entry[:1] == [size]
    if not is_known or entry != [size, file_fingerprint(path)]:
      return f'{name} was altered'
  return ''


def checksums(folder) -> dict[str, tuple[int, str]]:
  """{relative path: (bytes, sha256)} of the files that were made in it."""
  return {
    name: ((folder / name).stat().st_size, file_fingerprint(folder / name))
    for name in files(folder)
    if pathlib.Path(name).name not in (MANIFEST, STARTED)
  }


def files(folder) -> list[str]:
  """Relative paths of all files below `folder`, sorted; no partial ones."""
  return sorted(
    path.relative_to(folder).as_posix()
    for path in folder.rglob('*')
    if path.is_file() and path.suffix != PARTIAL
  )
