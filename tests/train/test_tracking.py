"""Losses for Weights & Biases: what is sent, and in which run."""

import contextlib
import importlib.machinery
import json
import pathlib
import sys
import types

import jax.numpy as jnp
import pytest

from configs import test as test_config
from dbflax import checkpoints, disk, errors, inputs, job, main, workdir
from dbflax.train import loop, step, tracking
from dbflax.train import state as state_lib

ROOT = pathlib.Path(__file__).parents[2]
ABOUT = {'name': 'dog', 'seed': 3}


class Run:
  """A run of W&B: what it was begun with, and what it was sent."""

  offline, dir, url = True, 'here', None

  def __init__(self, **options):
    self.options, self.sent, self.axes, self.code = options, [], {}, None

  def define_metric(self, name, step_metric=None, hidden=False):
    self.axes[name] = step_metric

  def log(self, values):
    assert self.code is None
    self.sent.append(values)

  def finish(self, exit_code):
    self.code = exit_code


@pytest.fixture
def runs(monkeypatch):
  """All runs that are begun with a W&B that keeps everything here."""
  begun = []

  def init(**options):
    begun.append(Run(**options))
    return begun[-1]

  module = types.ModuleType('wandb')
  module.__spec__ = importlib.machinery.ModuleSpec('wandb', None)
  module.init, module.Settings = init, dict
  module.errors = types.SimpleNamespace(Error=type('Error', (Exception,), {}))
  monkeypatch.setitem(sys.modules, 'wandb', module)
  return begun


def tracker(root, wanted=True):
  return tracking.Tracker(wanted, root, 'dbflax', ABOUT)


def test_without_wandb_there_is_one_line(monkeypatch):
  monkeypatch.setitem(sys.modules, 'wandb', None)
  tracking.check(False)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[wandb\]'"):
    tracking.check(True)


def test_nothing_is_begun_unless_wanted_and_trained(runs, tmp_path):
  with tracker(tmp_path, wanted=False) as one:
    assert one.of('stage_1') is None
  with tracker(tmp_path) as one:
    assert one.of('stage_1') is not None
  assert not runs and not list(tmp_path.iterdir())


def test_what_is_sent_is_what_is_logged(runs, tmp_path):
  class Checkpoints:
    save = poll = wait = lambda *_: None
    settled = contextlib.nullcontext

  def update(state, number):
    new = state_lib.State(state.step + 1, {}, (), None)
    return new, {'loss': jnp.float32(number / 8)}

  with tracker(tmp_path) as one:
    for name in ('stage_1', 'stage_2'):
      loop.run(
        name,
        state_lib.State(jnp.int32(0), {}, (), None),
        update,
        steps=3,
        checkpoints=Checkpoints(),
        checkpoint_every=10,
        log_path=tmp_path / name / 'metrics.jsonl',
        track=one.of(name),
      )
  [run] = runs
  for name in ('stage_1', 'stage_2'):
    log = disk.read_log(tmp_path / name / 'metrics.jsonl')
    named = [{f'{name}/{k}': v for k, v in line.items()} for line in log]
    assert [line for line in run.sent if f'{name}/step' in line] == named
    assert run.axes[f'{name}/*'] == f'{name}/step'
  assert run.code == 0
  assert run.options['config'] == ABOUT
  assert run.options['name'] == 'dog'
  assert run.options['settings']['console'] == 'off'


def test_a_workdir_is_one_run(runs, tmp_path):
  for root in (tmp_path / 'a', tmp_path / 'a', tmp_path / 'b'):
    with tracker(root) as one:
      one.of('stage_1')(0, loss=1.0)
  first, again, other = (run.options['id'] for run in runs)
  assert first == again != other
  assert all(run.options['resume'] == 'allow' for run in runs)
  assert json.loads((tmp_path / 'a/wandb.json').read_text()) == {'id': first}


def test_what_failed_is_marked(runs, tmp_path):
  with pytest.raises(KeyboardInterrupt), tracker(tmp_path) as one:
    one.of('stage_1')(0, loss=1.0)
    raise KeyboardInterrupt
  assert runs[0].code == 1


def test_what_wandb_refuses_is_one_line(runs, tmp_path, monkeypatch):
  module = sys.modules['wandb']

  def refuse(**_):
    raise module.errors.Error('no API key configured.\nUse wandb login')

  monkeypatch.setattr(module, 'init', refuse)
  with pytest.raises(errors.UserError) as caught, tracker(tmp_path) as one:
    one.of('stage_1')(0, loss=1.0)
  assert 'no API key configured' in str(caught.value)
  assert '\n' not in str(caught.value)


def test_asking_for_it_redoes_nothing(tmp_path):
  def prints(wanted):
    config = test_config.get_config()
    config.log.wandb = wanted
    made = job.start(config, workdir.Workdir(tmp_path))
    return disk.fingerprint(inputs.of_mode(made, 'run'))

  assert prints(True) == prints(False)


def train(folder):
  return main.main(
    [
      *('dbflax', f'--config={ROOT / "configs/test.py"}', '--mode=train'),
      *(f'--workdir={folder}', '--config.log.wandb=True'),
      '--config.cascade.stages=("stage_1",)',
    ]
  )


def test_a_killed_training_goes_on_in_its_run(
  runs, tmp_path, monkeypatch, dying
):
  save = checkpoints.Checkpoints.save

  def save_whole(saved, *args):
    save(saved, *args)
    saved.wait()

  monkeypatch.setattr(checkpoints.Checkpoints, 'save', save_whole)
  with dying(step, 'make_prior_preservation_step'):
    assert train(tmp_path) == 130
  assert train(tmp_path) == 0
  assert train(tmp_path) == 0  # All is done: nothing is begun.
  first, second = runs
  assert first.options['id'] == second.options['id']
  assert (first.code, second.code) == (1, 0)
  assert [line['stage_1/step'] for line in second.sent] == [2, 3]
  log = disk.read_log(tmp_path / 'stage_1/metrics.jsonl')
  sent = {line['stage_1/step']: line for run in runs for line in run.sent}
  assert [sent[line['step']]['stage_1/prior_loss'] for line in log] == [
    line['prior_loss'] for line in log
  ]


def test_wandb_itself_offline_keeps_no_key(tmp_path, monkeypatch, capfd):
  wandb = pytest.importorskip('wandb', reason="needs the extra 'wandb'")
  key = '0123456789abcdef0123456789abcdef01234567'
  monkeypatch.setenv('WANDB_API_KEY', key)
  monkeypatch.setenv('WANDB_MODE', 'offline')
  for number in range(2):
    with tracker(tmp_path) as one:
      one.of('stage_1')(number, loss=0.5)
  wandb.teardown()  # Its process writes on for a moment.
  name = json.loads((tmp_path / 'wandb.json').read_text())['id']
  kept = list(tmp_path.glob(f'wandb/offline-run-*-{name}/run-{name}.wandb'))
  assert len(kept) == 2
  assert all(b'stage_1/loss' in path.read_bytes() for path in kept)
  said = ''.join(capfd.readouterr())
  assert key not in said
  for path in tmp_path.rglob('*'):
    assert not path.is_file() or key.encode() not in path.read_bytes(), path
