"""Truths of group normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.models import embeddings, group_norm
from tests import test_fusion


def _normal(seed, shape):
  return jax.random.normal(jax.random.key(seed), shape)


def _group_norm_float64(x, groups, scale, bias):
  """The formula in float64 numpy."""
  x = np.asarray(x, np.float64)
  grouped = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
  mean = grouped.mean((1, 3), keepdims=True)
  var = grouped.var((1, 3), keepdims=True)
  normed = (grouped - mean) / np.sqrt(var + 1e-5)
  return normed.reshape(x.shape) * scale + bias


@pytest.mark.parametrize('offset', [3, 1000])
@pytest.mark.parametrize('shape', [(2, 4, 6, 12), (3, 5, 12)])
def test_group_norm_is_its_formula(shape, offset):
  """For images and token sequences, and where the mean is 1000 spreads."""
  x = offset + _normal(0, shape)
  scale, bias = _normal(1, (12,)), _normal(2, (12,))
  found = group_norm.GroupNorm(4).apply(
    {'params': {'scale': scale, 'bias': bias}}, x
  )
  expected = _group_norm_float64(x, 4, np.asarray(scale), np.asarray(bias))
  error = np.abs(found - expected).max() / np.abs(expected).max()
  assert error <= 1e-5, f'{error:.2g}'


def test_group_norm_ignores_scale_and_shift_of_its_input():
  norm = group_norm.GroupNorm(2, epsilon=1e-12)
  params = {'params': {'scale': jnp.ones(6), 'bias': jnp.zeros(6)}}
  x = _normal(0, (2, 4, 4, 6))
  np.testing.assert_allclose(
    norm.apply(params, 5 * x + 3), norm.apply(params, x), atol=1e-4
  )


def test_group_norm_of_a_flat_image_is_its_bias():
  norm = group_norm.GroupNorm(2)
  params = {'params': {'scale': jnp.ones(6), 'bias': jnp.arange(6.0)}}
  found = norm.apply(params, jnp.full((1, 4, 4, 6), 7.0))
  np.testing.assert_allclose(found[0, 0, 0], jnp.arange(6.0), atol=1e-2)


@pytest.mark.parametrize(
  ('platform', 'groups', 'products'),
  [('cpu', 4, 2), ('cpu', 1, 0), ('tpu', 4, 0)],
)
def test_a_cpu_spreads_moments_of_groups_by_products(
  platform, groups, products
):
  """Of the first mean, and of both moments about it at once."""
  norm = group_norm.GroupNorm(groups)
  params = {'params': {'scale': jnp.ones(12), 'bias': jnp.zeros(12)}}
  traced = jax.jit(norm.apply).trace(params, _normal(0, (2, 4, 6, 12)))
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  assert lowered.count('stablehlo.dot_general') == products


@pytest.mark.parametrize(('platform', 'calls'), [('cpu', 1), ('tpu', 0)])
def test_a_cpu_keeps_apart_what_pixels_are_multiplied_by(platform, calls):
  """And what is added to them."""
  norm = group_norm.GroupNorm(1)
  params = {'scale': jnp.ones(8), 'bias': jnp.zeros(8)}
  x = _normal(0, (2, 4, 6, 8))
  traced = jax.jit(norm.apply).trace({'params': params}, x)
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  assert lowered.count(test_fusion.CALL) == calls


def test_pixels_and_channels_of_one_group_are_summed_at_once():
  """The first mean, and both moments about it."""
  params = {'params': {'scale': jnp.ones(6), 'bias': jnp.zeros(6)}}
  x = _normal(0, (2, 8, 4, 6))
  lowered = jax.jit(group_norm.GroupNorm(1).apply).lower(params, x).as_text()
  sums = [line for line in lowered.splitlines() if 'stablehlo.reduce(' in line]
  assert len(sums) == 3
  assert all('dimensions = [1, 2, 3]' in line for line in sums)


def _plain(x, groups, scale, bias):
  """The formula, for JAX to differentiate."""
  grouped = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
  mean = grouped.mean((1, 3), keepdims=True)
  var = jnp.square(grouped - mean).mean((1, 3), keepdims=True)
  normed = (grouped - mean) / jnp.sqrt(var + 1e-5)
  return normed.reshape(x.shape) * scale + bias


def _assert_same_gradients(found, expected, values):
  """Of the sum of what comes out, at random weights."""
  weight = _normal(9, values[0].shape)

  def gradients(function):
    loss = lambda *values: (function(*values) * weight).sum()
    return jax.grad(loss, range(len(values)))(*values)

  for one, other in zip(gradients(found), gradients(expected), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def _apply(norm, x, scale, bias, *rest):
  return norm.apply({'params': {'scale': scale, 'bias': bias}}, x, *rest)


@pytest.mark.parametrize('offset', [0, 30])
@pytest.mark.parametrize('groups', [1, 4])
@pytest.mark.parametrize('shape', [(2, 16, 6, 12), (3, 5, 12)])
def test_the_gradients_are_the_formulas(shape, groups, offset):
  values = offset + 2 * _normal(0, shape), _normal(1, (12,)), _normal(2, (12,))
  _assert_same_gradients(
    lambda *values: _apply(group_norm.GroupNorm(groups), *values),
    lambda x, *rest: _plain(x, groups, *rest),
    values,
  )


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('name', embeddings.ACTIVATIONS)
def test_so_they_are_with_what_follows_a_norm(name, batch):
  act = embeddings.ACTIVATIONS[name]
  norm = group_norm.GroupNorm(4, act=act)
  of_pixels = _normal(3, (batch, 1, 1, 12)), _normal(4, (batch, 1, 1, 12))
  x = 2 + _normal(0, (batch, 16, 6, 12))
  values = x, _normal(1, (12,)), _normal(2, (12,)), *of_pixels

  def found(x, gain, bias, scale, shift):
    return _apply(norm, x, gain, bias, (scale, shift))

  def expected(x, gain, bias, scale, shift):
    return act(_plain(x, 4, gain, bias) * (1 + scale) + shift)

  np.testing.assert_allclose(found(*values), expected(*values), atol=2e-5)
  _assert_same_gradients(found, expected, values)


def test_in_bfloat16_moments_and_what_follows_are_of_float32():
  film = _normal(3, (2, 1, 1, 12)), _normal(4, (2, 1, 1, 12))
  x = (30 + _normal(0, (2, 16, 6, 12))).astype(jnp.bfloat16)
  params = {'params': {'scale': _normal(1, (12,)), 'bias': _normal(2, (12,))}}
  found, expected = (
    group_norm.GroupNorm(4, dtype=dtype, act=embeddings.gelu).apply(
      params, x, film
    )
    for dtype in (jnp.bfloat16, jnp.float32)
  )
  assert found.dtype == jnp.bfloat16
  assert (found == expected.astype(jnp.bfloat16)).all()


def test_a_gradient_makes_again_what_is_normalised():
  """Of eight norms it keeps what they are given, and few arrays more."""
  count, x, kernel = 8, _normal(0, (2, 64, 64, 16)), _normal(1, (16, 16))
  norm = group_norm.GroupNorm(1, act=embeddings.ACTIVATIONS['silu'])
  ones, zeros = jnp.ones(16), jnp.zeros(16)

  def loss(x):
    for _ in range(count):
      x = _apply(norm, x @ kernel, ones, zeros)
    return x.sum()

  compiled = jax.jit(jax.grad(loss)).lower(x).compile()
  kept = compiled.memory_analysis().temp_size_in_bytes / x.nbytes
  assert kept < count + 2, kept


def test_what_the_first_rows_show_is_no_danger():
  """Every eighth row is far from the rest, about as far as it can be."""
  x = _normal(0, (1, 64, 8, 12)) + 1000
  x = x.at[:, ::8].add(-1000)
  ones, zeros = np.ones(12), np.zeros(12)
  found = group_norm.GroupNorm(4).apply(
    {'params': {'scale': jnp.ones(12), 'bias': jnp.zeros(12)}}, x
  )
  expected = _group_norm_float64(x, 4, ones, zeros)
  assert np.abs(found - expected).max() <= 1e-5
