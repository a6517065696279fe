"""Losses for Weights & Biases, if it is installed and asked for.

A workdir is one run there: its id is kept in wandb.json, so that what is
resumed goes on in the same run. Losses and the config are sent, and what W&B
itself says of the machine; photos, samples and weights are not, nor what stands
on the screen. Who logs in, where to, and whether at all is W&B's own business
(`wandb login`, WANDB_MODE=offline): no key passes through here.
"""

import importlib.util
import logging
import pathlib
import secrets
from collections.abc import Callable, Mapping

from dbflax import disk, errors, hosts

_log = logging.getLogger(__name__)
FILE = 'wandb.json'


def check(wanted: bool) -> None:
  """Raises UserError if W&B is wanted and not installed."""
  if wanted and importlib.util.find_spec('wandb') is None:
    raise errors.UserError(
      "--config.log.wandb=True needs pip install '.[wandb]'; or leave it "
      'False: TensorBoard and metrics.jsonl have the same losses'
    )


class Tracker:
  """A run of W&B that starts with the first loss; none if not `wanted`."""

  def __init__(self, wanted: bool, root: pathlib.Path, project: str, about):
    """Nothing is started yet.

    Args:
      wanted: log at all.
      root: the workdir.
      project: of W&B.
      about: the config, for W&B's table of runs.
    """
    # All hosts have the same losses; one sends them.
    self._wanted = wanted and hosts.is_first()
    self._root, self._project, self._about = root, project, about
    self._run, self._known = None, set()

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    if self._run:
      self._run.finish(exit_code=int(kind is not None))

  def of(self, name: str) -> Callable[..., None] | None:
    """add(step, **metrics) for the losses of a stage; None if not wanted."""
    if not self._wanted:
      return None
    return lambda step, **values: self._add(name, step, values)

  def _add(self, name: str, step: int, values: Mapping[str, float]) -> None:
    if self._run is None:
      self._run = _start(self._root, self._project, self._about)
    if name not in self._known:
      # Stages come one after the other, and each counts from 0.
      self._run.define_metric(f'{name}/step', hidden=True)
      self._run.define_metric(f'{name}/*', step_metric=f'{name}/step')
      self._known.add(name)
    named = {f'{name}/{key}': value for key, value in values.items()}
    self._run.log({f'{name}/step': step, **named})


def _start(root: pathlib.Path, project: str, about: Mapping):
  """The workdir's run, new or gone on with."""
  import wandb

  known = disk.read_json(root / FILE) or {'id': secrets.token_hex(4)}
  disk.write_json(root / FILE, known)
  # Not W&B's default: the screen, the command line's repository and code.
  options = dict(silent=True, console='off', save_code=False, disable_git=True)
  try:
    run = wandb.init(
      project=project,
      id=known['id'],
      resume='allow',
      name=about['name'],
      config=dict(about),
      dir=str(root),
      settings=wandb.Settings(**options),
    )
  # No key, no such project, no network; its first line says which.
  except wandb.errors.Error as error:
    raise errors.UserError(
      f'Weights & Biases: {str(error).strip().splitlines()[0]} (`wandb login`, '
      'or WANDB_MODE=offline, or --config.log.wandb=False)'
    ) from error
  where = f'offline, in {run.dir}' if run.offline else run.url
  _log.info('wandb: %s', where)
  return run
