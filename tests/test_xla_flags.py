"""What dbflax asks of XLA is asked for, and what a user asks is left."""

import os
import subprocess
import sys

import jax
import pytest

from dbflax import xla_flags

LOOPS = '--xla_backend_extra_options=' + ','.join(
  f'xla_cpu_{option}=true'
  for option in (
    'disable_loop_unrolling',
    'use_multi_output_fusion',
    'disable_tiled_emitter',
  )
)


@pytest.mark.parametrize(
  ('before', 'after'),
  [
    (None, LOOPS),
    ('--xla_dump_to=/tmp/a', f'{LOOPS} --xla_dump_to=/tmp/a'),
    (f'{LOOPS} --xla_dump_to=/tmp/a', f'{LOOPS} --xla_dump_to=/tmp/a'),
  ],
)
def test_flags_of_the_user_stay_and_come_last(before, after, monkeypatch):
  monkeypatch.delitem(sys.modules, 'jax', raising=False)
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  if before:
    monkeypatch.setenv('XLA_FLAGS', before)
  xla_flags.set_defaults()
  xla_flags.set_defaults()
  assert os.environ['XLA_FLAGS'] == after


def test_where_jax_is_they_are_left(monkeypatch):
  """What it has read is what the process that compiles must be told."""
  monkeypatch.setitem(sys.modules, 'jax', jax)
  monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=/tmp/a')
  xla_flags.set_defaults()
  assert os.environ['XLA_FLAGS'] == '--xla_dump_to=/tmp/a'


PROGRAM = """
import sys
from dbflax import xla_flags
if sys.argv[1] == 'set':
  xla_flags.set_defaults()
import jax, jax.numpy as jnp
scale = lambda x, n: x * n / (jnp.sqrt(x) + n)
xs = [jnp.ones(64 + n) for n in range(20)]
many = jax.jit(lambda xs: [scale(x, n) for n, x in enumerate(xs, 1)])
executable = many.lower(xs).compile().runtime_executable()
print(len(executable.serialize()))
two = jax.jit(lambda x: (jnp.sin(x), jnp.sqrt(x) * 2))
print(two.lower(xs[0]).compile().as_text().count(' fusion('))
"""


def test_on_a_cpu_loops_are_fewer_and_not_unrolled():
  """So programs are smaller, and what is of the same pixels is one loop."""
  env = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  found = {}
  for told in ('set', 'left'):
    output = subprocess.run(
      [sys.executable, '-c', PROGRAM, told],
      env={**env, 'JAX_PLATFORMS': 'cpu'},
      check=True,
      capture_output=True,
      text=True,
    ).stdout
    found[told] = tuple(map(int, output.split()))
  assert found['set'][0] < 0.95 * found['left'][0], found
  assert (found['set'][1], found['left'][1]) == (1, 2), found
