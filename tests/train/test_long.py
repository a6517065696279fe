"""A week of training does not grow: memory and open files over 10,000 steps."""

import os
import pathlib
import resource

import jax
import jax.numpy as jnp
import pytest

from dbflax import allocator, checkpoints, sharding
from dbflax.train import loop
from dbflax.train import state as state_lib

STEPS = 10_000
pytestmark = pytest.mark.slow


def resident() -> int:
  """Bytes of this process in memory."""
  pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
  return int(pages) * resource.getpagesize()


def test_memory_and_files_are_flat_over_many_steps(tmp_path):
  allocator.keep_freed()  # as `dbflax.main` has it
  mesh = sharding.make_mesh()
  params = {'conv_in': {'kernel': jnp.zeros((3, 3, 3, 8))}}
  state = state_lib.State(jnp.int32(0), params, (), None)
  shardings = sharding.shard_tree(state, mesh)
  state = sharding.put(state, shardings)

  @jax.jit
  def add(state):
    params = jax.tree.map(lambda a: a + 1, state.params)
    return state_lib.State(state.step + 1, params, (), None)

  seen = {}

  def update(state, step):
    if step % 1000 == 0:
      saved.wait()  # A save that goes on has files open.
      seen[step] = (resident(), len(os.listdir('/proc/self/fd')))
    return add(state), {'loss': jnp.float32(1), 'grad_norm': jnp.float32(1)}

  saved = checkpoints.Checkpoints(tmp_path / 'checkpoints', 'a' * 64, keep=1)
  done = loop.run(
    'stage_1',
    state,
    update,
    steps=STEPS,
    checkpoints=saved,
    checkpoint_every=50,
    log_path=tmp_path / 'metrics.jsonl',
  )
  saved.close()
  assert int(done.step) == STEPS
  memory, files = zip(*(seen[step] for step in sorted(seen)), strict=True)
  print('MB', [m // 10**6 for m in memory], 'open files', files)
  # After what is warmed up by the first thousands.
  assert max(memory[5:]) < 1.02 * max(memory[2:5])
  assert max(files[5:]) <= max(files[2:5])
  assert len(list((tmp_path / 'checkpoints').iterdir())) == 1
