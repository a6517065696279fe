"""Torch tensor names ↔ parameter paths, and the layout of each tensor.

One reversible rule. Modules carry torch's names; what differs is how a list
index is written (`resnets.0` ↔ `resnets_0`), what the leaf is called
(`weight` ↔ `kernel`, `scale` or `embedding`) and the order of its axes.
Paths are strings 'a/b/c'. No network and no file is known here.
"""

import re

import numpy as np

# Parents whose `weight` is a table or a gain rather than a matrix.
_NORM = re.compile(r'(norm|norm\d|layer_norm|norm_cross|norm_out)$')
_TABLE = re.compile(r'(shared|relative_attention_bias)$')
# Lists of modules; other names may end in a number of their own (linear_1).
_LISTS = (
  'down_blocks|up_blocks|resnets|attentions|downsamplers|upsamplers|to_out'
  '|block|layer'
)
_INDEX = re.compile(rf'(?:(?<=[/.])|^)({_LISTS})[._](\d+)(?=[/.])')


def to_path(name: str) -> str:
  """'mid_block.resnets.0.conv1.weight' → 'mid_block/resnets_0/conv1/kernel'."""
  name = _INDEX.sub(r'\1_\2', name).replace('.', '/')
  parent, _, leaf = name.rpartition('/')
  if leaf != 'weight':
    return name
  if _NORM.search(parent):
    return f'{parent}/scale'
  return f'{parent}/{"embedding" if _TABLE.search(parent) else "kernel"}'


def to_name(path: str) -> str:
  """The inverse of `to_path`."""
  parent, _, leaf = path.rpartition('/')
  if leaf in ('kernel', 'scale', 'embedding'):
    leaf = 'weight'
  name = f'{parent}/{leaf}' if parent else leaf
  return _INDEX.sub(r'\1.\2', name).replace('/', '.')


def to_flax(path: str, tensor: np.ndarray) -> np.ndarray:
  """A torch tensor in the layout of the parameter at `path`.

  Convolutions [O, I, H, W] → [H, W, I, O]; matrices [O, I] → [I, O]; the
  shortcut's 1×1 convolution [O, I, 1, 1] → [I, O], as it is a matrix here.
  """
  if not path.endswith('/kernel'):
    return tensor
  if path.endswith('conv_shortcut/kernel'):
    return tensor[:, :, 0, 0].T
  return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_torch(path: str, array: np.ndarray) -> np.ndarray:
  """The inverse of `to_flax`."""
  if not path.endswith('/kernel'):
    return array
  if path.endswith('conv_shortcut/kernel'):
    return array.T[:, :, None, None]
  return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
