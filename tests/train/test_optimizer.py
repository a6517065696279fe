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


@pytest.mark.parametrize('decay, start', [(1.0, 5), (0.4, 14)])
def test_decay_ends_at_zero_with_the_run(decay, start):
  rates = _rates(steps=20, warmup=5, decay=decay)
  np.testing.assert_allclose(rates[5 : start + 1], 0.1, rtol=1e-4)
  assert (np.diff(rates[start:]) < 0).all()
  assert rates[-1] < 0.01


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


def test_muon_moves_all_directions_of_a_matrix_alike():
  """A gradient's strong directions do not drown its weak ones."""
  tx = optimizer.build(learning_rate=0.1, steps=5, kind='muon', clip_norm=0)
  left, right = (
    np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0]
    for seed in range(2)
  )
  strengths = np.logspace(0, -1.5, 8)
  params = {'a': {'kernel': jnp.zeros((8, 8))}}
  grads = {'a': {'kernel': jnp.asarray(left * strengths @ right, jnp.float32)}}
  updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
  moved = np.linalg.svd(updates['a']['kernel'], compute_uv=False)
  assert moved.max() / moved.min() < 2 < strengths.max() / strengths.min()
  size = np.sqrt(np.square(updates['a']['kernel']).mean())
  assert size == pytest.approx(0.1 * 0.2, rel=0.2)  # as large as AdamW's


def test_muon_leaves_pixel_layers_and_vectors_to_adamw():
  kinds = optimizer._matrices(
    {
      'conv_in': {'kernel': jnp.zeros((3, 3, 3, 4)), 'bias': jnp.zeros(4)},
      'block': {'conv1': {'kernel': jnp.zeros((3, 3, 4, 4))}},
      'to_q': {'kernel': jnp.zeros((4, 4))},
      'embedding': jnp.zeros((9, 4)),
    }
  )
  assert kinds['conv_in'] == {'kernel': None, 'bias': None}
  assert kinds['embedding'] is None
  assert kinds['block']['conv1']['kernel'].reduction_axis == (0, 1, 2)
  assert kinds['to_q']['kernel'].output_axis == 1


def test_unknown_optimizers_are_refused():
  with pytest.raises(ValueError, match="'sgd' is not one of"):
    optimizer.build(learning_rate=0.1, steps=5, kind='sgd')
