"""Where a CPU shall begin a new loop, it does; and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import fusion


def _turned(x, apart):
  """Of what is computed, a copy in another order."""
  return apart(jnp.exp(x) * 2).reshape(4, 8, 3).swapaxes(0, 1)


# How StableHLO writes a call that is not to be inlined.
CALL = ') {mhlo.frontend_attributes = {inlineable = "false"}} : '
X = jnp.arange(96.0).reshape(32, 3) / 96


@pytest.mark.parametrize('wrap', [jax.jit, jax.vmap, jax.grad])
def test_the_same_comes_out(wrap):
  def found(apart):
    if wrap is jax.grad:
      return jax.grad(lambda x: jnp.square(_turned(x, apart)).sum())(X)
    if wrap is jax.vmap:
      return jax.vmap(lambda x: _turned(x, apart))(jnp.stack([X, 2 * X]))
    return wrap(lambda x: _turned(x, apart))(X)

  np.testing.assert_array_equal(found(fusion.apart), found(lambda x: x))


def _loops(apart):
  compiled = jax.jit(lambda x: _turned(x, apart)).lower(X).compile()
  return compiled.as_text().count(' fusion(')


@pytest.mark.skipif(
  jax.default_backend() != 'cpu', reason='says how a CPU fuses loops'
)
def test_a_cpu_does_not_fuse_what_lies_apart():
  assert _loops(fusion.apart) == _loops(lambda x: x) + 1


@pytest.mark.parametrize(
  ('platform', 'calls'), [('cpu', 1), ('tpu', 0), ('cuda', 0)]
)
def test_others_are_told_nothing(platform, calls):
  traced = jax.jit(lambda x: _turned(x, fusion.apart)).trace(X)
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  assert lowered.count(CALL) == calls
