"""Truths of the T5 encoder that need no reference implementation."""

import math

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import errors
from dbflax.text import t5

_CONFIG = {
  'vocab_size': 50,
  'd_model': 16,
  'd_kv': 8,
  'd_ff': 24,
  'num_layers': 2,
  'num_heads': 2,
  'feed_forward_proj': 'gated-gelu',
}


@pytest.fixture(scope='module')
def encoder():
  return t5.from_config(_CONFIG)


@pytest.fixture(scope='module')
def params(encoder):
  ids = jnp.ones((1, 3), jnp.int32)
  return jax.jit(encoder.init)(jax.random.key(0), ids, ids)['params']


@pytest.fixture(scope='module')
def apply(encoder, params):
  jitted = jax.jit(encoder.apply)
  return lambda ids, mask: np.asarray(jitted({'params': params}, ids, mask))


def test_parameters_have_the_names_of_the_public_weights(params):
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  expected = {
    'encoder/block_0/layer_0/SelfAttention/q/kernel': (16, 16),
    'encoder/block_0/layer_0/SelfAttention/o/kernel': (16, 16),
    'encoder/block_0/layer_0/SelfAttention/relative_attention_bias/embedding': (
      32,
      2,
    ),
    'encoder/block_0/layer_0/layer_norm/scale': (16,),
    'encoder/block_0/layer_1/DenseReluDense/wi_0/kernel': (16, 24),
    'encoder/block_1/layer_1/DenseReluDense/wo/kernel': (24, 16),
    'encoder/block_1/layer_1/layer_norm/scale': (16,),
    'encoder/final_layer_norm/scale': (16,),
    'shared/embedding': (50, 16),
  }
  assert {path: flat[path].shape for path in expected} == expected
  # Nothing has a bias but the attention of the first block.
  assert [path for path in flat if 'bias' in path] == [
    'encoder/block_0/layer_0/SelfAttention/relative_attention_bias/embedding'
  ]


def test_padding_does_not_influence_real_positions(apply):
  ids = np.array([[7, 3, 9, 1, 0, 0]], np.int32)
  mask = np.array([[1, 1, 1, 1, 0, 0]], np.int32)
  noisy = ids.copy()
  noisy[0, 4:] = [33, 12]
  short = apply(ids[:, :4], mask[:, :4])
  np.testing.assert_allclose(apply(ids, mask)[:, :4], short, atol=1e-5)
  np.testing.assert_array_equal(
    apply(noisy, mask)[:, :4], apply(ids, mask)[:, :4]
  )


def test_without_a_mask_every_position_matters(apply):
  ids = np.array([[7, 3, 9, 1, 0, 0]], np.int32)
  ones = np.ones_like(ids)
  other = ids.copy()
  other[0, 5] = 33
  change = np.abs(apply(ids, ones) - apply(other, ones)).max(axis=-1)[0]
  assert (change > 1e-4).all()


def test_only_relative_positions_count(apply):
  """Masked tokens in front move a prompt and leave its states alone."""
  ids = np.array([[7, 3, 9, 1, 5, 5]], np.int32)
  left = np.array([[1, 1, 1, 1, 0, 0]], np.int32)
  moved = np.roll(ids, 2, axis=1)
  right = np.roll(left, 2, axis=1)
  np.testing.assert_allclose(
    apply(moved, right)[:, 2:], apply(ids, left)[:, :4], atol=1e-5
  )


def test_word_order_matters(apply):
  mask = np.ones((1, 3), np.int32)
  first = apply(np.array([[7, 3, 1]], np.int32), mask)
  second = apply(np.array([[3, 7, 1]], np.int32), mask)
  assert np.abs(first[:, :2] - second[:, 1::-1]).max() > 1e-3


def test_prompts_of_a_batch_do_not_mix(apply):
  ids = np.array([[7, 3, 1], [4, 8, 1]], np.int32)
  mask = np.ones_like(ids)
  alone = np.concatenate([apply(ids[:1], mask[:1]), apply(ids[1:], mask[1:])])
  np.testing.assert_allclose(apply(ids, mask), alone, atol=1e-5)


def test_states_are_normalized(apply):
  """A fresh final norm has scale 1, so each state has mean square 1."""
  ids = np.arange(2, 12, dtype=np.int32)[None]
  states = apply(ids, np.ones_like(ids))
  np.testing.assert_allclose((states**2).mean(axis=-1), 1, atol=1e-4)


def test_bfloat16_stays_close(encoder, params, apply):
  ids = np.arange(2, 12, dtype=np.int32)[None]
  mask = np.ones_like(ids)
  half = encoder.clone(dtype=jnp.bfloat16)
  states = half.apply({'params': params}, ids, mask)
  assert states.dtype == jnp.bfloat16
  error = np.asarray(states, np.float32) - apply(ids, mask)
  assert np.sqrt((error**2).mean()) < 0.05


def _published_bucket(distance, buckets, furthest):
  """Section 2.1 of the T5 paper in plain numbers, for one distance."""
  half = buckets // 2
  exact = half // 2
  offset = half if distance > 0 else 0
  distance = abs(distance)
  if distance < exact:
    return offset + distance
  share = math.log(distance / exact) / math.log(furthest / exact)
  # The nudge lifts exact powers that a logarithm rounds just below.
  return offset + min(half - 1, exact + int(share * (half - exact) + 1e-6))


@pytest.mark.parametrize(('buckets', 'furthest'), [(32, 128), (8, 20)])
def test_buckets_follow_the_published_formula(buckets, furthest):
  distance = np.arange(-3 * furthest, 3 * furthest + 1)
  ours = t5.relative_position_bucket(distance, buckets, furthest)
  expected = [_published_bucket(int(d), buckets, furthest) for d in distance]
  np.testing.assert_array_equal(ours, expected)


def test_buckets_fill_the_table_and_keep_the_order():
  distance = np.arange(0, 500)
  ahead = t5.relative_position_bucket(distance[1:], 32, 128)
  behind = t5.relative_position_bucket(-distance, 32, 128)
  assert (np.diff(ahead) >= 0).all() and (np.diff(behind) >= 0).all()
  # Bucket 16 would be "0 tokens ahead", which is bucket 0.
  assert set(ahead) | set(behind) == set(range(32)) - {16}
  np.testing.assert_array_equal(ahead, behind[1:] + 16)


def test_a_config_of_another_network_is_refused():
  for name, value in (
    ('feed_forward_proj', 'relu'),
    ('model_type', 'umt5'),
    ('is_decoder', True),
    ('quantization_config', {'load_in_8bit': True}),
  ):
    with pytest.raises(errors.UserError, match=name):
      t5.from_config({**_CONFIG, name: value})
  # T5Config reads an absent feed_forward_proj as T5 v1.0's relu.
  without = {k: v for k, v in _CONFIG.items() if k != 'feed_forward_proj'}
  with pytest.raises(errors.UserError, match='relu'):
    t5.from_config(without)


def test_missing_sizes_are_named():
  with pytest.raises(errors.UserError, match='d_kv, num_heads'):
    t5.from_config(
      {k: v for k, v in _CONFIG.items() if k not in ('d_kv', 'num_heads')}
    )


def test_the_published_xxl_config_has_its_published_size():
  """4.76 B parameters: facts of the public T5 v1.1 XXL encoder."""
  encoder = t5.from_config(
    {
      'vocab_size': 32128,
      'd_model': 4096,
      'd_kv': 64,
      'd_ff': 10240,
      'num_layers': 24,
      'num_heads': 64,
      'feed_forward_proj': 'gated-gelu',
      'architectures': ['T5EncoderModel'],
      'tie_word_embeddings': False,
      'torch_dtype': 'float32',
    }
  )
  ids = jax.ShapeDtypeStruct((1, 77), jnp.int32)
  variables = jax.eval_shape(encoder.init, jax.random.key(0), ids, ids)
  count = sum(x.size for x in jax.tree.leaves(variables['params']))
  assert count == 4_762_310_656
