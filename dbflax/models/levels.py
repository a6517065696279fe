"""Levels of the U-Net: blocks of one resolution, named as in diffusers."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dbflax.models import blocks


def _is_product(prim, *args, **params) -> bool:
  """Products with weights: convolutions and matrix products without a batch.

  Attention's logits are none; they would be the largest of all.
  """
  dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
  return prim is jax.lax.conv_general_dilated_p or dots(prim, *args, **params)


# What of every block the backward pass recomputes: nothing; all of it; or all
# but the outputs of its products with weights.
REMAT = {
  'none': lambda block: block,
  'blocks': nn.remat,
  'dots': lambda block: nn.remat(block, policy=_is_product),
}


class _Level(nn.Module):
  """Hyper-parameters and children that all kinds of level share."""

  channels: int
  num_groups: int
  epsilon: float
  act_fn: str
  out_scale_factor: float
  skip_time_act: bool
  head_dim: int
  only_text: bool
  num_layers: int = 1
  attend: bool = True
  resample: str = ''
  dtype: jnp.dtype = jnp.float32
  remat: str = 'none'

  def _resnet(self, name: str, resample: str = ''):
    return REMAT[self.remat](blocks.ResnetBlock)(
      self.channels,
      self.num_groups,
      self.epsilon,
      self.act_fn,
      self.out_scale_factor,
      self.skip_time_act,
      resample,
      self.dtype,
      name=name,
    )

  def _attention(self, name: str):
    return REMAT[self.remat](blocks.AddedKVAttention)(
      self.head_dim,
      self.num_groups,
      only_text=self.only_text,
      dtype=self.dtype,
      name=name,
    )


class DownBlock(_Level):
  """(resnet [– attention]) × num_layers [– downsampling resnet]."""

  @nn.compact
  def __call__(self, h, temb, text):
    outputs = []
    for i in range(self.num_layers):
      h = self._resnet(f'resnets_{i}')(h, temb)
      if self.attend:
        h = self._attention(f'attentions_{i}')(h, text)
      outputs.append(h)
    if self.resample:
      h = self._resnet('downsamplers_0', 'down')(h, temb)
      outputs.append(h)
    return h, outputs


class MidBlock(_Level):
  """resnet – attention – resnet."""

  @nn.compact
  def __call__(self, h, temb, text):
    h = self._resnet('resnets_0')(h, temb)
    h = self._attention('attentions_0')(h, text)
    return self._resnet('resnets_1')(h, temb)


class UpBlock(_Level):
  """(skip – resnet [– attention]) × num_layers [– upsampling resnet].

  Takes its skips from the end of the list that it is given.
  """

  @nn.compact
  def __call__(self, h, skips, temb, text):
    for i in range(self.num_layers):
      h = jnp.concatenate([h, skips.pop()], axis=-1)
      h = self._resnet(f'resnets_{i}')(h, temb)
      if self.attend:
        h = self._attention(f'attentions_{i}')(h, text)
    if self.resample:
      h = self._resnet('upsamplers_0', 'up')(h, temb)
    return h
