"""What the U-Net is told besides the image: time, noise level and text.

Module and parameter names are those of diffusers' `UNet2DConditionModel`, so
that a weight's path is its torch name. Shapes: B batch, L text length,
D channels of the text, E channels of the time embedding, H heads.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def gelu(x):
  """x Φ(x), by the error function in float32, as torch has it.

  `nn.gelu` takes erfc, with which a CPU needs 2.7 times as long.
  """
  y = x.astype(jnp.float32)
  return (0.5 * y * (1 + jax.lax.erf(y * 0.5**0.5))).astype(x.dtype)


ACTIVATIONS = {
  'gelu': gelu,
  'silu': nn.silu,
  'swish': nn.silu,
  'relu': nn.relu,
  'mish': lambda x: x * jnp.tanh(nn.softplus(x)),
}


def sinusoid(t: Float[Array, ' B'], dim: int) -> Float[Array, 'B dim']:
  """[cos, sin](t · 10000^(-i/half)), half = dim // 2.

  `t` may be fractional: that is what makes a continuous noise level legal.
  """
  half = dim // 2
  freqs = jnp.exp(
    -math.log(10_000) * jnp.arange(half, dtype=jnp.float32) / half
  )
  angle = t.astype(jnp.float32)[:, None] * freqs[None, :]
  emb = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
  return jnp.pad(emb, ((0, 0), (0, dim - 2 * half)))


class TimestepEmbedding(nn.Module):
  """linear – act – linear over a sinusoid: [B, dim] → [B, E]."""

  channels: int
  act_fn: str
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, emb):
    emb = nn.Dense(self.channels, dtype=self.dtype, name='linear_1')(emb)
    emb = ACTIVATIONS[self.act_fn](emb)
    return nn.Dense(self.channels, dtype=self.dtype, name='linear_2')(emb)


class AttentionPooling(nn.Module):
  """One query, the mean token plus a learned vector, reads all the tokens."""

  num_heads: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'B L D']) -> Float[Array, 'B D']:
    dim = x.shape[-1]
    position = self.param(
      'positional_embedding', nn.initializers.normal(dim**-0.5), (1, dim)
    )
    query = x.mean(axis=1, keepdims=True) + position.astype(x.dtype)
    x = jnp.concatenate([query, x], axis=1)
    dense = lambda name, y: nn.Dense(dim, dtype=self.dtype, name=name)(y)
    split = lambda y: y.reshape(*y.shape[:2], self.num_heads, -1)
    q = split(dense('q_proj', query))
    k, v = split(dense('k_proj', x)), split(dense('v_proj', x))
    scale = (dim // self.num_heads) ** -0.5
    logits = jnp.einsum('bqhd,bkhd->bhqk', q, k) * scale
    weights = jax.nn.softmax(logits.astype(jnp.float32)).astype(x.dtype)
    return jnp.einsum('bhqk,bkhd->bqhd', weights, v).reshape(-1, dim)


class TextTimeEmbedding(nn.Module):
  """Text pooled into the time embedding: [B, L, D] → [B, E]."""

  channels: int
  num_heads: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, text):
    norm = lambda name: nn.LayerNorm(1e-5, dtype=self.dtype, name=name)
    text = norm('norm1')(text)
    pooled = AttentionPooling(self.num_heads, self.dtype, name='pool')(text)
    pooled = nn.Dense(self.channels, dtype=self.dtype, name='proj')(pooled)
    return norm('norm2')(pooled)
