"""Attention against its formula, gradients included."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import test_util

from dbflax.models import attention
from dbflax.plan import flops


def plain(q, k, v):
  """As it is written: softmax(q kᵀ / √D) v."""
  logits = jnp.einsum('bqhd,bkhd->bhqk', q, k) * q.shape[-1] ** -0.5
  weights = jax.nn.softmax(logits.astype(jnp.float32)).astype(q.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', weights, v)


def example(scale=1.0, dtype=jnp.float32):
  """q and k of this scale, and v: two pictures, three heads, five channels."""
  draws = jax.random.split(jax.random.key(0), 3)
  q, k, v = (
    jax.random.normal(draw, (2, count, 3, 5), dtype)
    for draw, count in zip(draws, (6, 9, 9), strict=True)
  )
  return scale * q, scale * k, v


def gradients(function, *arrays):
  """Of a loss that is not linear in the result, so that each value counts."""
  loss = lambda *arrays: jnp.sin(function(*arrays)).sum()
  return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*arrays)


@pytest.mark.parametrize('scale', [0.1, 1.0, 1e4])
def test_results_and_gradients_are_those_of_the_formula(scale):
  """Also where one key has all the weight, and exponentials would overflow."""
  arrays = example(scale=scale)
  pairs = [(attention.attend(*arrays), plain(*arrays))]
  ours = gradients(attention.attend, *arrays)
  pairs += zip(ours, gradients(plain, *arrays), strict=True)
  for mine, theirs in pairs:
    # Rounding of weights, times q or k.
    np.testing.assert_allclose(mine, theirs, atol=1e-6 * max(scale, 1))


def test_gradients_are_those_of_differences():
  loss = lambda *arrays: jnp.sin(attention.attend(*arrays)).sum()
  test_util.check_grads(loss, example(), order=1, modes=('rev',))


def test_other_types_are_left_to_jax():
  arrays = example(dtype=jnp.bfloat16)
  assert jnp.array_equal(attention.attend(*arrays), plain(*arrays))
  ours = gradients(attention.attend, *arrays)
  for mine, theirs in zip(ours, gradients(plain, *arrays), strict=True):
    assert jnp.array_equal(mine, theirs) and mine.dtype == jnp.bfloat16


@pytest.mark.parametrize(('platform', 'divisions'), [('cpu', 0), ('tpu', 1)])
def test_only_cpus_divide_late(platform, divisions):
  """What has one number for each query and key is divided, or is not."""
  lower = jax.jit(attention.attend).trace(*example()).lower
  lowered = lower(lowering_platforms=(platform,)).as_text()
  large = [
    line
    for line in lowered.splitlines()
    if 'stablehlo.divide' in line and '2x3x6x9' in line
  ]
  assert len(large) == divisions


def test_weights_are_never_turned():
  """Products take them as they lie, keys last, or as the second factor."""
  lowered = jax.jit(functools.partial(gradients, attention.attend))
  lines = lowered.lower(*example()).as_text().splitlines()
  first = [
    line
    for line in lines
    if 'stablehlo.dot_general' in line and ': (tensor<2x3x6x9xf32>' in line
  ]
  assert len(first) == 2  # of the result, and of the gradient of q
  assert all('contracting_dims = [3] x' in line for line in first)


def test_the_plan_counts_what_the_formula_takes():
  count = lambda function: flops.count(
    jax.make_jaxpr(functools.partial(gradients, function))(*example())
  )
  assert count(attention.attend) == count(plain)
