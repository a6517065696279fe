"""Truths of the U-Net's blocks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.models import blocks, convolution, embeddings


def _normal(seed, shape):
  return jax.random.normal(jax.random.key(seed), shape)


def test_pooling_undoes_enlarging():
  x = _normal(0, (2, 3, 5, 4))
  up = convolution.nearest_up(x)
  assert up.shape == (2, 6, 10, 4)
  np.testing.assert_array_equal(up[:, ::2, 1::2], x)
  np.testing.assert_allclose(blocks.average_pool(up), x, rtol=1e-6)


def test_sinusoids_of_fractional_times_lie_between():
  """The embedding is continuous: that makes fractional levels legal."""
  at = jnp.array([10.0, 10.5, 11.0])
  low, between, high = embeddings.sinusoid(at, 32)
  middle = jnp.linalg.norm(between - (low + high) / 2)
  assert middle < 0.3 * jnp.linalg.norm(high - low)
  assert jnp.linalg.norm(between - low) > 0.3 * jnp.linalg.norm(high - low)


@pytest.mark.parametrize('dim', [8, 9])
def test_sinusoids_are_points_on_circles(dim):
  found = embeddings.sinusoid(jnp.array([0.0, 3.7, 999.0]), dim)
  assert found.shape == (3, dim)
  circles = found[:, :4] ** 2 + found[:, 4:8] ** 2
  np.testing.assert_allclose(circles, 1, atol=1e-5)
  # The fastest circle turns by one radian a step, cosine first.
  np.testing.assert_allclose(found[1, 0], np.cos(3.7), atol=1e-5)


def _attention(only_text):
  block = blocks.AddedKVAttention(
    head_dim=4, num_groups=2, text_norm_groups=2, only_text=only_text
  )
  x, text = _normal(0, (2, 4, 4, 8)), _normal(1, (2, 5, 6))
  params = block.init(jax.random.key(2), x, text)
  return lambda x, text: block.apply(params, x, text), x, text


@pytest.mark.parametrize('only_text', [False, True])
def test_attention_does_not_know_the_order_of_tokens(only_text):
  attend, x, text = _attention(only_text)
  np.testing.assert_allclose(
    attend(x, text), attend(x, text[:, ::-1]), atol=1e-5
  )
  assert jnp.abs(attend(x, text) - attend(x, text[::-1])).max() > 1e-3


@pytest.mark.parametrize('only_text', [False, True])
def test_attention_treats_all_pixels_alike(only_text):
  """Mirrored in, mirrored out."""
  attend, x, text = _attention(only_text)
  found = attend(x[:, :, ::-1], text)
  np.testing.assert_allclose(found, attend(x, text)[:, :, ::-1], atol=1e-5)


def test_a_fresh_residual_block_is_the_identity():
  """Pre-training begins with blocks that do nothing, but for their scale."""
  block = blocks.ResnetBlock(8, 2, 1e-5, 'silu', 2.0, skip_time_act=False)
  x, temb = _normal(0, (2, 4, 4, 8)), _normal(1, (2, 6))
  params = block.init(jax.random.key(2), x, temb)
  np.testing.assert_allclose(block.apply(params, x, temb), x / 2, rtol=1e-6)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_gelu_is_its_formula(dtype):
  x = np.linspace(-12, 12, 4001)
  expected = [0.5 * value * math.erfc(-value / math.sqrt(2)) for value in x]
  found = embeddings.ACTIVATIONS['gelu'](jnp.asarray(x, dtype))
  assert found.dtype == dtype
  tolerance = {jnp.float32: 1e-6, jnp.bfloat16: 0.01}[dtype]
  np.testing.assert_allclose(
    found.astype(jnp.float32), expected, rtol=tolerance, atol=tolerance
  )
