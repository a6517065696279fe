"""One U-Net for the three stages, sized by diffusers' `unet/config.json`.

    temb = MLP(sinusoid(t)) [+ MLP(sinusoid(noise level))] + pool(text)
    text = Linear(text);  x → down blocks → mid → up blocks → GN – act – conv

Every level is residual, or residual with text attention; the last convolution
gives six channels: the prediction and the interpolation of the log variance.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax import errors
from dbflax.models import blocks, embeddings, group_norm, levels

# config.json fields with one meaning here; another value is refused.
_REQUIRED = {
  'mid_block_type': 'UNetMidBlock2DSimpleCrossAttn',
  'resnet_time_scale_shift': 'scale_shift',
  'addition_embed_type': 'text',
  'cross_attention_norm': 'group_norm',
}
# Fields without which the network has no size.
_SIZES = (
  'sample_size', 'in_channels', 'out_channels', 'block_out_channels',
  'layers_per_block', 'down_block_types', 'up_block_types',
  'attention_head_dim', 'cross_attention_dim', 'encoder_hid_dim',
)  # fmt: skip
# Fields with one entry for each level, of this type.
_LEVELS = {
  'block_out_channels': int,
  'layers_per_block': int,
  'down_block_types': str,
  'up_block_types': str,
}
# Fields that may be left out; these are the values that are honoured.
_ALLOWED = {
  'encoder_hid_dim_type': (None, 'text_proj'),
  'act_fn': tuple(embeddings.ACTIVATIONS),
  'time_embedding_act_fn': (None, *embeddings.ACTIVATIONS),
  'class_embed_type': (None, 'timestep'),
  'class_embeddings_concat': (False,),
  'time_embedding_type': ('positional',),
  'flip_sin_to_cos': (True,),
  'freq_shift': (0,),
  'center_input_sample': (False,),
  'only_cross_attention': (False, True),
  'dual_cross_attention': (False,),
  'conv_in_kernel': (3,),
  'conv_out_kernel': (3,),
  'dropout': (0,),
  'num_attention_heads': (None,),
  'num_class_embeds': (None,),
  'time_cond_proj_dim': (None,),
  'timestep_post_act': (None,),
}
# Block types by whether they attend to the text.
_ATTENDS = {
  'ResnetDownsampleBlock2D': False,
  'SimpleCrossAttnDownBlock2D': True,
  'ResnetUpsampleBlock2D': False,
  'SimpleCrossAttnUpBlock2D': True,
}


class UNet(nn.Module):
  """Fields are those of config.json; `dtype` is the type of computation."""

  sample_size: int
  in_channels: int
  out_channels: int
  block_out_channels: tuple[int, ...]
  layers_per_block: tuple[int, ...]
  down_block_types: tuple[str, ...]
  up_block_types: tuple[str, ...]
  attention_head_dim: int
  cross_attention_dim: int
  encoder_hid_dim: int
  addition_embed_type_num_heads: int = 64
  class_embed_type: str | None = None
  time_embedding_act_fn: str | None = None
  time_embedding_dim: int | None = None
  act_fn: str = 'silu'
  norm_num_groups: int = 32
  norm_eps: float = 1e-5
  only_cross_attention: bool = False
  mid_block_only_cross_attention: bool | None = None  # None: as the others
  resnet_skip_time_act: bool = False
  resnet_out_scale_factor: float = 1.0
  mid_block_scale_factor: float = 1.0
  dtype: jnp.dtype = jnp.float32
  remat: str = 'none'  # one of levels.REMAT

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'B H W in'],
    t: Float[Array, ' B'],
    text: Float[Array, 'B L D'],
    noise_level: Float[Array, ' B'] | None = None,
  ) -> Float[Array, 'B H W out']:
    """`t` and `noise_level` count schedule steps and may be fractional."""
    text = text.astype(self.dtype)
    temb = self._time_embedding(t, text, noise_level)
    text = nn.Dense(
      self.cross_attention_dim, dtype=self.dtype, name='encoder_hid_proj'
    )(text)
    conv = lambda channels, name, **kw: blocks.conv3x3(
      channels, name, self.dtype, **kw
    )
    h = conv(self.block_out_channels[0], 'conv_in')(x.astype(self.dtype))
    h, skips = self._down(h, temb, text)
    h = self._mid(h, temb, text)
    h = self._up(h, skips, temb, text)
    h = group_norm.GroupNorm(
      self.norm_num_groups,
      self.norm_eps,
      self.dtype,
      embeddings.ACTIVATIONS[self.act_fn],
      name='conv_norm_out',
    )(h)
    return conv(self.out_channels, 'conv_out', zero=True)(h).astype(jnp.float32)

  def _time_embedding(self, t, text, noise_level):
    channels = self.time_embedding_dim or 4 * self.block_out_channels[0]
    embed = lambda name, level: embeddings.TimestepEmbedding(
      channels, self.act_fn, self.dtype, name=name
    )(embeddings.sinusoid(level, self.block_out_channels[0]))
    temb = embed('time_embedding', t)
    if self.class_embed_type == 'timestep':
      temb += embed('class_embedding', noise_level)
    temb += embeddings.TextTimeEmbedding(
      channels,
      self.addition_embed_type_num_heads,
      self.dtype,
      name='add_embedding',
    )(text)
    if self.time_embedding_act_fn:
      temb = embeddings.ACTIVATIONS[self.time_embedding_act_fn](temb)
    return temb

  def _hyper(self) -> dict:
    """What every block of this U-Net has in common."""
    return {
      'num_groups': self.norm_num_groups,
      'epsilon': self.norm_eps,
      'act_fn': self.act_fn,
      'out_scale_factor': self.resnet_out_scale_factor,
      'skip_time_act': self.resnet_skip_time_act,
      'head_dim': self.attention_head_dim,
      'only_text': self.only_cross_attention,
      'dtype': self.dtype,
      'remat': self.remat,
    }

  def _down(self, h, temb, text):
    skips = [h]
    for level, channels in enumerate(self.block_out_channels):
      block = levels.DownBlock(
        channels=channels,
        num_layers=self.layers_per_block[level],
        attend=_ATTENDS[self.down_block_types[level]],
        resample='down' if level < len(self.block_out_channels) - 1 else '',
        name=f'down_blocks_{level}',
        **self._hyper(),
      )
      h, outputs = block(h, temb, text)
      skips += outputs
    return h, skips

  def _mid(self, h, temb, text):
    hyper = {**self._hyper(), 'out_scale_factor': self.mid_block_scale_factor}
    if self.mid_block_only_cross_attention is not None:
      hyper['only_text'] = self.mid_block_only_cross_attention
    channels = self.block_out_channels[-1]
    block = levels.MidBlock(channels=channels, name='mid_block', **hyper)
    return block(h, temb, text)

  def _up(self, h, skips, temb, text):
    layers = self.layers_per_block[::-1]
    for level, channels in enumerate(self.block_out_channels[::-1]):
      block = levels.UpBlock(
        channels=channels,
        num_layers=layers[level] + 1,
        attend=_ATTENDS[self.up_block_types[level]],
        resample='up' if level < len(layers) - 1 else '',
        name=f'up_blocks_{level}',
        **self._hyper(),
      )
      h = block(h, skips, temb, text)
    return h


def from_config(config: dict, dtype=jnp.float32, remat: str = 'none') -> UNet:
  """The U-Net of a `unet/config.json`.

  Raises:
    UserError: if the config asks for something this U-Net is not.
  """
  _check(config)
  fields = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in config.items()
    if name in UNet.__dataclass_fields__ and value is not None
  }
  layers = fields['layers_per_block']
  if isinstance(layers, int):
    fields['layers_per_block'] = (layers,) * len(fields['block_out_channels'])
  return UNet(**{**fields, 'dtype': dtype, 'remat': remat})


def _check_levels(config: dict) -> None:
  """Refuses lists that do not have one entry for each level."""
  channels = config['block_out_channels']
  count = len(channels) if isinstance(channels, list) else 0
  for field, kind in _LEVELS.items():
    value = config[field]
    if field == 'layers_per_block' and isinstance(value, int):
      value = [value] * count  # one number for all
    is_list = isinstance(value, list) and len(value) == count > 0
    if not is_list or not all(isinstance(v, kind) and v for v in value):
      raise errors.UserError(
        f'unet/config.json: {field} is {config[field]!r}; it has one '
        f'{kind.__name__} for every level, of which block_out_channels has '
        f'{count}.'
      )


def _check(config: dict) -> None:
  """Refuses what a config.json asks for and this U-Net cannot do."""
  missing = [field for field in _SIZES if config.get(field) is None]
  if missing:
    raise errors.UserError(
      f'unet/config.json lacks {", ".join(missing)}: take the config.json that '
      'came with the weights.'
    )
  required = {field: (value,) for field, value in _REQUIRED.items()}
  given = {field: _ALLOWED[field] for field in _ALLOWED if field in config}
  for field, values in (required | given).items():
    if config.get(field) not in values:
      raise errors.UserError(
        f'unet/config.json: {field} is {config.get(field)!r}; dbflax reads '
        'the Imagen / DeepFloyd IF family, where it is '
        f'{" or ".join(map(repr, values))}.'
      )
  for field in set(_SIZES) - set(_LEVELS):
    if type(config[field]) is not int or config[field] < 1:
      raise errors.UserError(
        f'unet/config.json: {field} is {config[field]!r}; it is one number for '
        'all levels, above 0.'
      )
  _check_levels(config)
  for block in (*config['down_block_types'], *config['up_block_types']):
    if block not in _ATTENDS:
      raise errors.UserError(
        f'unet/config.json: unknown block {block!r}; '
        f'known: {", ".join(_ATTENDS)}.'
      )
