"""Vision transformers and CLIP's text transformer, in Flax.

A picture is cut into patches; a learned class token goes before them, positions
are added, and pre-norm layers follow (Dosovitskiy et al., ICLR 2021):

    x += W_o attention(norm1 x)         x += fc2 act(fc1 norm2 x)

What stands for the picture is the class token after the last norm; DINO's is
used as it is, CLIP's after a projection. CLIP's text (Radford et al., ICML
2021) is the same with a causal mask, read off at the end of the text.

Module names are those of CLIP's published weights.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Tokens = Float[Array, 'B L D']
ACTIVATIONS = {
  'gelu': functools.partial(nn.gelu, approximate=False),
  'gelu_new': functools.partial(nn.gelu, approximate=True),
  'quick_gelu': lambda x: x * jax.nn.sigmoid(1.702 * x),
}


def _norm(epsilon: float, name: str) -> nn.LayerNorm:
  # The other way, E[x²] − E[x]², cancels; DINO's epsilon is 1e-12.
  return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


class _Attention(nn.Module):
  heads: int

  @nn.compact
  def __call__(self, x: Tokens, mask) -> Tokens:
    width = x.shape[-1]
    dense = lambda name: nn.Dense(width, name=name)
    split = lambda y: y.reshape(*y.shape[:2], self.heads, -1)
    q, k, v = (split(dense(f'{name}_proj')(x)) for name in 'qkv')
    logits = jnp.einsum('bqhd,bkhd->bhqk', q, k) * q.shape[-1] ** -0.5
    if mask is not None:
      logits = jnp.where(mask, logits, jnp.finfo(logits.dtype).min)
    weights = jax.nn.softmax(logits, axis=-1)
    mixed = jnp.einsum('bhqk,bkhd->bqhd', weights, v)
    return dense('out_proj')(mixed.reshape(x.shape))


class _Mlp(nn.Module):
  inner: int
  act: str

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    hidden = ACTIVATIONS[self.act](nn.Dense(self.inner, name='fc1')(x))
    return nn.Dense(x.shape[-1], name='fc2')(hidden)


class _Layer(nn.Module):
  heads: int
  inner: int
  act: str
  epsilon: float

  @nn.compact
  def __call__(self, x: Tokens, mask) -> Tokens:
    norm = functools.partial(_norm, self.epsilon)
    attention = _Attention(self.heads, name='self_attn')
    x = x + attention(norm('layer_norm1')(x), mask)
    mlp = _Mlp(self.inner, self.act, name='mlp')
    return x + mlp(norm('layer_norm2')(x))


class _Encoder(nn.Module):
  layers: int
  layer: dict[str, Any]

  @nn.compact
  def __call__(self, x: Tokens, mask=None) -> Tokens:
    for n in range(self.layers):
      x = _Layer(**self.layer, name=f'layers_{n}')(x, mask)
    return x


class _Patches(nn.Module):
  """Patches and the class token, at their positions."""

  width: int
  patch: int
  bias: bool

  @nn.compact
  def __call__(self, images: Float[Array, 'B H W 3']) -> Tokens:
    patches = nn.Conv(
      self.width,
      (self.patch, self.patch),
      strides=self.patch,
      padding='VALID',
      use_bias=self.bias,
      name='patch_embedding',
    )(images)
    patches = patches.reshape(len(images), -1, self.width)
    init = nn.initializers.normal(0.02)
    first = self.param('class_embedding', init, (self.width,))
    first = jnp.broadcast_to(first, (len(images), 1, self.width))
    x = jnp.concatenate([first, patches], axis=1)
    where = nn.Embed(x.shape[1], self.width, name='position_embedding')
    return x + where(jnp.arange(x.shape[1]))


class Vision(nn.Module):
  """Normalised pictures [B, side, side, 3] → [B, width].

  Attributes:
    width: of the tokens.
    layers: how many.
    layer: heads, inner, act and epsilon of each.
    patch: side of a patch, in pixels.
    side: of the pictures, in pixels.
    norm_first: normalise the tokens before the first layer, as CLIP does.
    patch_bias: add one to patches, as DINO does.
  """

  width: int
  layers: int
  layer: dict[str, Any]
  patch: int
  side: int
  norm_first: bool
  patch_bias: bool

  @nn.compact
  def __call__(self, images: Float[Array, 'B H W 3']) -> Float[Array, 'B D']:
    norm = functools.partial(_norm, self.layer['epsilon'])
    embed = _Patches(self.width, self.patch, self.patch_bias, name='embeddings')
    x = embed(images)
    if self.norm_first:
      x = norm('pre_layrnorm')(x)  # The weights spell it so.
    x = _Encoder(self.layers, self.layer, name='encoder')(x)
    return norm('post_layernorm')(x[:, 0])


class _Words(nn.Module):
  """Tokens at their positions."""

  width: int
  vocabulary: int
  length: int

  @nn.compact
  def __call__(self, ids: Int[Array, 'B L']) -> Tokens:
    table = nn.Embed(self.vocabulary, self.width, name='token_embedding')
    where = nn.Embed(self.length, self.width, name='position_embedding')
    return table(ids) + where(jnp.arange(ids.shape[1]))


class Text(nn.Module):
  """Token ids [B, L] → [B, width], read at the first end-of-text token.

  Attributes:
    width, layers, layer: as of `Vision`.
    vocabulary: number of tokens.
    length: the longest text, in tokens.
    end: id of the end of the text; 2 in old configurations, which is wrong and
      means the largest id of all.
  """

  width: int
  layers: int
  layer: dict[str, Any]
  vocabulary: int
  length: int
  end: int

  @nn.compact
  def __call__(self, ids: Int[Array, 'B L']) -> Float[Array, 'B D']:
    x = _Words(self.width, self.vocabulary, self.length, name='embeddings')(ids)
    before = jnp.tril(jnp.ones((ids.shape[1],) * 2, bool))
    x = _Encoder(self.layers, self.layer, name='encoder')(x, before)
    norm = _norm(self.layer['epsilon'], 'final_layer_norm')
    end = ids if self.end == 2 else ids == self.end
    return norm(x)[jnp.arange(len(ids)), end.argmax(-1)]


class Clip(nn.Module):
  """Pictures and texts → vectors [B, projection] that can be compared."""

  vision: Vision
  text: Text
  projection: int

  def setup(self):
    self.vision_model = self.vision.clone(name=None)
    self.text_model = self.text.clone(name=None)
    project = lambda: nn.Dense(self.projection, use_bias=False)
    self.visual_projection, self.text_projection = project(), project()

  def __call__(self, images, ids):
    return self.image(images), self.words(ids)

  def image(self, images: Float[Array, 'B H W 3']):
    return self.visual_projection(self.vision_model(images))

  def words(self, ids: Int[Array, 'B L']):
    return self.text_projection(self.text_model(ids))
