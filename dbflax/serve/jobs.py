"""Commands of a workdir that run in the background, one at a time.

    <workdir>/serve/lock            held by whoever watches the command
    <workdir>/serve/<kind>/job.json which process, what was asked of it, and
                                    whether it was told to stop
    <workdir>/serve/<kind>/exit.json   how it ended (`watch` writes it)
    <workdir>/serve/<kind>/log.txt     what it said

A kind is 'run' or 'export'. A command outlives the page that started it, and
another page finds it by these files. They hold values of a few fields and never
a command, so nothing in them is executed.
"""

import fcntl
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dbflax import disk, errors, stop

RUN, EXPORT = 'run', 'export'
PROGRAM = ('python', '-m', 'dbflax.main')
# What of the page's own command a run's must not have.
_OWN = ('mode', 'config.serve.')
_STOPPED = (130, 143)
_LOG_BYTES = 20_000
# Seconds for the watcher of a command that has ended to go, too.
_PATIENCE = 2


class State(NamedTuple):
  """How a command stands."""

  # 'none' (never started), 'running', 'done', 'stopped', 'failed', or 'lost':
  # it ended, and nobody was there to see how.
  name: str
  # What it said last, for 'failed'.
  message: str = ''
  # When it was started, in seconds since 1970.
  started: float = 0
  # Whether it is running, and was asked to stop.
  is_stopping: bool = False


def command(
  own: Sequence[str], changes: Mapping[str, Any], kind: str = RUN
) -> list[str]:
  """The command line of a run, of the arguments that the page was given.

  Args:
    own: the page's arguments, such as ('--config=dog.py', '--mode=serve').
    changes: config field → value, which go before those in `own`.
    kind: RUN, or another mode.
  """
  drop = (*_OWN, *(f'config.{path}' for path in changes))
  mode = [] if kind == RUN else [f'--mode={kind}']
  fields = [f'--config.{path}={value}' for path, value in changes.items()]
  return [*PROGRAM, *_without(own, drop), *fields, *mode]


def _without(words: Sequence[str], names: Sequence[str]) -> Iterator[str]:
  """`words` without these flags; a name that ends in a dot is a prefix."""
  skips = False
  for word in words:
    flag = re.match(r'--?([^=]+)(=)?', word)
    if not flag:
      if not skips:
        yield word
      skips = False
      continue
    name, has_value = flag.groups()
    skips = any(
      name.startswith(n) if n.endswith('.') else name == n for n in names
    )
    if not skips:
      yield word
    skips = skips and not has_value


class Jobs:
  """The commands of one workdir."""

  def __init__(self, root: pathlib.Path, own: Sequence[str]):
    """`own` are the arguments that the page was started with."""
    self.root, self._own = root, tuple(own)
    self._mutex = threading.RLock()
    self._watcher = None

  def folder(self, kind: str) -> pathlib.Path:
    return self.root / 'serve' / kind

  def changes(self, kind: str = RUN) -> dict[str, Any]:
    """Which fields the last command of its kind changed; {} without one."""
    found = (disk.read_json(self.folder(kind) / 'job.json') or {}).get(
      'changes', {}
    )
    return {
      path: tuple(value) if isinstance(value, list) else value
      for path, value in found.items()
    }

  def command(self, changes: Mapping[str, Any], kind: str = RUN) -> list[str]:
    return command(self._own, changes, kind)

  def made_of(self, kind: str) -> dict[str, Any]:
    """What `start` was told of the last command of its kind."""
    return (disk.read_json(self.folder(kind) / 'job.json') or {}).get(
      'made_of', {}
    )

  def start(
    self, kind: str, changes: Mapping[str, Any], made_of: Mapping[str, Any]
  ) -> None:
    """Starts a command in the background.

    Args:
      kind: RUN or EXPORT.
      changes: config field → value.
      made_of: plain data to be found again by `made_of`.

    Raises:
      UserError: another one is running.
    """
    with self._mutex, self._lock_file() as lock:
      if not _lock(lock, fcntl.LOCK_EX, _PATIENCE):
        raise errors.UserError('a run is going on; wait for it, or stop it')
      folder = self.folder(kind)
      (folder / 'exit.json').unlink(missing_ok=True)
      job = {'changes': {**changes}, 'made_of': {**made_of}}
      words = [sys.executable, *self.command(changes, kind)[1:]]
      with open_log(folder) as log:
        # The lock belongs to the open file: the watcher inherits it, and it is
        # free again when the watcher is gone, however that comes about.
        self._watcher = subprocess.Popen(
          [sys.executable, '-m', 'dbflax.serve.watch', str(folder), *words],
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          pass_fds=(lock.fileno(),),
          start_new_session=True,
        )
      about = {'started': time.time(), 'pid': self._watcher.pid}
      disk.write_json(folder / 'job.json', {**job, **about})

  def stop(self) -> None:
    """Asks what is running to save its state and stop (SIGTERM), but once.

    A run that is asked again stops at once, and what it would save is lost.
    """
    with self._mutex:
      for kind in (RUN, EXPORT):
        path, state = self.folder(kind) / 'job.json', self.state(kind)
        job = disk.read_json(path) or {}
        goes_on = state.name == 'running' and not state.is_stopping
        if goes_on and job.get('pid'):
          os.kill(job['pid'], signal.SIGTERM)
          disk.write_json(path, {**job, 'is_stopping': True})

  def is_busy(self) -> bool:
    """Whether a command is running, whoever started it."""
    return any(self.state(kind).name == 'running' for kind in (RUN, EXPORT))

  def _is_watched(self) -> bool:
    """Whether somebody holds the lock."""
    if self._watcher:
      self._watcher.poll()  # Else it would stay in the table of processes.
    with self._mutex, self._lock_file() as lock:
      return not _lock(lock, fcntl.LOCK_SH)

  def state(self, kind: str) -> State:
    folder = self.folder(kind)
    job = disk.read_json(folder / 'job.json')
    if job is None:
      return State('none')
    # First, for it may end between these two lines.
    is_watched = self._is_watched()
    code = (disk.read_json(folder / 'exit.json') or {}).get('code')
    started = job.get('started', 0)
    is_stopping = bool(job.get('is_stopping'))
    if code is None and is_watched:
      return State('running', started=started, is_stopping=is_stopping)
    if code is None:
      # Stopped so soon that its watcher was not ready to write it down.
      return State('stopped' if is_stopping else 'lost', started=started)
    if code == 0:
      return State('done', started=started)
    name = 'stopped' if code in _STOPPED else 'failed'
    return State(name, reason(self.log(kind), code), started)

  def log(self, kind: str) -> list[str]:
    """The last lines that the command said; of a bar only as it stands."""
    return read_log(self.folder(kind))

  def _lock_file(self):
    path = self.root / 'serve' / 'lock'
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open('a')


def shown(words: Sequence[str]) -> str:
  """A command as one types it, a flag a line."""
  start = len(PROGRAM) + 1
  first = shlex.join(words[:start])
  return ' \\\n  '.join([first, *map(shlex.quote, words[start:])])


def open_log(folder: pathlib.Path):
  folder.mkdir(parents=True, exist_ok=True)
  return (folder / 'log.txt').open('wb')


def read_log(folder: pathlib.Path) -> list[str]:
  """The last lines of a log; of a bar that is drawn anew only the newest."""
  path = folder / 'log.txt'
  if not path.exists():
    return []
  with disk.open_file(path) as file:
    file.seek(max(0, path.stat().st_size - _LOG_BYTES))
    text = file.read().decode(errors='replace')
  lines = [line.rstrip('\r').split('\r')[-1] for line in text.split('\n')]
  return [line.strip() for line in lines if line.strip()]


def _lock(file, kind: int, patience: float = 0) -> bool:
  """Whether the lock could be had within `patience` seconds."""
  end = time.monotonic() + patience
  while True:
    try:
      fcntl.flock(file, kind | fcntl.LOCK_NB)
      return True
    except BlockingIOError:
      if time.monotonic() >= end:
        return False
      time.sleep(0.05)


def reason(lines: Sequence[str], code: int) -> str:
  """Why a command ended, in its own words."""
  lines = [line for line in lines if line != stop.WAITS]  # No end yet.
  said = [line for line in lines if line.startswith('dbflax: ')]
  if said:
    return said[-1].removeprefix('dbflax: ')
  last = f': {lines[-1]}' if lines else ''
  return f'it ended with code {code}{last}'
