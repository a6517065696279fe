"""Convolutions against XLA's own, gradients included."""

import jax
import jax.numpy as jnp
import pytest

from dbflax.models import convolution
from dbflax.plan import flops


def plain(x, kernel):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (1, 1),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def example(shape, channels=7, dtype=jnp.float32):
  one, two = jax.random.split(jax.random.key(0))
  kernel = jax.random.normal(two, (3, 3, shape[-1], channels), dtype)
  return jax.random.normal(one, shape, dtype), kernel


def gradients(function, x, kernel):
  """Of a loss that is not linear in the result, so that each pixel counts."""
  loss = lambda x, kernel: jnp.sin(function(x, kernel)).sum()
  return jax.jit(jax.grad(loss, argnums=(0, 1)))(x, kernel)


@pytest.mark.parametrize(
  'shape',
  [
    *[(2, 64, 48, 5), (1, 128, 32, 1), (2, 5, 6, 3), (5, 1, 1, 4)],
    # Rows in blocks that do not divide them, with fewer channels in and out.
    *[(2, 67, 64, 5), (2, 67, 64, 20)],
  ],
)
def test_results_and_gradients_are_those_of_xla(shape):
  x, kernel = example(shape)
  out, expected = convolution.conv3x3(x, kernel), plain(x, kernel)
  assert jnp.abs(out - expected).max() < 1e-5 * jnp.abs(expected).max()
  ours = gradients(convolution.conv3x3, x, kernel)
  for mine, theirs in zip(ours, gradients(plain, x, kernel), strict=True):
    error = jnp.abs(mine - theirs).max() / jnp.abs(theirs).max()
    assert error < 1e-5


@pytest.mark.parametrize(
  ('platform', 'shape', 'channels', 'dtype', 'together'),
  [
    ('cpu', (1, 64, 64, 4), 7, jnp.float32, 4),
    ('cpu', (1, 64, 64, 16), 3, jnp.float32, 4),
    ('cpu', (1, 64, 64, 3), 16, jnp.float32, 2),
    ('cpu', (1, 64, 64, 4), 7, jnp.bfloat16, 1),
    ('tpu', (1, 64, 64, 4), 7, jnp.float32, 1),
    ('cpu', (1, 32, 32, 4), 7, jnp.float32, 1),
    ('cpu', (1, 128, 63, 4), 7, jnp.float32, 1),
    ('cpu', (1, 64, 64, 16), 16, jnp.float32, 2),
    ('cpu', (1, 64, 64, 16), 17, jnp.float32, 1),
    ('cpu', (1, 64, 64, 17), 3, jnp.float32, 1),
  ],
)
def test_few_channels_are_taken_together_on_cpus(
  platform, shape, channels, dtype, together
):
  x, kernel = example(shape, channels, dtype)
  traced = jax.jit(convolution.conv3x3).trace(x, kernel)
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  b, h, w, _ = shape
  kind = 'f32' if dtype == jnp.float32 else 'bf16'
  wide = f'{b}x{h}x{w // together}x{channels * together}x{kind}>'
  [line] = [z for z in lowered.splitlines() if 'stablehlo.convolution' in z]
  assert line.endswith(f'-> tensor<{wide}')
  # What goes in is as it was: XLA would make it in another shape slowly.
  assert f': (tensor<{b}x{h}x{w}x{shape[-1]}x{kind}>,' in line
  if (platform, together) == ('cpu', 1):
    assert jnp.array_equal(convolution.conv3x3(x, kernel), plain(x, kernel))


def plain_up(x, kernel):
  return plain(x.repeat(2, axis=1).repeat(2, axis=2), kernel)


@pytest.mark.parametrize(
  'shape', [(2, 32, 24, 5), (1, 17, 31, 1), (2, 5, 6, 3), (5, 1, 1, 4)]
)
def test_of_enlarged_pictures_they_are_those_of_xla(shape):
  x, kernel = example(shape)
  out, expected = convolution.conv3x3_up(x, kernel), plain_up(x, kernel)
  assert jnp.abs(out - expected).max() < 1e-5 * jnp.abs(expected).max()
  ours = gradients(convolution.conv3x3_up, x, kernel)
  for mine, theirs in zip(ours, gradients(plain_up, x, kernel), strict=True):
    error = jnp.abs(mine - theirs).max() / jnp.abs(theirs).max()
    assert error < 1e-5


@pytest.mark.parametrize(
  ('platform', 'shape', 'dtype', 'summed'),
  [
    ('cpu', (2, 16, 16, 4), jnp.float32, True),
    ('cpu', (2, 8, 8, 4), jnp.float32, False),
    ('cpu', (2, 16, 16, 4), jnp.bfloat16, False),
    ('tpu', (2, 16, 16, 4), jnp.float32, False),
  ],
)
def test_taps_are_summed_for_many_pixels_on_cpus(
  platform, shape, dtype, summed
):
  args = example(shape, dtype=dtype)
  traced = jax.jit(convolution.conv3x3_up).trace(*args)
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  b, h, w, _ = shape
  kind = 'f32' if dtype == jnp.float32 else 'bf16'
  one_window_more = f'-> tensor<{b}x{h + 1}x{w + 1}x28x{kind}>'
  assert (one_window_more in lowered) == summed
  assert lowered.count('stablehlo.convolution') == 1


def test_other_types_are_left_to_xla():
  x, kernel = example((1, 64, 64, 4), dtype=jnp.bfloat16)
  ours = gradients(convolution.conv3x3, x, kernel)
  for mine, theirs in zip(ours, gradients(plain, x, kernel), strict=True):
    assert jnp.array_equal(mine, theirs) and mine.dtype == jnp.bfloat16


def of_kernel(x, kernel):
  return jax.grad(lambda k: jnp.sin(convolution.conv3x3(x, k)).sum())(kernel)


@pytest.mark.parametrize(('platform', 'products'), [('cpu', 1), ('tpu', 0)])
def test_products_are_for_cpus_alone(platform, products):
  traced = jax.jit(of_kernel).trace(*example((1, 64, 64, 17)))
  lowered = traced.lower(lowering_platforms=(platform,)).as_text()
  assert lowered.count('stablehlo.dot_general') == products
  assert lowered.count('stablehlo.convolution') == 2 - products


def test_few_pixels_are_left_to_xla():
  traced = jax.jit(of_kernel).trace(*example((1, 32, 32, 4)))
  lowered = traced.lower(lowering_platforms=('cpu',)).as_text()
  assert 'stablehlo.dot_general' not in lowered


@pytest.mark.parametrize('learned', [(0,), (1,), (0, 1)])
@pytest.mark.parametrize(
  ('ours', 'theirs'),
  [(convolution.conv3x3, plain), (convolution.conv3x3_up, plain_up)],
)
@pytest.mark.parametrize('channels', [4, 48])
def test_the_plan_counts_what_a_tpu_runs(ours, theirs, learned, channels):
  """And nothing for the gradient of what is frozen."""
  args = example((1, 64, 64, channels), channels=channels + 3)

  def count(function):
    loss = lambda x, kernel: jnp.sin(function(x, kernel)).sum()
    return flops.count(jax.make_jaxpr(jax.grad(loss, learned))(*args))

  assert count(ours) == count(theirs)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('pixels', [(4, 3), (12,)])
def test_products_of_channels_and_their_gradients_are_those_of_jax(
  pixels, dtype
):
  """For images and token sequences."""
  x, kernel = example((2, *pixels, 5), dtype=dtype)
  kernel = kernel[0, 0]
  assert jnp.array_equal(convolution.conv1x1(x, kernel), x @ kernel)
  ours = gradients(convolution.conv1x1, x, kernel)
  for mine, theirs in zip(ours, gradients(jnp.matmul, x, kernel), strict=True):
    assert mine.dtype == dtype
    error = jnp.abs(mine - theirs).max() / jnp.abs(theirs).max()
    assert error < (1e-5 if dtype == jnp.float32 else 1e-2)


@pytest.mark.parametrize(
  ('product', 'turned'), [(convolution.conv1x1, False), (jnp.matmul, True)]
)
def test_the_gradient_of_a_product_is_not_turned(product, turned):
  """Nothing has its 7 channels first, as the transpose of dYᵀ X has."""
  x, kernel = example((2, 4, 3, 5))
  loss = lambda kernel: jnp.sin(product(x, kernel)).sum()
  lowered = jax.jit(jax.grad(loss)).lower(kernel[0, 0]).as_text()
  assert ('tensor<7x' in lowered) == turned
