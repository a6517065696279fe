"""FLOPs of programs, against counts that are written out by hand."""

import jax
import jax.numpy as jnp
import pytest

from dbflax.models import unet as unet_lib
from dbflax.plan import flops


def _floats(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _count(f, *args):
  return flops.count(jax.make_jaxpr(f)(*args))


def test_a_matrix_product():
  assert _count(jnp.matmul, _floats(3, 5), _floats(5, 7)) == 2 * 3 * 5 * 7
  batched = lambda a, b: jnp.einsum('bqhd,bkhd->bhqk', a, b)
  args = _floats(2, 3, 4, 8), _floats(2, 5, 4, 8)
  assert _count(batched, *args) == 2 * 2 * 4 * 3 * 5 * 8


def _convolve(x, kernel, stride=1, groups=1):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    ((1, 1), (1, 1)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
  )


@pytest.mark.parametrize(('stride', 'groups'), [(1, 1), (2, 1), (1, 4)])
def test_a_convolution_and_its_gradients(stride, groups):
  """Either gradient of a convolution costs what the convolution does."""
  x, kernel = _floats(2, 16, 16, 4), _floats(3, 3, 4 // groups, 12)
  side = 16 // stride
  once = 2 * (2 * side * side * 12) * (3 * 3 * 4 // groups)
  run = lambda x, k: _convolve(x, k, stride, groups)
  assert _count(run, x, kernel) == once
  both = jax.grad(lambda x, k: run(x, k).sum(), (0, 1))
  # The forward pass is in it too, although nothing reads its values.
  assert _count(both, x, kernel) == 3 * once


def test_a_scan_counts_every_turn_and_remat_what_it_repeats():
  def run(x, w):
    return jax.lax.scan(lambda c, _: (c @ w, None), x, length=10)[0]

  x, w = _floats(4, 8), _floats(8, 8)
  once = 2 * 4 * 8 * 8
  assert _count(run, x, w) == 10 * once
  assert _count(jax.jit(run), x, w) == 10 * once
  # Two layers, so that there is something to compute again.
  deep = lambda x, w: (jnp.sin(x @ w) @ w).sum()
  kept = _count(jax.grad(deep, (0, 1)), x, w)
  again = _count(jax.grad(jax.checkpoint(deep), (0, 1)), x, w)
  assert kept == 2 * once + 4 * once
  assert again - kept in (once, 2 * once)


def test_the_dearer_branch_counts_and_an_endless_loop_is_refused():
  x = _floats(4, 4)
  branch = lambda x: jax.lax.cond(x[0, 0] > 0, lambda y: y @ y, lambda y: y, x)
  assert _count(branch, x) == 2 * 4**3
  loop = lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x)
  with pytest.raises(ValueError, match='use lax.scan'):
    _count(loop, x)


# --- A U-Net, by hand ---------------------------------------------------------


def _resnet(config, rows, c_in, c_out):
  """`rows` pixels on a side, of the output."""
  temb = config['time_embedding_dim'] or 4 * config['block_out_channels'][0]
  shortcut = 2 * rows**2 * c_in * c_out if c_in != c_out else 0
  convs = 2 * rows**2 * 9 * (c_in * c_out + c_out * c_out)
  return convs + shortcut + 2 * temb * 2 * c_out


def _attention(config, rows, c, tokens):
  pixels, text = rows**2, config['cross_attention_dim']
  projections = 4 * 2 * pixels * c * c + 2 * 2 * tokens * text * c
  return projections + 2 * 2 * pixels * (tokens + pixels) * c


def _text(config, tokens):
  """Projected tokens, and their pooling into the time embedding."""
  d, c0 = config['encoder_hid_dim'], config['block_out_channels'][0]
  temb = config['time_embedding_dim'] or 4 * c0
  pooling = 2 * d * d * (1 + 2 * (tokens + 1)) + 2 * 2 * (tokens + 1) * d
  time = (2 if config['class_embed_type'] else 1) * 2 * (c0 + temb) * temb
  project = 2 * tokens * d * config['cross_attention_dim']
  return pooling + 2 * d * temb + time + project


def _levels(config):
  """(channels, layers, attends) from the top down."""
  widths = config['block_out_channels']
  layers = config['layers_per_block']
  layers = [layers] * len(widths) if isinstance(layers, int) else layers
  attends = ['CrossAttn' in kind for kind in config['down_block_types']]
  return list(zip(widths, layers, attends, strict=True))


def by_hand(config, tokens):
  """FLOPs of one image's forward pass, read off config.json."""
  rows, levels = config['sample_size'], _levels(config)
  c = levels[0][0]
  total = _text(config, tokens)
  total += 2 * rows**2 * 9 * c * (config['in_channels'] + 6)
  skips = [c]
  for n, (width, layers, attends) in enumerate(levels):
    for _ in range(layers):
      total += _resnet(config, rows, c, width)
      total += attends * _attention(config, rows, width, tokens)
      c = width
      skips.append(c)
    if n < len(levels) - 1:
      rows //= 2
      total += _resnet(config, rows, c, c)
      skips.append(c)
  total += 2 * _resnet(config, rows, c, c) + _attention(config, rows, c, tokens)
  for n, (width, layers, attends) in enumerate(reversed(levels)):
    for _ in range(layers + 1):
      total += _resnet(config, rows, c + skips.pop(), width)
      total += attends * _attention(config, rows, width, tokens)
      c = width
    if n < len(levels) - 1:
      rows *= 2
      total += _resnet(config, rows, c, c)
  assert not skips
  return total


@pytest.mark.parametrize('name', ['IF-I-M', 'IF-II-L'])
def test_a_published_unet_agrees_with_the_count_by_hand(name, deepfloyd):
  config, tokens = deepfloyd[name]['config'], 77
  unet = unet_lib.from_config(config, dtype='bfloat16')
  side = config['sample_size']
  args = (
    _floats(2, side, side, config['in_channels']),
    _floats(2),
    _floats(2, tokens, config['encoder_hid_dim']),
    _floats(2),
  )
  params = jax.eval_shape(unet.init, jax.random.key(0), *args)
  found = _count(unet.apply, params, *args)
  assert found == pytest.approx(2 * by_hand(config, tokens), rel=0.001)


def test_a_gradient_costs_twice_the_forward_pass_more(tiny):
  unet = tiny.stages['stage_1'].unet
  side = unet.sample_size
  args = (
    _floats(2, side, side, 3),
    _floats(2),
    _floats(2, 5, unet.encoder_hid_dim),
    _floats(2),
  )
  params = jax.eval_shape(unet.init, jax.random.key(0), *args)
  forward = _count(unet.apply, params, *args)
  loss = lambda p, *args: unet.apply(p, *args).sum()
  backward = _count(jax.grad(loss), params, *args)
  assert backward == pytest.approx(3 * forward, rel=0.05)
