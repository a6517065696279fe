"""Winograd's convolutions against plain ones, in float64 where it matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.models import convolution, winograd
from tests.models import test_convolution


def _example(shape, channels):
  """(x, kernel, the gradient of what comes out), of about unit size."""
  keys = jax.random.split(jax.random.key(0), 3)
  kernel = jax.random.normal(keys[1], (3, 3, shape[-1], channels))
  grad = jax.random.normal(keys[2], (*shape[:-1], channels))
  kernel /= (9 * shape[-1]) ** 0.5
  return jax.random.normal(keys[0], shape), kernel, grad


def _plain_float64(x, kernel):
  """In NumPy, tap by tap."""
  x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
  _, h, w, _ = x.shape
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  taps = [(i, j) for i in range(3) for j in range(3)]
  return sum(x[:, i : i + h, j : j + w] @ kernel[i, j] for i, j in taps)


@pytest.mark.parametrize('shape', [(2, 16, 24, 48), (1, 4, 8, 3), (3, 8, 4, 1)])
def test_a_convolution_is_the_plain_one(shape):
  x, kernel, _ = _example(shape, 5)
  found = winograd.conv3x3(x, kernel)
  np.testing.assert_allclose(found, _plain_float64(x, kernel), atol=2e-5)


def test_its_errors_are_few_times_those_of_a_plain_one():
  x, kernel, _ = _example((2, 32, 32, 64), 64)
  expected = _plain_float64(x, kernel)
  errors = [
    np.std(convolve(x, kernel) - expected)
    for convolve in (winograd.conv3x3, test_convolution.plain)
  ]
  assert errors[0] <= 4 * errors[1], errors


@pytest.mark.skipif(
  jax.default_backend() != 'cpu', reason='says what a CPU makes when'
)
def test_a_kernels_part_is_made_when_its_picture_is_there():
  """And not those of a whole network at once, before there is any."""
  x, kernel, _ = _example((2, 16, 16, 64), 64)

  def convolved(x, kernels):
    for kernel in kernels:
      x = jax.nn.silu(winograd.conv3x3(x, kernel))
    return x

  program = jax.jit(convolved).lower(x, [kernel] * 12).compile()
  part = 36 * 64 * 64 * 4  # bytes
  assert program.memory_analysis().temp_size_in_bytes < 4 * part


@pytest.mark.parametrize('shape', [(2, 16, 24, 48), (1, 4, 8, 3)])
def test_the_kernels_gradient_is_the_plain_ones(shape):
  x, kernel, grad = _example(shape, 5)
  _, pull = jax.vjp(lambda kernel: test_convolution.plain(x, kernel), kernel)
  [expected] = pull(grad)
  found = winograd.kernel_gradient(x, grad)
  assert jnp.abs(found - expected).max() <= 2e-5 * jnp.std(expected)


@pytest.mark.parametrize(
  ('platform', 'shape', 'channels', 'dtype', 'suits'),
  [
    ('cpu', (2, 16, 16, 48), 48, jnp.float32, True),
    ('cpu', (1, 16, 32, 32), 96, jnp.float32, True),
    ('tpu', (2, 16, 16, 48), 48, jnp.float32, False),
    ('cpu', (2, 16, 16, 48), 48, jnp.bfloat16, False),
    ('cpu', (1, 16, 16, 48), 48, jnp.float32, False),  # few pixels
    ('cpu', (2, 16, 16, 32), 64, jnp.float32, False),  # few channels
    ('cpu', (2, 16, 18, 48), 48, jnp.float32, False),  # no whole tiles
  ],
)
def test_a_cpu_convolves_many_channels_so(
  platform, shape, channels, dtype, suits
):
  """The convolution and both of its gradients."""
  x, kernel = test_convolution.example(shape, channels, dtype)

  def all_three(x, kernel):
    out, pull = jax.vjp(convolution.conv3x3, x, kernel)
    return out, pull(out)

  traced = jax.jit(all_three).trace(x, kernel)
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  convolutions = lowered.count('stablehlo.convolution')
  assert convolutions == (0 if suits else 3)


def test_gradients_are_those_of_the_plain_one():
  x, kernel = test_convolution.example((2, 16, 16, 48), 56)
  assert winograd.suits(x.shape[:3], (48, 56))
  ours = test_convolution.gradients(convolution.conv3x3, x, kernel / 20)
  theirs = test_convolution.gradients(test_convolution.plain, x, kernel / 20)
  for mine, other in zip(ours, theirs, strict=True):
    assert jnp.abs(mine - other).max() <= 2e-5 * jnp.abs(other).max()
