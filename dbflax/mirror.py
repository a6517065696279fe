"""A workdir at gs:// or another URL: a local copy, brought there as it grows.

A run locks, renames and appends, which buckets cannot. So it works in a copy
below ~/.cache/dbflax/workdirs, and every half minute what changed there goes to
the bucket: a folder's manifest after its files, what is gone at last. All that
is in a bucket is therefore as after a kill, and a run goes on from it as it
would from a folder.

`holder.json` in the bucket says whose copy was the last to be brought there.
Where it was another machine's, the copy here is first made what the bucket is.
"""

import contextlib
import json
import logging
import os
import pathlib
import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures

from dbflax import buckets, disk, errors

_log = logging.getLogger(__name__)
_HOLDER = 'holder.json'
# Of the copy: who it is, and {name: [bytes, mtime in ns, fingerprint there]}.
_INDEX = '.mirror.json'
_HERE_ALONE = (_INDEX, 'run.lock')
# A step's files in the order of their making; what is gone goes in reverse.
_MADE = ''  # all but the first and the last
_ORDER = (disk.STARTED, _MADE, disk.MANIFEST)
# Parts of paths of what is being written; Orbax has an ending of its own.
_UNFINISHED = (disk.PARTIAL, disk.TEMPORARY)
_EVERY = 30.0  # seconds between two looks
# Whose mark has not changed for so long is gone.
_PATIENCE = 3 * _EVERY
_WORKERS = 8  # files at once


class Mirror:
  """The workdir at a URL, and the copy of it that a run works in."""

  def __init__(self, url: str):
    """Nothing is read or written yet.

    Raises:
      UserError: no file system is known by that name.
    """
    self._bucket = buckets.Bucket(url)
    self.url = self._bucket.url
    self.root = self._bucket.copy('workdirs')
    self._id, self._known = '', {}
    self._is_held, self._is_lost = False, False
    self._ended, self._threads = threading.Event(), []

  def pull(self) -> None:
    """Makes the copy what the bucket is, if another one was brought there.

    Raises:
      UserError: it cannot be read, holds something else than a run, or is
        empty and the copy is not.
    """
    if self._is_held:
      return
    self._load()
    if self._holder().get('id') == self._id:
      return
    listed, here = self._bucket.listed(), self._here()
    if listed and not {_HOLDER, 'run.json'} & listed.keys():
      raise errors.UserError(
        f"'{self.url}' holds files that no run made, such as '{min(listed)}'; "
        'give the URL of an empty folder'
      )
    listed.pop(_HOLDER, None)
    if here and not listed:
      raise errors.UserError(
        f"nothing is at '{self.url}', but a copy of what was is at "
        f"'{self.root}'; remove that folder to begin anew, or copy it there"
      )
    for name in here.keys() - listed.keys():
      (self.root / name).unlink(missing_ok=True)
    missing = [
      name
      for name, said in listed.items()
      if name not in here or self._known.get(name) != [*here[name], said]
    ]
    self._fetch({name: listed[name] for name in missing})

  def _fetch(self, said: Mapping[str, str]) -> None:
    """Copies objects here: {name: what the listing says of it}."""

    def get(name):
      self._bucket.get(name, self.root / name)
      self._known[name] = [*_look(self.root / name), said[name]]

    if not said:
      return
    _log.info('fetching %d files of %s', len(said), self.url)
    try:
      _all(get, said)
    finally:
      self._save()

  def hold(self) -> None:
    """Takes the bucket for this process, and begins to copy what changes.

    Raises:
      InUse: another process has it.
    """
    if self._is_held:
      return
    self._wait_for_others()
    self.pull()
    self._save()
    self._mark(is_alive=True)
    self._is_held = True
    for act in (self._keep_hold, self._try_push):
      thread = threading.Thread(target=self._repeat, args=(act,), daemon=True)
      thread.start()
      self._threads.append(thread)

  def release(self) -> None:
    """Copies what is left, and lets others have the bucket.

    Raises:
      UserError: it could not be copied.
    """
    if not self._is_held:
      return
    self._ended.set()
    for thread in self._threads:
      thread.join()
    self._is_held = False
    if self._is_lost:
      return
    try:
      self._push()
      self._mark(is_alive=False)
    except errors.UserError as error:
      raise errors.UserError(
        f"{error}. All of the run is in '{self.root}', and the same command "
        'on this machine goes on from there'
      ) from error
    _log.info('copied to %s', self.url)

  def _wait_for_others(self) -> None:
    """Returns when nobody marks the bucket, at once if nobody was left."""
    self._load()
    before = self._holder()
    if not before.get('alive') or before.get('id') == self._id:
      return
    who = f'{before.get("process")} of {before.get("machine")}'
    _log.info(
      '%s was in use by process %s; waiting %.0f s for a sign of it',
      self.url,
      who,
      _PATIENCE,
    )
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
      time.sleep(_EVERY / 10)
      if (now := self._holder()) != before:
        if not now.get('alive'):
          return
        raise errors.InUse(
          f"workdir '{self.url}' is in use by process {who}; wait for "
          'it, stop it, or give another --workdir'
        )
    _log.info('that process is gone')

  def _repeat(self, act: Callable[[], None]) -> None:
    while not self._ended.wait(_EVERY):
      act()

  def _keep_hold(self) -> None:
    """Says that this process lives; stops it where another one took over."""
    try:
      if self._holder().get('id') != self._id:
        self._is_lost = True
        self._ended.set()
        _log.error('%s was taken over; this run stops', self.url)
        os.kill(os.getpid(), signal.SIGTERM)
        return
      self._mark(is_alive=True)
    except errors.UserError as error:
      _log.warning('%s', error)

  def _try_push(self) -> None:
    try:
      self._push()
    except (errors.UserError, OSError) as error:
      _log.warning('%s; tried again in %.0f s', error, _EVERY)

  def _push(self) -> None:
    """Copies what changed since the last time.

    So that there is never a manifest without its files, nor a file in a folder
    that no step began. Manifests are looked for first, so that all files of
    one are seen. Nothing more once another process took over.
    """
    finished = {name for name in self._here() if _place(name) == disk.MANIFEST}
    here, known = self._here(), self._known
    changed = [
      name
      for name, look in here.items()
      if known.get(name, [])[:2] != look
      and (_place(name) != disk.MANIFEST or name in finished)
    ]
    gone = known.keys() - here.keys()

    def put(name):
      if self._is_lost:
        return
      # What is gone by now, such as an old checkpoint, was not to be copied.
      with contextlib.suppress(FileNotFoundError):
        said = self._bucket.put(self.root / name, name)
        known[name] = [*here[name], said]

    def remove(name):
      if not self._is_lost:
        self._bucket.remove(name)
        del known[name]

    try:
      for place in _ORDER:
        _all(put, [name for name in changed if _place(name) == place])
      for place in reversed(_ORDER):
        _all(remove, [name for name in gone if _place(name) == place])
    finally:
      if changed or gone:
        self._save()

  def _here(self) -> dict[str, list[int]]:
    """{name: how it looks} of all files of the copy that are finished."""
    found = {}
    # Unlike rglob, it passes over what is removed at this moment.
    for folder, inner, files in os.walk(self.root):
      inner[:] = [name for name in inner if not _is_unfinished(name)]
      for path in (pathlib.Path(folder, n) for n in files):
        name = path.relative_to(self.root).as_posix()
        if name not in _HERE_ALONE and not _is_unfinished(name):
          with contextlib.suppress(FileNotFoundError):
            found[name] = _look(path)
    return found

  def _holder(self) -> dict:
    """What the mark in the bucket says; {} if there is none."""
    try:
      found = json.loads(self._bucket.read(_HOLDER) or b'{}')
    except ValueError:
      return {}
    return found if isinstance(found, dict) else {}

  def _mark(self, *, is_alive: bool) -> None:
    mark = {
      'id': self._id,
      'machine': platform.node(),
      'process': os.getpid(),
      'alive': secrets.token_hex(8) if is_alive else '',
    }
    self._bucket.write(_HOLDER, json.dumps(mark).encode())

  def _load(self) -> None:
    """Reads what is known of the copy; a new one gets an id of its own."""
    found = disk.read_json(self.root / _INDEX) or {}
    self._id = found.get('id') or self._id or secrets.token_hex(8)
    files = found.get('files')
    entries = files.items() if isinstance(files, dict) else ()
    self._known = {
      name: entry
      for name, entry in entries
      if isinstance(entry, list) and len(entry) == 3
    }

  def _save(self) -> None:
    record = {'id': self._id, 'files': self._known}
    disk.write_json(self.root / _INDEX, record)


def _look(path: pathlib.Path) -> list[int]:
  """By what a file that was changed is known."""
  status = path.stat()
  return [status.st_size, status.st_mtime_ns]


def _place(name: str) -> str:
  """When a file is copied: one of `_ORDER`."""
  name = pathlib.PurePosixPath(name).name
  return name if name in _ORDER else _MADE


def _is_unfinished(name: str) -> bool:
  return any(part in name for part in _UNFINISHED)


def _all(act: Callable[[str], None], names: Iterable[str]) -> None:
  """Acts on all names, several at once; returns when all are done."""
  with futures.ThreadPoolExecutor(_WORKERS) as pool:
    for _ in pool.map(act, sorted(names)):
      pass
