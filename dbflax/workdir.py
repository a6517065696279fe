"""The folder of a run: every path in it, and steps that know their inputs.

    run.json       the config that owns the folder; run.lock is held by its run
    identifier/    the identifier and its token ids
    embeddings/    text embeddings of every prompt
    prior/         class images, drawn by the frozen cascade; with several
                   classes, also prior_2/ …
    stage_1/ …     checkpoints and logs of each fine-tuned stage
    samples/       the subject in every prompt
    evaluate/      the figures of the paper (--mode=evaluate)
    export/        the fine-tuned cascade for diffusers (--mode=export)
    report/        index.html
    drawn/         prompts that were typed in (--mode=draw); no step
    serve/         what the web page keeps (--mode=serve); no step

Each of these folders but the first is a step: a pure function of its inputs.
`started.json` is written before anything else in it and `manifest.json` after
everything else. Nothing is reused because a file exists: a step is skipped
only if its manifest lists the same inputs and every file with its checksum.
A study's runs are relatives: a step that one of them has finished with the same
inputs is taken over by the others.

Of many hosts the first one decides and keeps the books.
"""

import fcntl
import logging
import os
import pathlib
import platform
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dbflax import disk, errors, hosts, mirror

_log = logging.getLogger(__name__)

# What is to be done of a step; otherwise it is done again, with the reason.
DONE, NEW, RESUMED = 'skipped, up to date', 'running', 'resumed'


# What inputs are called in messages, where that is not their name.
_PLAIN = {'hyper': 'settings'}


class Workdir:
  """A run's folder; nothing is created before the first `claim` or `step`."""

  def __init__(
    self,
    root,
    name: str = '',
    command: str = '',
    relatives: Sequence[pathlib.Path] = (),
  ):
    """Nothing is touched yet.

    Args:
      root: the folder; a URL is worked on in a copy of it (`mirror`).
      name: the config that must own it ('': any).
      command: the shell command of the run, for the record.
      relatives: folders of runs whose finished steps may be taken over.

    Raises:
      UserError: it is a URL of a kind that is not known.
    """
    is_url = disk.is_url(str(root))
    self._mirror = mirror.Mirror(str(root)) if is_url else None
    root = self._mirror.root if self._mirror else root
    self.root = pathlib.Path(root).expanduser().absolute()
    self.name = name
    self.command = command
    self._relatives = [path for path in relatives if path != self.root]
    self._lock_file = None

  @property
  def run_file(self) -> pathlib.Path:
    return self.root / 'run.json'

  @property
  def identifier(self) -> pathlib.Path:
    return self.root / 'identifier'

  @property
  def embeddings(self) -> pathlib.Path:
    return self.root / 'embeddings'

  @property
  def prior(self) -> pathlib.Path:
    return self.root / 'prior'

  def stage(self, name: str) -> pathlib.Path:
    return self.root / name

  @property
  def samples(self) -> pathlib.Path:
    return self.root / 'samples'

  @property
  def export(self) -> pathlib.Path:
    return self.root / 'export'

  @property
  def drawn(self) -> pathlib.Path:
    return self.root / 'drawn'

  @property
  def report(self) -> pathlib.Path:
    return self.root / 'report'

  def is_done(self, step: str) -> bool:
    """Whether a step was finished once; its inputs may have changed since."""
    return _is_finished(self.root / step)

  def is_begun(self, step: str) -> bool:
    """Whether a step was begun, and is not finished."""
    folder = self.root / step
    return (folder / disk.STARTED).exists() and not _is_finished(folder)

  def times(self) -> dict[str, float]:
    """Seconds that each step took when it last ran, where that is known."""
    found = disk.read_json(self.root / 'times.json') or {}
    return {k: v for k, v in found.items() if isinstance(v, (int, float))}

  def check(self, name: str = '') -> None:
    """Raises UserError if a run of `name` could not use this folder.

    Writes nothing, so it can come before all other checks; but it fetches
    what another machine has left at a URL.
    """
    if self._mirror:
      self._mirror.pull()
    name = name or self.name
    owner = self._owner() or name
    if name and owner != name:
      raise errors.UserError(
        f"workdir '{self.root}' was made by config '{owner}', not '{name}'; "
        'give another --workdir or remove it'
      )
    existing = self.root
    while not existing.exists() and existing != existing.parent:
      existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
      raise self._not_writable(f"'{existing}' is not a writable folder")

  def _owner(self) -> str:
    """The config that made the folder; '' if none did."""
    found = disk.read_json(self.run_file)
    if found is None and self.run_file.exists():
      raise errors.UserError(
        f"'{self.run_file}' is damaged, so nobody knows which config made the "
        'folder; if it was yours, remove that file'
      )
    return (found or {}).get('name', '')

  def own(self, name: str = '') -> None:
    """Creates the folder for the config `name`, or confirms that it owns it.

    Raises:
      UserError: another config made the folder, or it cannot be written.
    """
    name = name or self.name
    self.check(name)
    try:
      if name and not self.run_file.exists():
        disk.write_json(self.run_file, {'name': name})
      self.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise self._not_writable(error.strerror) from error

  def claim(self, name: str = '') -> None:
    """`own`, and no other process gets the folder.

    Raises:
      InUse: another process has it.
      UserError: it is at a URL, and there are several hosts.
    """
    self.check(name)  # Before anything is made in somebody else's folder.
    try:
      self.root.mkdir(parents=True, exist_ok=True)
      self._lock()
    except OSError as error:
      raise self._not_writable(error.strerror) from error
    self.hold_url()
    self.own(name)

  def hold_url(self) -> None:
    """If the folder is at a URL, begins to copy there what changes in it.

    Raises:
      InUse: another machine works in it.
      UserError: there are several hosts.
    """
    if not self._mirror:
      return
    if hosts.count() > 1:
      raise errors.UserError(
        f'{hosts.count()} hosts need a folder that all of them see, and each '
        f"would have a copy of '{self._mirror.url}'; give a --workdir on a "
        'share, such as NFS'
      )
    self._mirror.hold()

  def look_at_mark(self) -> str:
    """What this host sees of a random mark that the first one leaves here.

    If all see the same, they share the folder.
    """
    mark = self.root / f'.mark{disk.PARTIAL}'
    content = secrets.token_hex(16)
    hosts.from_first(lambda: disk.atomic_write(mark, content.encode()))
    seen = disk.read(mark).decode() if mark.exists() else ''
    hosts.wait('the mark was looked at')
    hosts.from_first(mark.unlink)
    return seen

  def _lock(self) -> None:
    """Keeps other processes out until `close`, or until this one is gone.

    The system holds the lock, so one that died leaves no stale lock behind.
    """
    if self._lock_file:
      return
    path = self.root / 'run.lock'
    if path.exists():
      disk.check_file(path)
    file = path.open('a+')
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      who = disk.read(path).decode(errors='replace').strip()
      raise errors.InUse(
        f"workdir '{self.root}' is in use by {who}; wait for it, stop it, or "
        'give another --workdir'
      ) from error
    except OSError as error:
      _log.warning('no lock on %s, its file system has none: %s', path, error)
      return
    file.truncate(0)
    file.write(f'process {os.getpid()} of {platform.node()}\n')
    file.flush()
    self._lock_file = file
    self._sweep()

  def _sweep(self) -> None:
    """Removes what processes left that were killed while they wrote it."""
    for path in list(self.root.rglob(f'*{disk.PARTIAL}')):
      if path.is_dir():
        shutil.rmtree(path)
      else:
        path.unlink(missing_ok=True)  # It may have been in such a folder.

  def close(self) -> None:
    """Lets other processes have the folder.

    Raises:
      UserError: it could not be copied to its URL.
    """
    if self._mirror:
      self._mirror.release()
    if self._lock_file:
      self._lock_file.close()
      self._lock_file = None

  def _not_writable(self, reason) -> errors.UserError:
    return errors.UserError(
      f"cannot write workdir '{self.root}': {reason}; give another --workdir"
    )

  def step(
    self,
    name: str,
    inputs: Mapping[str, Any],
    build: Callable[[pathlib.Path], None],
    *,
    together: bool = False,
  ) -> pathlib.Path:
    """Brings the step's folder up to date and returns it.

    Args:
      name: the step, which is also its folder's name.
      inputs: all that the step's result depends on, by name (see
        `disk.fingerprint`); of another step its `disk.fingerprints`, as
        'step/'.
      build: writes the step's files into the folder it is given. After an
        interruption it is called again with the same inputs and finds what
        it had written, so it can resume.
      together: call `build` on all hosts, since it computes on all devices;
        else only on the first.

    Raises:
      UserError: the folder is not writable, or holds files that no step made.
    """
    folder = self.root / name
    prints = disk.fingerprints(inputs)

    def finish():
      if not together:
        build(folder)
      record = {'inputs': prints, 'files': disk.checksums(folder)}
      disk.write_json(folder / disk.MANIFEST, record)

    if hosts.from_first(lambda: self._prepare(folder, prints)):
      if together:
        build(folder)
        hosts.wait(f'{name} is built')
      hosts.from_first(finish)
    return folder

  def check_whole(self, name: str) -> None:
    """Raises UserError if a step that was finished is not as it was then."""
    reason = disk.damage(self.root / name)
    if (self.root / name / disk.MANIFEST).exists() and reason:
      raise errors.UserError(
        f"'{self.root / name}' is damaged: {reason}; --mode=run makes it again"
      )

  def outdated(self, name: str) -> str:
    """What is made of other inputs now than when `name` was made of it; or ''.

    Of steps that are finished.
    """
    for key, then in _inputs(self.root / name).items():
      now = _inputs(self.root / key) if key.endswith('/') else None
      if now and disk.fingerprint(now) != then:
        return key.rstrip('/')
    return ''

  def state(self, name: str, inputs: Mapping[str, Any]) -> str:
    """`DONE`, or what `step` would do and why; nothing is touched.

    Raises:
      UserError: the folder holds files that no step made.
    """
    return self._state(self.root / name, disk.fingerprints(inputs))

  def _state(self, folder: pathlib.Path, prints: Mapping[str, str]) -> str:
    finished = disk.read_json(folder / disk.MANIFEST)
    if finished is not None:
      reason = _difference(finished, prints) or disk.damage(folder)
      return f'redone, {reason}' if reason else DONE
    started = disk.read_json(folder / disk.STARTED)
    if started is not None:
      reason = _difference(started, prints)
      return f'redone, {reason}' if reason else RESUMED
    if folder.exists() and (not folder.is_dir() or disk.files(folder)):
      raise errors.UserError(
        f"'{folder}' was not made by dbflax; move it away or give another "
        '--workdir'
      )
    return NEW

  def _prepare(self, folder: pathlib.Path, prints: Mapping[str, str]) -> bool:
    """Makes a step's folder ready to build in; False if it is up to date."""
    self.claim()
    state = self._state(folder, prints)
    if state != DONE and self._take_over(folder, prints):
      return False
    replaced = state not in (DONE, NEW, RESUMED) and _is_finished(folder)
    hint = '; another --config.name keeps both' if replaced else ''
    _log.info('%s: %s%s', folder.name, state, hint)
    if state == DONE:
      return False
    if state not in (NEW, RESUMED):
      self._wipe(folder)
    disk.write_json(folder / disk.STARTED, {'inputs': prints})
    return True

  def _take_over(self, folder: pathlib.Path, prints) -> bool:
    """Fills `folder` with what a relative made of the same inputs, if one did.

    Files are linked where the file system can: what is finished is only ever
    replaced, never written to.
    """
    copy = self.root / f'.{folder.name}{disk.PARTIAL}'
    for relative in self._relatives:
      found = relative / folder.name
      record = disk.read_json(found / disk.MANIFEST)
      if record is None or _difference(record, prints):
        continue
      shutil.rmtree(copy, ignore_errors=True)
      try:
        shutil.copytree(found, copy, copy_function=_link)
      except OSError:
        if (found / disk.MANIFEST).exists():
          raise
        continue  # It is being done again at this moment.
      if disk.damage(copy):
        shutil.rmtree(copy)
        continue
      if folder.exists():
        self._wipe(folder)
      os.replace(copy, folder)
      _log.info('%s: taken from %s', folder.name, relative)
      return True
    return False

  def _wipe(self, folder) -> None:
    """Removes a folder; killed half-way, it never looks like a step again."""
    trash = self.root / f'.trash{disk.PARTIAL}'
    shutil.rmtree(trash, ignore_errors=True)
    os.replace(folder, trash)
    shutil.rmtree(trash)


def photos_of(folder: pathlib.Path, number: int) -> pathlib.Path:
  """The photos of a subject, from 1, in the folder of all photos of a run."""
  return folder if number == 1 else folder / f'subject_{number}'


def _is_finished(folder: pathlib.Path) -> bool:
  return (folder / disk.MANIFEST).exists()


def _inputs(folder: pathlib.Path) -> dict[str, str]:
  """Fingerprints of what a finished step was made of."""
  return (disk.read_json(folder / disk.MANIFEST) or {}).get('inputs', {})


def _link(source, target) -> None:
  try:
    os.link(source, target)
  except OSError:  # Another file system, or one without links.
    shutil.copy2(source, target)


def _difference(record, prints) -> str:
  """Which inputs differ from those in a manifest, in words; '' if none."""
  old = record.get('inputs')
  if not isinstance(old, dict):
    return 'what it was made of is not known'
  changed = sorted(
    key for key in old.keys() | prints.keys() if old.get(key) != prints.get(key)
  )
  said = ', '.join(_PLAIN.get(key, key.rstrip('/')) for key in changed)
  return f'{said} changed' if changed else ''
