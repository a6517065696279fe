"""The T5 v1.1 encoder: token ids to text states, in Flax.

    h_0     = E[ids]
    h      += o . softmax(q k^T + bias(j - i) + mask) v     q, k, v of rms(h)
    h      += wo (gelu(wi_0 n) * wi_1 n)                    n = rms(h)
    states  = rms(h_last)

What differs from most transformers: attention scores are not divided by
sqrt(d_kv) (the initial scale of q holds that factor); no layer has a bias;
positions enter only through a learned score per head and bucket of relative
distance, owned by the first layer and used by all (T5, arXiv 1910.10683,
section 2.1). The normalization is root mean square, computed in float32.

Parameter paths are the torch names of the public weights with `.N` written as
`_N`: `encoder/block_0/layer_0/SelfAttention/q/kernel`. There is no dropout:
the text encoder stays frozen. Ids from `vocab_size` on are those of vectors
that are not in the table E (Textual Inversion).
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax import errors

# Keys of a Hugging Face T5Config that change the encoder: the meaning of an
# absent key, and the values that this module computes.
_HONOURED = {
  'model_type': ('t5', ('t5', 'mt5')),
  'feed_forward_proj': ('relu', ('gated-gelu',)),
  'dense_act_fn': ('gelu_new', ('gelu_new',)),
  'is_gated_act': (True, (True,)),
  'is_decoder': (False, (False,)),
  'quantization_config': (None, (None,)),
}
_SIZES = ('vocab_size', 'd_model', 'd_kv', 'd_ff', 'num_layers', 'num_heads')
_OPTIONAL = (
  'relative_attention_num_buckets',
  'relative_attention_max_distance',
  'layer_norm_epsilon',
)


def relative_position_bucket(
  relative_position: Int[np.ndarray, '...'],
  num_buckets: int,
  max_distance: int,
) -> Int[np.ndarray, '...']:
  """The bucket of each `key position - query position`, in both directions.

  Half of the buckets serve each sign. Of a half, the first half holds one
  distance each; the rest grow with the logarithm of the distance, and all
  distances from `max_distance` on share the last.
  """
  half = num_buckets // 2
  exact = half // 2
  distance = np.abs(relative_position)
  # float32 throughout, as the public weights were trained: it decides where
  # the distances on a boundary (16, 32, 64 of T5) fall.
  log_ratio = np.log(np.maximum(distance, 1).astype(np.float32) / exact)
  scale = np.float32(math.log(max_distance / exact))
  far = exact + (log_ratio / scale * (half - exact)).astype(np.int32)
  bucket = np.where(distance < exact, distance, np.minimum(far, half - 1))
  return (bucket + half * (relative_position > 0)).astype(np.int32)


def _normal(fan: int):
  return nn.initializers.normal(fan**-0.5)


def _dense(dtype, name: str, features: int, fan: int) -> nn.Dense:
  return nn.Dense(
    features, use_bias=False, dtype=dtype, kernel_init=_normal(fan), name=name
  )


class RMSNorm(nn.Module):
  """x / sqrt(mean(x^2) + epsilon) * scale over the last axis, in float32."""

  epsilon: float
  dtype: Any

  @nn.compact
  def __call__(self, x: Float[Array, 'B L D']) -> Float[Array, 'B L D']:
    scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
    x = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    normed = x * jax.lax.rsqrt(mean_square + self.epsilon)
    return (normed * scale.astype(jnp.float32)).astype(self.dtype)


class SelfAttention(nn.Module):
  """Multi-head attention with additive scores and no scaling."""

  num_heads: int
  d_kv: int
  num_buckets: int
  max_distance: int
  has_relative_bias: bool
  dtype: Any

  @nn.compact
  def __call__(self, x_BxLxD, mask_BxL, bias_HxLxL):
    """Returns (output [B, L, D], the position bias [H, L, L] it used)."""
    length, d_model = x_BxLxD.shape[1:]
    inner = self.num_heads * self.d_kv
    dense = functools.partial(_dense, self.dtype)
    heads = lambda y: y.reshape(*y.shape[:2], self.num_heads, self.d_kv)
    q = heads(dense('q', inner, d_model * self.d_kv)(x_BxLxD))
    k = heads(dense('k', inner, d_model)(x_BxLxD))
    v = heads(dense('v', inner, d_model)(x_BxLxD))
    if self.has_relative_bias:
      bias_HxLxL = self._relative_bias(length, d_model)
    scores = jnp.einsum(
      'bqhd,bkhd->bhqk', q, k, preferred_element_type=jnp.float32
    )
    scores = scores + bias_HxLxL[None]
    scores = jnp.where(
      mask_BxL[:, None, None, :] > 0, scores, jnp.finfo(jnp.float32).min
    )
    weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
    mixed = jnp.einsum('bhqk,bkhd->bqhd', weights, v)
    mixed = mixed.reshape(*mixed.shape[:2], inner)
    return dense('o', d_model, inner)(mixed), bias_HxLxL

  def _relative_bias(self, length: int, d_model: int):
    table = nn.Embed(
      self.num_buckets,
      self.num_heads,
      embedding_init=_normal(d_model),
      name='relative_attention_bias',
    )
    position = np.arange(length)
    buckets = relative_position_bucket(
      position[None, :] - position[:, None],
      self.num_buckets,
      self.max_distance,
    )
    return table(buckets).astype(jnp.float32).transpose(2, 0, 1)


class DenseReluDense(nn.Module):
  """The gated feed-forward of v1.1 (the name is that of the weights)."""

  d_ff: int
  dtype: Any

  @nn.compact
  def __call__(self, x: Float[Array, 'B L D']) -> Float[Array, 'B L D']:
    d_model = x.shape[-1]
    dense = functools.partial(_dense, self.dtype)
    gate = nn.gelu(dense('wi_0', self.d_ff, d_model)(x), approximate=True)
    value = dense('wi_1', self.d_ff, d_model)(x)
    return dense('wo', d_model, self.d_ff)(gate * value)


class _AttentionLayer(nn.Module):
  attention: Mapping[str, Any]
  epsilon: float
  dtype: Any

  @nn.compact
  def __call__(self, x, mask, bias):
    normed = RMSNorm(self.epsilon, self.dtype, name='layer_norm')(x)
    attention = SelfAttention(
      **self.attention, dtype=self.dtype, name='SelfAttention'
    )
    out, bias = attention(normed, mask, bias)
    return x + out, bias


class _FeedForwardLayer(nn.Module):
  d_ff: int
  epsilon: float
  dtype: Any

  @nn.compact
  def __call__(self, x):
    normed = RMSNorm(self.epsilon, self.dtype, name='layer_norm')(x)
    return x + DenseReluDense(self.d_ff, self.dtype, name='DenseReluDense')(
      normed
    )


class _Block(nn.Module):
  attention: Mapping[str, Any]
  d_ff: int
  epsilon: float
  dtype: Any

  @nn.compact
  def __call__(self, x, mask, bias):
    x, bias = _AttentionLayer(
      self.attention, self.epsilon, self.dtype, name='layer_0'
    )(x, mask, bias)
    x = _FeedForwardLayer(self.d_ff, self.epsilon, self.dtype, name='layer_1')(
      x
    )
    return x, bias


class _Stack(nn.Module):
  attention: Mapping[str, Any]
  num_layers: int
  d_ff: int
  epsilon: float
  dtype: Any

  @nn.compact
  def __call__(self, x, mask):
    bias = None
    for n in range(self.num_layers):
      attention = dict(self.attention, has_relative_bias=n == 0)
      x, bias = _Block(
        attention, self.d_ff, self.epsilon, self.dtype, name=f'block_{n}'
      )(x, mask, bias)
    return RMSNorm(self.epsilon, self.dtype, name='final_layer_norm')(x)


class T5Encoder(nn.Module):
  """The encoder with its embedding table; sizes as T5Config names them.

  Attributes:
    dtype: of the computation. Attention scores and norms are float32 anyway.
  """

  vocab_size: int
  d_model: int
  d_kv: int
  d_ff: int
  num_layers: int
  num_heads: int
  relative_attention_num_buckets: int = 32
  relative_attention_max_distance: int = 128
  layer_norm_epsilon: float = 1e-6
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    ids: Int[Array, 'B L'],
    mask: Int[Array, 'B L'],
    vectors: Float[Array, 'V D'] | None = None,
  ) -> Float[Array, 'B L D']:
    """Text states of `ids`; positions with mask 0 are never attended to.

    Id `vocab_size + v` is row v of `vectors`; without them there is none.
    """
    shared = nn.Embed(
      self.vocab_size,
      self.d_model,
      dtype=self.dtype,
      embedding_init=nn.initializers.normal(1.0),
      name='shared',
    )
    attention = {
      'num_heads': self.num_heads,
      'd_kv': self.d_kv,
      'num_buckets': self.relative_attention_num_buckets,
      'max_distance': self.relative_attention_max_distance,
    }
    return _Stack(
      attention,
      self.num_layers,
      self.d_ff,
      self.layer_norm_epsilon,
      self.dtype,
      name='encoder',
    )(_rows(shared, ids, vectors), mask)


def _rows(shared: nn.Embed, ids, vectors) -> Float[Array, 'B L D']:
  """What the ids stand for: rows of the table, and behind it the vectors."""
  if vectors is None:
    return shared(ids)
  end = shared.num_embeddings
  # An index out of bounds would be NaN, in the branch not taken too.
  known = shared(jnp.minimum(ids, end - 1))
  learned = vectors.astype(known.dtype)[jnp.maximum(ids - end, 0)]
  return jnp.where((ids >= end)[..., None], learned, known)


def from_config(config: Mapping[str, Any], dtype=jnp.float32) -> T5Encoder:
  """The encoder that a Hugging Face `text_encoder/config.json` describes.

  Raises:
    UserError: a size is missing, or a setting asks for another network.
  """
  missing = [name for name in _SIZES if name not in config]
  if missing:
    raise errors.UserError(
      f'text_encoder/config.json lacks {", ".join(missing)}: take the '
      'config.json that came with the weights.'
    )
  for name, (absent, allowed) in _HONOURED.items():
    value = config.get(name, absent)
    if value not in allowed:
      raise errors.UserError(
        f'text_encoder/config.json says {name}={value!r}, but the T5 v1.1 '
        f'encoder here computes {name}={allowed[0]!r}: use T5 v1.1 weights.'
      )
  optional = {name: config[name] for name in _OPTIONAL if name in config}
  return T5Encoder(
    **{name: config[name] for name in _SIZES}, **optional, dtype=dtype
  )
