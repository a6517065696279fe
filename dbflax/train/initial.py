"""Where the pre-training of a stage starts.

A super-resolution stage that predicts the picture starts as the enlargement
of the lower image, and learns what to add to it. The U-Net has no connection
for that, but can spell one: the lower image goes through the first skip as
six channels, +rgb and -rgb, and out by

    silu(y) - silu(-y) = y

Two constant channels, ±k, keep the last normalisation's variance near one,
whatever the picture.
"""

import jax.numpy as jnp

from dbflax import cascade, errors

_PAIRS = 6  # +rgb, -rgb
_FREE_VARIANCE = 0.67  # of the other channels: half noise, half picture


def parameters(stage: cascade.Stage, key) -> dict:
  """Fresh parameters; those of super-resolution begin as an enlargement."""
  params = cascade.init_stage(stage, key)
  predicts_picture = stage.prediction_type == 'sample'
  if stage.is_super_resolution and predicts_picture:
    return _enlarging(stage.unet, params)
  return params


def _enlarging(unet, params: dict) -> dict:
  """`params` with the lower image's way through written into them.

  Raises:
    UserError: the first level has too few channels, or several norm groups.
  """
  channels = unet.block_out_channels[0]
  if channels < _PAIRS + 2 or unet.norm_num_groups != 1:
    raise errors.UserError(
      f'a super-resolution stage starts as an enlargement, for which its first '
      f'level needs {_PAIRS + 2} channels in one norm group; it has {channels} '
      f'in {unet.norm_num_groups}.'
    )
  level = f'up_blocks_{len(unet.block_out_channels) - 1}'
  block = f'resnets_{unet.layers_per_block[0]}'
  resnet = params[level][block]
  kept = _PAIRS + 2
  shortcut = resnet['conv_shortcut']['kernel']
  # The block's input is [features, first skip]; it divides by out_scale_factor.
  carry = jnp.eye(kept) * unet.resnet_out_scale_factor
  skip = shortcut.shape[0] - channels
  shortcut = (
    shortcut.at[:, :kept].set(0).at[skip : skip + kept, :kept].set(carry)
  )
  new_resnet = {
    **resnet,
    'conv_shortcut': {**resnet['conv_shortcut'], 'kernel': shortcut},
  }
  return {
    **params,
    'conv_in': _first(params['conv_in'], channels),
    level: {**params[level], block: new_resnet},
    'conv_out': _last(params['conv_out']),
  }


def _first(conv: dict, channels: int) -> dict:
  """+rgb, -rgb of the lower image (inputs 3 … 5), and the two constants."""
  signs = jnp.concatenate([jnp.eye(3), -jnp.eye(3)], axis=1)  # [3, 6]
  kernel = conv['kernel'].at[..., : _PAIRS + 2].set(0)
  kernel = kernel.at[1, 1, 3:, :_PAIRS].set(signs)
  picture = _PAIRS / 3  # their variance, for a third each
  free = _FREE_VARIANCE * (channels - _PAIRS - 2)
  k = jnp.sqrt((channels - picture - free) / 2)
  bias = conv['bias'].at[_PAIRS : _PAIRS + 2].set(jnp.array([k, -k]))
  return {'kernel': kernel, 'bias': bias}


def _last(conv: dict) -> dict:
  """The prediction is the difference of each pair; the variance stays zero."""
  back = jnp.concatenate([jnp.eye(3), -jnp.eye(3)])  # [6, 3]
  return {**conv, 'kernel': conv['kernel'].at[1, 1, :_PAIRS, :3].set(back)}
