"""Photos and cascades at gs:// and other URLs, as local copies.

A copy lies below ~/.cache/dbflax/remote, and a file is fetched again only when
the listing says something else of it than it did.
"""

import logging
import pathlib
from collections.abc import Callable

from dbflax import buckets, disk, errors

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
  bucket = buckets.Bucket(url)
  listed = bucket.listed()
  listed.pop(_INDEX, None)
  if not listed:
    raise errors.UserError(f"no files at '{url}'; give the URL of a folder")
  folder = bucket.copy('remote')
  folder.mkdir(parents=True, exist_ok=True)
  known = disk.read_json(folder / _INDEX) or {}
  for name in known.keys() - listed.keys():
    (folder / name).unlink(missing_ok=True)
    del known[name]
  for name, said in listed.items():
    if not wanted(name):
      continue
    if known.get(name) != said or not (folder / name).is_file():
      _log.info('fetching %s of %s', name, url)
      bucket.get(name, folder / name)
      # At once: what is fetched stays known when the next one fails.
      known[name] = said
      disk.write_json(folder / _INDEX, known)
  return folder
