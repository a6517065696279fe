"""Truths of group normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.models import group_norm


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


def _plain(x, groups, scale, bias):
  """The formula, for JAX to differentiate."""
  grouped = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
  mean = grouped.mean((1, 3), keepdims=True)
  var = jnp.square(grouped - mean).mean((1, 3), keepdims=True)
  normed = (grouped - mean) / jnp.sqrt(var + 1e-5)
  return normed.reshape(x.shape) * scale + bias


@pytest.mark.parametrize('offset', [0, 30])
@pytest.mark.parametrize('groups', [1, 4])
@pytest.mark.parametrize('shape', [(2, 16, 6, 12), (3, 5, 12)])
def test_the_gradients_are_the_formulas(shape, groups, offset):
  values = offset + 2 * _normal(0, shape), _normal(1, (12,)), _normal(2, (12,))
  weight = _normal(3, shape)
  norm = group_norm.GroupNorm(groups)

  def found(x, scale, bias):
    params = {'params': {'scale': scale, 'bias': bias}}
    return (norm.apply(params, x) * weight).sum()

  def expected(x, scale, bias):
    return (_plain(x, groups, scale, bias) * weight).sum()

  gradients = [jax.grad(f, (0, 1, 2))(*values) for f in (found, expected)]
  for ours, formulas in zip(*gradients, strict=True):
    np.testing.assert_allclose(ours, formulas, rtol=1e-4, atol=1e-4)


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
