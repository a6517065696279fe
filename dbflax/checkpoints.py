"""Orbax, in one place: one CheckpointManager for each stage.

A checkpoint is (state, meta): the whole training state, and a json that says
which inputs it belongs to. A checkpoint of other inputs is never restored, and
neither is one whose files are not those that were written: once a checkpoint is
on disk it is sealed by a manifest of its files with their checksums.
"""

import contextlib
import logging
import pathlib
import shutil
from collections.abc import Iterator
from concurrent import futures

import jax
import orbax.checkpoint as ocp

from dbflax import disk, errors, hosts

_log = logging.getLogger(__name__)
# Seconds. Orbax measures its patience by the clock of the wall, and would give
# up saving when that is set. A host that is lost is noticed otherwise.
_FOR_EVER = 4 * 10**9


class Checkpoints:
  """The checkpoints of one training run in one folder."""

  def __init__(self, folder: pathlib.Path, fingerprint: str, keep: int = 2):
    """Opens a folder, and removes what is damaged or was never sealed.

    Args:
      folder: absent, or of an earlier run.
      fingerprint: names the inputs of the run that is checkpointed.
      keep: how many checkpoints to keep. While there are new ones to come it
        is one more, so that a sealed one is always there.
    """
    self._folder = pathlib.Path(folder).absolute()
    self._fingerprint, self._keep = fingerprint, keep
    hosts.from_first(self._remove_damaged)
    self._thread = futures.ThreadPoolExecutor(max_workers=1)
    self._sealing, self._is_unsealed = self._thread.submit(lambda: None), False
    self._manager = ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep + 1,
        create=True,
        async_options=ocp.AsyncOptions(timeout_secs=_FOR_EVER),
      ),
    )

  def save(self, step: int, state) -> None:
    """Starts to write the state after `step` updates; returns early.

    Raises:
      UserError: there is no room for it.
    """
    if step in self._manager.all_steps():
      return  # written by the run that this one resumes
    self.wait()  # for the one before, to be sealed before an older one goes
    hosts.from_first(lambda: self._check_room(state))
    self._is_unsealed = True
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        meta=ocp.args.JsonSave({'fingerprint': self._fingerprint}),
      ),
    )

  def poll(self) -> None:
    """Seals checkpoints that are on disk by now; cheap, for every step.

    Reading all of a large checkpoint again takes a while, in a thread.
    """
    if self._is_unsealed and not self._manager.is_saving_in_progress():
      self._is_unsealed = False
      self._sealing = self._thread.submit(self._seal)

  def restore_latest(self, abstract_state):
    """The newest state, or None if there is none.

    Args:
      abstract_state: ShapeDtypeStructs with the shardings wanted.

    Raises:
      UserError: if the checkpoints belong to other inputs.
    """
    step = self._manager.latest_step()
    if step is None:
      return None
    meta = self._manager.restore(
      step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
    )
    if meta.meta['fingerprint'] != self._fingerprint:
      raise errors.UserError(
        f'{self._manager.directory} holds checkpoints of another run '
        f'({meta.meta["fingerprint"][:12]}, not {self._fingerprint[:12]}); '
        'remove the folder or choose another --workdir.'
      )
    args = ocp.args.StandardRestore(abstract_state)
    restored = self._manager.restore(step, args=ocp.args.Composite(state=args))
    return restored.state

  def wait(self) -> None:
    """Returns when everything that was saved is on disk, and sealed."""
    self._manager.wait_until_finished()
    self._sealing.result()
    self._seal()

  @contextlib.contextmanager
  def settled(self) -> Iterator[None]:
    """An error inside goes on when what was being saved is whole."""
    try:
      yield
    except Exception as error:
      # Another than a UserError may be of one host alone: others do not wait.
      if isinstance(error, errors.UserError) or hosts.count() == 1:
        with contextlib.suppress(Exception):
          self.wait()
      raise

  def close(self) -> None:
    """Waits, and leaves only as many as there are to keep."""
    self.wait()
    self._manager.close()
    self._thread.shutdown()
    hosts.from_first(self._prune)

  def _check_room(self, state) -> None:
    """Before Orbax finds out half-way, in several threads at once."""
    # Orbax writes two kilobytes about every array, and more for a while.
    needed = sum(leaf.nbytes + 4096 for leaf in jax.tree.leaves(state))
    free = shutil.disk_usage(self._folder).free
    if free < needed:
      raise errors.UserError(
        f'the disk is full: {self._folder} has room for {free / 1e6:.1f} MB, a '
        f'checkpoint takes {needed / 1e6:.1f} MB; nothing that was finished is '
        'lost, and once there is room the same command goes on.'
      )

  def _steps(self) -> list[pathlib.Path]:
    """The folders of all checkpoints, oldest first."""
    found = [p for p in self._folder.glob('*') if p.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))

  def _seal(self) -> None:
    if not hosts.is_first():
      return
    for path in self._steps():
      if not (path / disk.MANIFEST).exists():
        record = {'files': disk.checksums(path)}
        disk.write_json(path / disk.MANIFEST, record)

  def _remove_damaged(self) -> None:
    """Removes checkpoints from the newest to the first that is whole.

    And what a process that was killed had of one: nobody writes it on, and the
    stage that is done in the end would keep it.
    """
    for path in self._folder.glob(f'*{disk.TEMPORARY}*'):
      shutil.rmtree(path)
    for path in reversed(self._steps()):
      reason = disk.damage(path)
      if not reason:
        return
      _log.warning('checkpoint %s is not used: %s', path, reason)
      shutil.rmtree(path)

  def _prune(self) -> None:
    for path in self._steps()[: -self._keep]:
      shutil.rmtree(path)


def abstract(tree, shardings):
  """Shapes, types and shardings of a tree, to restore into."""
  make = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
  return jax.tree.map(make, tree, shardings)
