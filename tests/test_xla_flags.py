"""What dbflax asks of XLA is asked for, and what a user asks is left."""

import os
import subprocess
import sys

import jax
import pytest

from dbflax import xla_flags

LOOPS = '--xla_backend_extra_options=xla_cpu_disable_loop_unrolling=true'


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
many = jax.jit(lambda xs: [scale(x, n) for n, x in enumerate(xs, 1)])
compiled = many.lower([jnp.ones(64 + n) for n in range(20)]).compile()
executable = compiled.runtime_executable()
print(len(executable.serialize()))
"""


def test_a_cpu_unrolls_no_loops():
  """Then the same program is smaller."""
  env = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  sizes = {
    told: int(
      subprocess.run(
        [sys.executable, '-c', PROGRAM, told],
        env={**env, 'JAX_PLATFORMS': 'cpu'},
        check=True,
        capture_output=True,
        text=True,
      ).stdout
    )
    for told in ('set', 'left')
  }
  assert sizes['set'] < 0.95 * sizes['left'], sizes
