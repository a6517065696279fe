"""The blocks of Imagen's and DeepFloyd IF's U-Nets.

Names are those of diffusers. Shapes: B batch, H × W pixels, C channels,
E time embedding, L text tokens, T channels of the projected text.
Conventions that differ from Flax's defaults are torch's: norm epsilon 1e-5,
3×3 convolutions padded by one on every side.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax.models import attention, convolution, embeddings, group_norm

Image = Float[Array, 'B H W C']


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
    norm = lambda name: group_norm.GroupNorm(
      self.num_groups, self.epsilon, self.dtype, act, name=name
    )
    h = norm('norm1')(x)
    up = self.resample == 'up'  # which `conv1` does itself
    h = h if up else RESAMPLE[self.resample](h)
    h = conv3x3(self.channels, 'conv1', self.dtype, up=up)(h)
    x = RESAMPLE[self.resample](x)
    temb = temb if self.skip_time_act else act(temb)
    dense = nn.Dense(2 * self.channels, dtype=self.dtype, name='time_emb_proj')
    film = jnp.split(dense(temb)[:, None, None, :], 2, axis=-1)
    h = norm('norm2')(h, film)
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
    norm = lambda groups, name: group_norm.GroupNorm(
      groups, dtype=self.dtype, name=name
    )
    text = norm(self.text_norm_groups, 'norm_cross')(text)
    y = norm(self.num_groups, 'group_norm')(pixels)
    q = split(dense('to_q', y))
    k, v = split(dense('add_k_proj', text)), split(dense('add_v_proj', text))
    if not self.only_text:
      k = jnp.concatenate([k, split(dense('to_k', y))], axis=1)
      v = jnp.concatenate([v, split(dense('to_v', y))], axis=1)
    y = attention.attend(q, k, v).reshape(b, h * w, c)
    return (pixels + dense('to_out_0', y)).reshape(b, h, w, c)
