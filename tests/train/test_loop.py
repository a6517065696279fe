"""Truths of the loop: when it saves, and how it lets itself be stopped."""

import contextlib
import os
import signal
import time
import types

import jax.numpy as jnp
import pytest

from dbflax import disk, errors, stop
from dbflax.train import loop
from dbflax.train import state as state_lib


class Checkpoints:
  """Remembers what was saved."""

  def __init__(self):
    self.steps, self.on_disk = [], []

  def save(self, step, state):
    assert int(state.step) == step
    self.steps.append(step)

  def poll(self):
    pass

  def wait(self):
    self.on_disk = list(self.steps)

  settled = contextlib.nullcontext


def run(
  folder,
  steps,
  each=lambda step: None,
  start=0,
  loss=float,
  **options,
):
  """The checkpoints of a training that only counts; `each` is called first."""
  saved = Checkpoints()

  def update(state, step):
    each(step)
    new = state_lib.State(state.step + 1, {}, (), None)
    return new, {'loss': jnp.float32(loss(step))}

  state = state_lib.State(jnp.int32(start), {}, (), None)
  options = {'checkpoint_every': 100, **options}
  try:
    loop.run(
      'stage_1',
      state,
      update,
      steps=steps,
      checkpoints=saved,
      log_path=folder / 'metrics.jsonl',
      **options,
    )
  except stop.Stopped as stopped:
    saved.stopped = stopped
  return saved


def test_it_saves_every_so_many_steps_and_at_the_end(tmp_path):
  assert run(tmp_path, 7, checkpoint_every=3).steps == [3, 6, 7]


def test_it_saves_every_so_many_minutes(tmp_path, monkeypatch):
  minutes = [0]
  clock = types.SimpleNamespace(monotonic=lambda: 60 * minutes[0])
  monkeypatch.setattr(loop, 'time', clock)

  def pass_by(step):
    minutes[0] += 1

  saved = run(tmp_path, 7, pass_by, checkpoint_minutes=2.5)
  assert saved.steps == [3, 6, 7]
  assert run(tmp_path, 7, pass_by, checkpoint_minutes=0).steps == [7]
  both = {'checkpoint_minutes': 2.5, 'checkpoint_every': 2}
  assert run(tmp_path, 7, pass_by, **both).steps == [2, 4, 6, 7]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_the_step_that_it_is_in(tmp_path, number):
  def ask(step):
    if step == 3:
      os.kill(os.getpid(), number)

  saved = run(tmp_path, 7, ask)
  assert saved.on_disk == [4]
  assert stop.exit_code(saved.stopped) == 128 + number
  lines = disk.read_log(tmp_path / 'metrics.jsonl')
  assert [line['step'] for line in lines] == [0, 1, 2, 3]
  assert run(tmp_path, 7, start=4).steps == [7]
  lines = disk.read_log(tmp_path / 'metrics.jsonl')
  assert [line['step'] for line in lines] == list(range(7))


def test_asked_in_the_last_step_what_comes_next_is_not_begun(tmp_path):
  ask = lambda step: step == 6 and os.kill(os.getpid(), signal.SIGTERM)
  saved = run(tmp_path, 7, ask)
  assert saved.on_disk == [7] and saved.stopped.number == signal.SIGTERM


def test_asked_while_the_last_step_is_saved_it_stops_too(tmp_path, monkeypatch):
  def save(saved, step, state):
    saved.steps.append(step)
    os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(Checkpoints, 'save', save)
  saved = run(tmp_path, 7)
  assert saved.on_disk == [7] and saved.stopped.number == signal.SIGTERM


def test_asked_while_the_last_checkpoint_is_awaited_it_is_whole(
  tmp_path, monkeypatch
):
  def wait(saved):
    os.kill(os.getpid(), signal.SIGTERM)
    saved.on_disk = list(saved.steps)

  monkeypatch.setattr(Checkpoints, 'wait', wait)
  saved = run(tmp_path, 7)
  assert saved.on_disk == [7] and saved.stopped.number == signal.SIGTERM


def test_a_sample_that_a_stop_came_before_is_drawn_after_it(tmp_path):
  drawn = []
  options = {
    'sample_every': 2,
    'sample': lambda state, step: drawn.append((step, int(state.step))),
  }
  ask = lambda step: step == 3 and os.kill(os.getpid(), signal.SIGTERM)
  assert run(tmp_path, 7, ask, **options).on_disk == [4]
  run(tmp_path, 7, start=4, **options)
  assert sorted(set(drawn)) == [(2, 2), (4, 4), (6, 6)]
  run(tmp_path, 7, start=5, **options)
  assert drawn[-1] == (6, 6) and (5, 5) not in drawn


@pytest.mark.parametrize('when', [[0], [3, 3]])
def test_in_the_first_step_or_asked_twice_it_stops_at_once(tmp_path, when):
  def ask(step):
    for _ in range(when.count(step)):
      os.kill(os.getpid(), signal.SIGTERM)

  saved = run(tmp_path, 7, ask)
  assert saved.steps == [] and saved.stopped.number == signal.SIGTERM


def nan_at(*steps):
  """Losses that are not finite at these steps."""
  return lambda step: float('nan') if step in steps else 1.0


def test_so_many_bad_steps_are_skipped(tmp_path, caplog):
  options = {'max_skipped': 2, 'checkpoint_every': 2}
  saved = run(tmp_path, 6, loss=nan_at(1, 2), **options)
  assert saved.steps == [2, 4, 6]
  assert 'not finite at step 2; skipped, 0 more' in caplog.text


def test_one_bad_step_more_stops_also_after_a_restart(tmp_path):
  assert run(tmp_path, 3, loss=nan_at(1), max_skipped=1).steps == [3]
  again = lambda allowed: run(
    tmp_path, 6, loss=nan_at(4), max_skipped=allowed, start=3
  )
  advice = r'at step 4 \(loss=nan\); .*, or allow a few with .*max_skipped'
  with pytest.raises(errors.UserError, match=advice):
    again(1)
  assert again(2).steps == [6]


def test_what_cannot_be_allowed_is_not_advised(tmp_path):
  with pytest.raises(errors.UserError, match=r'learning rate\. The last'):
    run(tmp_path, 3, loss=nan_at(1))


def test_handlers_come_back(tmp_path):
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  with stop.on_signals(), pytest.raises(stop.Stopped, match='SIGTERM'):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)
  run(tmp_path, 2)
  after = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  assert after == before
