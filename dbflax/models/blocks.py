"""The blocks of Imagen's and DeepFloyd IF's U-Nets.

Names are those of diffusers. Shapes: B batch, H × W pixels, C channels,
E time embedding, L text tokens, T channels of the projected text.
Conventions that differ from Flax's defaults are torch's: norm epsilon 1e-5,
3×3 convolutions padded by one on every side.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax.models import attention, convolution, embeddings

Image = Float[Array, 'B H W C']


class GroupNorm(nn.Module):
  """Group normalisation over the last axis and all axes but the first.

  The sums run over the pixels first and over a group's channels after: a
  plain reduction over [pixels, channels in group] is 8× slower on CPU.
  Moments are taken about the mean of a first pass: E[x²] − E[x]² alone would
  cancel where the mean is large beside the spread, and the mean itself is
  known only to the rounding of x.
  """

  num_groups: int
  epsilon: float = 1e-5
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    channels = x.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (channels,))
    bias = self.param('bias', nn.initializers.zeros, (channels,))
    pixels = tuple(range(1, x.ndim - 1))
    y = x.astype(jnp.float32)
    moment = lambda z: self._group_mean(z.mean(pixels, keepdims=True))
    # The result does not depend on this shift, so it needs no gradient.
    y = y - jax.lax.stop_gradient(moment(y))
    mean, square = moment(y), moment(jnp.square(y))
    # One multiply-add per pixel: y · gain + offset.
    var = jnp.maximum(square - jnp.square(mean), 0)
    gain = jax.lax.rsqrt(var + self.epsilon) * scale
    return (y * gain + (bias - mean * gain)).astype(self.dtype)

  def _group_mean(self, moment: Float[Array, 'B *ones C']):
    """Every channel's moment replaced by its group's mean."""
    size = moment.shape[-1] // self.num_groups
    groups = moment.reshape(*moment.shape[:-1], self.num_groups, size)
    repeat = functools.partial(jnp.repeat, repeats=size, axis=-1)
    if self.num_groups == 1:
      return repeat(groups.mean(-1))
    return jax.lax.platform_dependent(
      groups.mean(-1), cpu=functools.partial(_spread, size), default=repeat
    )


def _spread(size: int, groups: Float[Array, '*any G']):
  """Every group's value for each of its `size` channels, by a product.

  XLA's CPU backend repeats values where they are used: for every pixel and
  channel it looks up the group. A norm of 32 groups and a GELU, of 2 × 64 × 64
  pixels and 64 channels, take half the time where it does not.
  """
  count = groups.shape[-1]
  member = jnp.arange(count)[:, None] == jnp.arange(count * size) // size
  return groups @ member.astype(groups.dtype)


def conv3x3(
  channels: int, name: str, dtype, zero: bool = False, up: bool = False
) -> nn.Conv:
  """A 3×3 convolution, padded as torch pads it, `up`: of x enlarged twice."""
  init = nn.initializers.zeros if zero else nn.initializers.lecun_normal()
  convolve = convolution.conv3x3_up if up else convolution.conv3x3
  return nn.Conv(
    channels,
    (3, 3),
    padding=1,
    dtype=dtype,
    kernel_init=init,
    # Strides and padding, the other arguments, are those of every conv3x3.
    conv_general_dilated=lambda x, kernel, *_, **__: convolve(x, kernel),
    name=name,
  )


def conv1x1(channels: int, name: str, dtype) -> nn.Dense:
  """A product of each pixel's channels, or of each token's."""
  return nn.Dense(
    channels,
    dtype=dtype,
    dot_general=lambda x, kernel, *_, **__: convolution.conv1x1(x, kernel),
    name=name,
  )


def average_pool(x: Image) -> Float[Array, 'B H/2 W/2 C']:
  b, h, w, c = x.shape
  return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


RESAMPLE = {'': lambda x: x, 'down': average_pool, 'up': convolution.nearest_up}


class ResnetBlock(nn.Module):
  """GN – act – (resample) – conv – GN·(1+scale)+shift – act – conv."""

  channels: int
  num_groups: int
  epsilon: float
  act_fn: str
  out_scale_factor: float
  skip_time_act: bool
  resample: str = ''
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Image, temb: Float[Array, 'B E']):
    act = embeddings.ACTIVATIONS[self.act_fn]
    norm = lambda name: GroupNorm(
      self.num_groups, self.epsilon, self.dtype, name=name
    )
    h = act(norm('norm1')(x))
    up = self.resample == 'up'  # which `conv1` does itself
    h = h if up else RESAMPLE[self.resample](h)
    h = conv3x3(self.channels, 'conv1', self.dtype, up=up)(h)
    x = RESAMPLE[self.resample](x)
    temb = temb if self.skip_time_act else act(temb)
    film = nn.Dense(2 * self.channels, dtype=self.dtype, name='time_emb_proj')
    scale, shift = jnp.split(film(temb)[:, None, None, :], 2, axis=-1)
    h = act(norm('norm2')(h) * (1 + scale) + shift)
    # Zero at the start of pre-training: every block begins as identity.
    h = conv3x3(self.channels, 'conv2', self.dtype, zero=True)(h)
    if x.shape[-1] != self.channels:
      x = conv1x1(self.channels, 'conv_shortcut', self.dtype)(x)
    return (x + h) / self.out_scale_factor


class AddedKVAttention(nn.Module):
  """Self- and text attention in one: keys and values are [text; pixels]."""

  head_dim: int
  num_groups: int
  text_norm_groups: int = 32
  only_text: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Image, text: Float[Array, 'B L T']):
    b, h, w, c = x.shape
    dense = lambda name, y: conv1x1(c, name, self.dtype)(y)
    split = lambda y: y.reshape(b, -1, c // self.head_dim, self.head_dim)
    pixels = x.reshape(b, h * w, c)
    norm = lambda groups, name: GroupNorm(groups, dtype=self.dtype, name=name)
    text = norm(self.text_norm_groups, 'norm_cross')(text)
    y = norm(self.num_groups, 'group_norm')(pixels)
    q = split(dense('to_q', y))
    k, v = split(dense('add_k_proj', text)), split(dense('add_v_proj', text))
    if not self.only_text:
      k = jnp.concatenate([k, split(dense('to_k', y))], axis=1)
      v = jnp.concatenate([v, split(dense('to_v', y))], axis=1)
    y = attention.attend(q, k, v).reshape(b, h * w, c)
    return (pixels + dense('to_out_0', y)).reshape(b, h, w, c)
