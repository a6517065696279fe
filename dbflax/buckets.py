"""Folders at gs:// and other URLs, on any file system that fsspec knows.

What is copied from one lies below ~/.cache/dbflax. gs:// needs the extra 'gcs'.
"""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterator, Mapping

from dbflax import disk, errors


class Bucket:
  """A folder at a URL; each method raises UserError if it cannot be had.

  Objects are named by their paths in it, and are whole or absent: of buckets
  that is said by those who keep them, and in a folder it is seen to here.
  """

  def __init__(self, url: str):
    """Nothing is asked of the file system but that there is one.

    Args:
      url: such as gs://bucket/photos/rex.
    """
    self.url = url.rstrip('/')
    if '://' not in self.url:
      raise errors.UserError(
        f"'{url}' names no bucket; give it as in gs://mine"
      )
    with self._explained('read'):
      # Imported late: most folders are local.
      import fsspec

      self._system, root = fsspec.core.url_to_fs(self.url)
      self._root = root.rstrip('/')
      local = fsspec.get_filesystem_class('file')
      self._is_folder = isinstance(self._system, local)

  def listed(self) -> dict[str, str]:
    """All objects: name → a fingerprint of what the listing says of it."""
    with self._explained('read'):
      self._system.invalidate_cache()
      found = self._system.find(self._root, detail=True)
    names = {path: self._name(path) for path in sorted(found)}
    return {
      name: _fingerprint(found[path])
      for path, name in names.items()
      if name and not (self._is_folder and name.endswith(disk.PARTIAL))
    }

  def get(self, name: str, target: pathlib.Path) -> None:
    """Copies an object into a file, atomically."""
    with self._explained('read'), disk.atomic_path(target) as partial:
      self._system.get_file(self._path(name), str(partial))

  def put(self, source: pathlib.Path, name: str) -> str:
    """Copies a file into an object; as `listed` will say, its fingerprint.

    Raises:
      FileNotFoundError: there is no such file.
    """
    disk.check_file(source)
    with self._explained('write'):
      with self._whole(name) as path:
        self._system.put_file(str(source), path)
      self._system.invalidate_cache()
      return _fingerprint(self._system.info(self._path(name)))

  def read(self, name: str) -> bytes | None:
    """What is in an object; None if there is none."""
    with self._explained('read'):
      try:
        return self._system.cat_file(self._path(name))
      except FileNotFoundError:
        return None

  def write(self, name: str, content: bytes) -> None:
    with self._explained('write'), self._whole(name) as path:
      self._system.pipe_file(path, content)

  def remove(self, name: str) -> None:
    """Removes an object, if it is there."""
    with self._explained('write'), contextlib.suppress(FileNotFoundError):
      self._system.rm_file(self._path(name))

  def copy(self, kind: str) -> pathlib.Path:
    """Where on this machine a copy of it lies; errors show the end of it."""
    key = hashlib.sha256(self.url.encode()).hexdigest()[:12]
    home = pathlib.Path.home() / '.cache' / 'dbflax' / kind
    return home / key / (self.url.rpartition('/')[2] or 'root')

  def _path(self, name: str) -> str:
    return f'{self._root}/{name}'

  def _name(self, path: str) -> str:
    """The name of what a listing has; '' if it leads out of the folder."""
    name = path.removeprefix(self._root).lstrip('/')
    parts = pathlib.PurePosixPath(name).parts
    inside = path.startswith(f'{self._root}/') and '..' not in parts
    return name if inside else ''

  @contextlib.contextmanager
  def _whole(self, name: str) -> Iterator[str]:
    """The path to write an object to, which nobody reads half-written."""
    self._make_parent(name)
    if not self._is_folder:
      yield self._path(name)
      return
    with disk.atomic_path(self._path(name)) as partial:
      yield str(partial)

  def _make_parent(self, name: str) -> None:
    """For file systems that have folders."""
    parent, _, _ = self._path(name).rpartition('/')
    self._system.makedirs(parent, exist_ok=True)

  @contextlib.contextmanager
  def _explained(self, verb: str) -> Iterator[None]:
    """Raises as UserError what each file system raises in kinds of its own."""
    try:
      yield
    except errors.UserError:
      raise
    except ImportError as error:
      raise errors.UserError(
        f"'{self.url}' needs a package that is missing: {error} (for gs://, "
        "pip install '.[gcs]'); or copy the folder here"
      ) from error
    except OSError as error:
      if error.errno:  # Of this machine, such as a full disk.
        raise
      raise self._refusal(verb, error) from error
    # The first line says what it is.
    except Exception as error:
      raise self._refusal(verb, error) from error

  def _refusal(self, verb: str, error: Exception) -> errors.UserError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return errors.UserError(
      f"cannot {verb} '{self.url}': {said[0]}; check the name, the rights and "
      'the network, or take a folder here'
    )


def _fingerprint(info: Mapping) -> str:
  said = repr(sorted((key, str(value)) for key, value in info.items()))
  return hashlib.sha256(said.encode()).hexdigest()
