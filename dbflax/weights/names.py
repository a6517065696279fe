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
_TABLE = re.compile(
  r'(shared|relative_attention_bias|(token|position)_embedding)$'
)
# A 1×1 convolution in torch and a matrix here; a LoRA's factors of it too.
_SHORTCUT = re.compile(r'conv_shortcut(/lora_[AB])?/kernel$')
# Lists of modules; other names may end in a number of their own (linear_1).
_LISTS = (
  'down_blocks|up_blocks|resnets|attentions|downsamplers|upsamplers|to_out'
  '|block|layers?'
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


def _torch_axes(path: str, ndim: int) -> tuple[int, ...]:
  """Which axis of the parameter at `path` each of torch's axes is.

  Convolutions [O, I, H, W] ↔ [H, W, I, O]; matrices [O, I] ↔ [I, O].
  """
  if not path.endswith('/kernel'):
    return tuple(range(ndim))
  return (3, 2, 0, 1) if ndim == 4 else (1, 0)


def _is_pointwise(path: str) -> bool:
  """Whether torch has [O, I, 1, 1] for our matrix [I, O]."""
  return _SHORTCUT.search(path) is not None


def to_flax(path: str, tensor: np.ndarray) -> np.ndarray:
  """A torch tensor in the layout of the parameter at `path`."""
  if _is_pointwise(path):
    tensor = tensor[:, :, 0, 0]
  axes = _torch_axes(path, tensor.ndim)
  return tensor.transpose(np.argsort(axes))


def to_torch(path: str, array: np.ndarray) -> np.ndarray:
  """The inverse of `to_flax`."""
  tensor = array.transpose(_torch_axes(path, array.ndim))
  return tensor[:, :, None, None] if _is_pointwise(path) else tensor


def torch_shape(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
  """The shape that torch gives to a parameter of `shape`."""
  turned = tuple(shape[axis] for axis in _torch_axes(path, len(shape)))
  return turned + (1, 1) if _is_pointwise(path) else turned


def torch_index(path: str, index: tuple) -> tuple:
  """Where in torch's tensor a part `index` of the parameter lies.

  `to_flax(path, tensor[torch_index(path, index)])` is
  `to_flax(path, tensor)[index]`, but only the part has to be read.
  """
  turned = tuple(index[axis] for axis in _torch_axes(path, len(index)))
  whole = (slice(None),) * 2
  return turned + whole if _is_pointwise(path) else turned
