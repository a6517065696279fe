"""One of two hosts that are asked to stop, in tests/test_stopped_hosts.py.

  python tests/stopped_hosts.py ADDRESS INDEX FOLDER PLACE

PLACE is where the signal comes: 'training', or 'elsewhere', where the second
host waits for the first. It leaves files in FOLDER as it goes.
"""

import contextlib
import pathlib
import sys
import time

import jax
import jax.numpy as jnp

from dbflax import hosts, stop
from dbflax.train import loop
from dbflax.train import state as state_lib


class Checkpoints:
  """Files <host>.<step>, without a state."""

  def __init__(self, folder, index):
    self._name = lambda step: folder / f'{index}.{step}'

  def save(self, step, state):
    assert int(state.step) == step
    self._name(step).touch()

  settled = contextlib.nullcontext

  def poll(self):
    pass

  def wait(self):
    pass


def train(folder, index):
  """Steps of which each needs all devices; only the stop saves."""
  advance = jax.jit(lambda n: n + hosts.count() // 2)

  def update(state, step):
    time.sleep(0.05)
    (folder / f'{index}.in_{step}').touch()
    new = state_lib.State(advance(state.step), {}, (), None)
    return new, {'loss': hosts.highest(step)}

  loop.run(
    'stage_1',
    state_lib.State(jnp.int32(0), {}, (), None),
    update,
    steps=10_000,
    checkpoints=Checkpoints(folder, index),
    checkpoint_every=10_000,
    log_path=folder / 'log/metrics.jsonl',
  )


def wait(folder, index):
  (folder / f'{index}.waits').touch()
  if index == 0:
    time.sleep(600)
  hosts.wait('the other')


def main(address, index, folder, place):
  hosts.join('yes', address, 2, int(index))
  act = train if place == 'training' else wait
  try:
    with hosts.leave_when_lost(), stop.on_signals():
      act(pathlib.Path(folder), int(index))
  except KeyboardInterrupt as asked:
    return stop.exit_code(asked)
  return 0


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
