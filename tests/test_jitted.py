"""Functions that run what was compiled elsewhere, and are otherwise jitted."""

import io
import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import jitted
from tests import heard


def scaled(tree, x):
  return jax.tree.map(lambda a: a * x.sum(), tree)


TREE = {'a': jnp.arange(6.0), 'b': [jnp.ones((2, 3))]}
X = jnp.arange(4.0)
ELSEWHERE = """
import pickle, sys
from dbflax import jitted
from tests import test_jitted
made = jitted.Jitted(test_jitted.scaled, donate_argnums=0)
traced = made.trace(test_jitted.TREE, test_jitted.X)
for _ in range(2):
  whole = jitted.pack(traced.lower().compile)
  pickle.dump(whole, sys.stdout.buffer)
"""


@pytest.fixture(scope='module')
def packed(tmp_path_factory):
  """Twice of `scaled`, which gives its first argument away, elsewhere."""
  made = subprocess.run(
    (sys.executable, '-c', ELSEWHERE),
    capture_output=True,
    check=True,
    env={
      **os.environ,
      'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('xla')),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    },
  )
  with io.BytesIO(made.stdout) as file:
    return pickle.load(file), pickle.load(file)


@pytest.fixture
def whole(packed):
  return packed[0]


@pytest.fixture
def taken(whole):
  function = jitted.Jitted(scaled, donate_argnums=0)
  function.take(whole)
  return function


def test_what_was_compiled_elsewhere_is_run_and_nothing_compiled(taken):
  tree = jax.tree.map(jnp.copy, TREE)
  expected = jax.tree.map(np.asarray, jitted.Jitted(scaled)(TREE, X))
  with heard.programs() as names:
    found = taken(tree, X)
  assert not names
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  'tree',
  [
    {'a': jnp.arange(6.0), 'b': [jnp.ones((3, 3))]},
    {'a': jnp.arange(6), 'b': [jnp.ones((2, 3))]},
    {'a': jnp.arange(6.0)},
  ],
  ids=['shape', 'type', 'structure'],
)
def test_for_other_arguments_it_is_compiled_here(taken, tree):
  expected = jax.tree.map(np.asarray, scaled(tree, X))
  with heard.programs() as names:
    found = taken(tree, X)
  assert names == ['jit(scaled)']
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_what_fails_there_is_raised(taken):
  tree = jax.tree.map(jnp.copy, TREE)
  taken(tree, X)  # Now its arrays are gone.
  with pytest.raises(RuntimeError, match='deleted'):
    taken(tree, X)


def test_what_was_found_in_the_folder_is_not_packed(packed):
  assert packed[1] is None


def test_what_does_not_compile_is_not_packed():
  assert jitted.pack(lambda: None) is None


def test_what_is_no_program_is_not_taken(taken, whole):
  _, *trees = whole
  with pytest.raises(pickle.UnpicklingError):
    taken.take((b'nothing', *trees))
  assert taken(jax.tree.map(jnp.copy, TREE), X)
