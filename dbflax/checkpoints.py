"""Orbax, in one place: one CheckpointManager for each stage.

A checkpoint is (state, meta): the whole training state, and a json that says
which inputs it belongs to. A checkpoint of other inputs is never restored.
"""

import pathlib

import jax
import orbax.checkpoint as ocp

from dbflax import errors


class Checkpoints:
  """The checkpoints of one training run in one folder."""

  def __init__(self, folder: pathlib.Path, fingerprint: str, keep: int = 2):
    """`fingerprint` names the inputs of the run that is checkpointed."""
    self._fingerprint = fingerprint
    self._manager = ocp.CheckpointManager(
      pathlib.Path(folder).absolute(),
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
    )

  def save(self, step: int, state) -> None:
    """Starts to write the state after `step` updates; returns early."""
    if step in self._manager.all_steps():
      return  # written by the run that this one resumes
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        meta=ocp.args.JsonSave({'fingerprint': self._fingerprint}),
      ),
    )

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
    """Returns when everything that was saved is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    self.wait()
    self._manager.close()


def abstract(tree, shardings):
  """Shapes, types and shardings of a tree, to restore into."""
  make = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
  return jax.tree.map(make, tree, shardings)
