"""Folders at gs:// and other URLs, as local copies.

Any file system that fsspec knows (gs:// needs the extra 'gcs'). A copy lies
below ~/.cache/dbflax/remote, and a file is fetched again only when the listing
says something else of it than it did. Workdirs are never remote: a run locks,
renames and resumes there.
"""

import hashlib
import logging
import pathlib
from collections.abc import Callable, Mapping

from dbflax import disk, errors

_log = logging.getLogger(__name__)
# What the listing said of each file that was fetched.
_INDEX = '.fetched.json'


def fetch(url: str, wanted: Callable[[str], bool]) -> pathlib.Path:
  """The local copy of a folder, with all files in it that are wanted.

  Args:
    url: such as gs://bucket/photos/rex.
    wanted: relative path → whether to fetch that file.

  Raises:
    UserError: it cannot be had, and why.
  """
  try:
    return _fetch(url, wanted)
  except errors.UserError:
    raise
  except ImportError as error:
    raise errors.UserError(
      f"'{url}' needs a package that is missing: {error} (for gs://, pip "
      "install '.[gcs]'); or copy the folder here"
    ) from error
  except OSError as error:
    if error.errno:  # Of this machine, such as a full disk.
      raise
    raise _refusal(url, error) from error
  # Each file system raises kinds of its own; the first line says what it is.
  except Exception as error:
    raise _refusal(url, error) from error


def _refusal(url: str, error: Exception) -> errors.UserError:
  said = str(error).strip().splitlines() or [type(error).__name__]
  return errors.UserError(
    f"cannot read '{url}': {said[0]}; check the name, the rights and the "
    'network, or copy the folder here'
  )


def _fetch(url: str, wanted: Callable[[str], bool]) -> pathlib.Path:
  # Imported late: most folders are local.
  import fsspec

  system, root = fsspec.core.url_to_fs(url)
  listed = _listed(system, root)
  if not listed:
    raise errors.UserError(f"no files at '{url}'; give the URL of a folder")
  folder = _place(url)
  folder.mkdir(parents=True, exist_ok=True)
  known = disk.read_json(folder / _INDEX) or {}
  for name in known.keys() - listed.keys():
    (folder / name).unlink(missing_ok=True)
    del known[name]
  for name, (path, said) in listed.items():
    if not wanted(name):
      continue
    if known.get(name) != said or not (folder / name).is_file():
      _log.info('fetching %s of %s', name, url)
      with disk.atomic_path(folder / name) as partial:
        system.get_file(path, str(partial))
      # At once: what is fetched stays known when the next one fails.
      known[name] = said
      disk.write_json(folder / _INDEX, known)
  return folder


def _listed(system, root: str) -> dict[str, tuple[str, str]]:
  """Relative path → (path, a fingerprint of what the listing says of it)."""
  found = {}
  for path, info in sorted(system.find(root, detail=True).items()):
    name = path[len(root) :].lstrip('/') if path.startswith(root) else ''
    parts = pathlib.PurePosixPath(name).parts
    # Names of objects may be anything; a copy must stay in its folder.
    if parts and '..' not in parts and name != _INDEX:
      found[name] = (path, _fingerprint(info))
  return found


def _fingerprint(info: Mapping) -> str:
  said = repr(sorted((key, str(value)) for key, value in info.items()))
  return hashlib.sha256(said.encode()).hexdigest()


def _place(url: str) -> pathlib.Path:
  """Where the copy lies; errors show the end of it."""
  url = url.rstrip('/')
  key = hashlib.sha256(url.encode()).hexdigest()[:12]
  home = pathlib.Path.home() / '.cache' / 'dbflax' / 'remote'
  return home / key / (url.rpartition('/')[2] or 'root')
