"""Planned memory against the memory that a step is seen to take, on the CPU."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# A process of its own: its highest resident size is that of one step.
_STEP = """
import json, pathlib, sys
import jax, jax.numpy as jnp, numpy as np
from configs import test
from dbflax import job, sharding
from dbflax.plan import compiled, planner, quick

config = test.get_config()
config.update_from_flattened_dict({
  'cascade.stages': ('stage_1', 'stage_2'),
  'prior.weight': 0.0,
  'stage_2.batch': 96,
  'stage_2.crop': 0,
})
mesh = sharding.make_mesh(1, 1)
step = planner.step_of(config, 'stage_2', (mesh, mesh))
program = step.programs[0]
found = compiled.measure(step, pathlib.Path(sys.argv[1]), 'cpu', {})['gradient']
run = program.traced.lower().compile()

def zeros(leaf):
  is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
  return jax.random.key(0) if is_key else jnp.zeros(leaf.shape, leaf.dtype)

def size(name):
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  return 1024 * int(next(l for l in lines if l.startswith(name)).split()[1])

args = jax.block_until_ready(jax.tree.map(zeros, program.args))
pathlib.Path('/proc/self/clear_refs').write_text('5')  # forget the highest
before = size('VmRSS')
jax.block_until_ready(run(*args))
print(json.dumps({
  'measured': size('VmHWM') - before,
  'compiled': found['temporaries'] + found['outputs'],
  'quick': quick.working(step, {}) + program.makes,
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
  not pathlib.Path('/proc/self/clear_refs').exists(),
  reason='the highest memory of one step is only known on Linux',
)
def test_planned_memory_is_what_a_step_takes(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', _STEP, str(tmp_path)],
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  found = json.loads(done.stdout)
  for kind in ('compiled', 'quick'):
    assert found[kind] == pytest.approx(found['measured'], rel=0.15), found
  assert found['measured'] > 3e8
