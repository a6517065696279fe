"""A case with sides that only pretend: the order, failures, what is kept."""

import json

import pytest

from benchmarks import run, sides


class Pretend:
  """Answers as a process would; `asked` is what all were asked, in order."""

  asked, starts = [], []
  loss = {'dbflax': 1.0, 'eager': 1.0, 'compiled': 1.0}
  fails_at = {}

  def __init__(self, name, spec, cache):
    self._name, self._lots = name, 0
    self.starts.append(name)

  def answer(self, timeout):
    loss = self.loss[self._name]
    first = 1.0 / self.starts.count(self._name)
    return {'result': loss, 'norm': loss, 'first_s': first, 'flops': 1.0}

  def run(self, calls, timeout):
    self._lots += 1
    if self._lots == self.fails_at.get(self._name):
      raise sides.Failed('ended with exit code 9')
    self.asked.append((self._name, calls))
    return {'seconds': 0.25, 'peak_bytes': 100}

  def end(self):
    self.asked.append((self._name, 'end'))


@pytest.fixture
def measure(monkeypatch, tmp_path):
  """measure(**what to pretend) → (results.json's case, what was asked)."""
  monkeypatch.setattr(sides, 'make_inputs', lambda spec, cache: None)

  def measured(**pretended):
    kind = type('Kind', (Pretend,), {'asked': [], 'starts': [], **pretended})
    monkeypatch.setattr(sides, 'Side', kind)
    command = ['--only', 'train/tiny-sr', '--device', 'cpu']
    run.main([*command, '--repetitions', '2', '--out', str(tmp_path)])
    [case] = json.loads((tmp_path / 'results.json').read_text())['cases']
    return case, kind.asked

  return measured


def test_sides_are_warmed_up_and_then_take_turns(measure):
  case, asked = measure()
  names = [name for name, _ in asked]
  there = ['dbflax', 'eager', 'compiled']
  assert names == [*there, *there, *there, *there[::-1], *there]
  done = [what for _, what in asked]
  assert done == ['end'] * 3 + [1] * 3 + [4] * 6 + ['end'] * 3
  for side in case['sides'].values():
    assert side['seconds'] == [0.25, 0.25]
    assert side['time_over_ours'] == 1
  assert case['agree']


def test_sides_come_up_twice_and_what_compiled_is_gone(measure):
  case, asked = measure()
  for name, side in case['sides'].items():
    assert (side['first_s'], side['again_s']) == (1.0, 0.5)
    assert [w for n, w in asked if n == name][0] == 'end'


def test_a_side_that_fails_is_left_out_and_keeps_what_it_had(measure):
  case, asked = measure(fails_at={'eager': 3})
  eager = case['sides']['eager']
  assert eager['failed'] == 'ended with exit code 9'
  assert eager['seconds'] == [0.25]
  assert len(case['sides']['compiled']['seconds']) == 2
  assert asked.count(('eager', 'end')) == 2  # One for each start.


def test_what_is_known_is_written_before_the_end(measure, tmp_path):
  def interrupt(self, calls, timeout):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    measure(run=interrupt)
  [case] = json.loads((tmp_path / 'results.json').read_text())['cases']
  assert case['sides']['compiled']['first_s'] == 1


def test_sides_that_compute_something_else_fail_the_command(measure):
  loss = {'dbflax': 1.0, 'eager': 1.01, 'compiled': 1.0}
  with pytest.raises(SystemExit, match='not compute the same: train/tiny-sr'):
    measure(loss=loss)
