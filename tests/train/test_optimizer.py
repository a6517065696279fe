"""Truths of the optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.train import optimizer


def _rates(steps=10, **options):
  """Sizes of the steps under a gradient of one: Adam's step is its rate."""
  tx = optimizer.build(learning_rate=0.1, steps=steps, clip_norm=0, **options)
  params = {'kernel': jnp.zeros(())}
  state, sizes = tx.init(params), []
  update = jax.jit(tx.update)
  for _ in range(steps):
    updates, state = update({'kernel': jnp.ones(())}, state, params)
    sizes.append(-float(updates['kernel']))
  return np.array(sizes)


def test_the_rate_is_constant_by_default():
  np.testing.assert_allclose(_rates(), 0.1, rtol=1e-4)


def test_warmup_rises_in_a_line():
  rates = _rates(warmup=4)
  np.testing.assert_allclose(rates[:4], [0.02, 0.04, 0.06, 0.08], atol=1e-5)
  np.testing.assert_allclose(rates[4:], 0.1, rtol=1e-4)


def test_decay_ends_at_zero_with_the_run():
  rates = _rates(steps=20, warmup=5, decay=True)
  assert rates.argmax() == 5
  assert (np.diff(rates[5:]) < 0).all()
  assert rates[-1] < 0.003


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_gradients_are_clipped_by_their_common_norm(scale):
  """Above the norm, a gradient's size is forgotten; its direction is not."""
  tx = optimizer.build(learning_rate=0.1, steps=5, clip_norm=0.5)
  params = {'a': jnp.zeros(()), 'b': jnp.zeros(())}
  grads = {'a': scale * jnp.float32(3), 'b': scale * jnp.float32(4)}
  _, state = tx.update(grads, tx.init(params), params)
  first = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype != jnp.int32]
  np.testing.assert_allclose(first[0], 0.1 * 0.3, rtol=1e-4)
  np.testing.assert_allclose(first[1], 0.1 * 0.4, rtol=1e-4)


def test_weight_decay_pulls_towards_zero():
  tx = optimizer.build(learning_rate=0.1, steps=5, weight_decay=0.5)
  params = {'a': jnp.float32(2)}
  updates, _ = tx.update({'a': jnp.float32(0)}, tx.init(params), params)
  np.testing.assert_allclose(updates['a'], -0.1 * 0.5 * 2, rtol=1e-5)
