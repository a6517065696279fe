"""Torch's old `.pth` files, read without torch: tensors and nothing else.

Before version 1.6 torch wrote, one after the other,

    pickles of a magic number, a version and a description of the machine
    a pickle of the object, in which each tensor names a storage
    a pickle of the storages' names
    of each storage: how many numbers (int64), and these numbers

A pickle may call anything that it names; here it may name what makes a tensor.
"""

import collections
import pathlib
import pickle
import struct
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
  'FloatStorage': np.dtype('<f4'),
  'HalfStorage': np.dtype('<f2'),
  'LongStorage': np.dtype('<i8'),
}


class _Part(NamedTuple):
  """A tensor before its numbers are read."""

  storage: tuple[str, np.dtype]  # its name and type
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]  # in numbers

  def of(self, numbers: np.ndarray) -> np.ndarray:
    size = numbers.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
      numbers[self.offset :], self.shape, [size * step for step in self.strides]
    )
    return view.copy()


def _rebuild(storage, offset, shape, strides, *_) -> _Part:
  return _Part(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
  """Of dicts of tensors; anything else is an error."""

  def find_class(self, module, name):
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
      return _rebuild
    if module == 'torch' and name in _DTYPES:
      return _DTYPES[name]
    raise pickle.UnpicklingError(f'{module}.{name} is no tensor')

  def persistent_load(self, pid):
    kind, dtype, key, *_ = pid
    if kind != 'storage':
      raise pickle.UnpicklingError(f'{kind} is no storage')
    return key, dtype


def tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a dict that an old torch saved, by name.

  Raises:
    UserError: it is no such file, or holds anything but tensors.
  """
  try:
    with disk.open_file(path) as file:
      parts, storages = _read(file)
    return {name: p.of(storages[p.storage[0]]) for name, p in parts.items()}
  # What a damaged file makes of the reading above.
  except (
    OSError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
  ) as error:
    raise errors.UserError(
      f'{path} is not a dict of tensors as torch saved it before 1.6 ({error}).'
    ) from error


def _read(file) -> tuple[dict[str, _Part], dict[str, np.ndarray]]:
  """(the tensors, the numbers of each storage)."""
  load = lambda: _Unpickler(file).load()
  if load() != _MAGIC:
    raise ValueError('no magic number')
  load(), load()
  parts = load()
  dtypes = dict(part.storage for part in parts.values())
  storages = {}
  for key in load():
    [count] = struct.unpack('<q', file.read(8))
    dtype = dtypes[key]
    content = file.read(count * dtype.itemsize)
    storages[key] = np.frombuffer(content, dtype, count)
  _check_inside(parts, storages)
  return parts, storages


def _check_inside(parts: dict[str, _Part], storages: dict) -> None:
  """Raises ValueError unless all tensors lie in their storages.

  `as_strided` does not look where it reads.
  """
  for name, part in parts.items():
    steps = zip(part.shape, part.strides, strict=True)
    last = part.offset + sum((count - 1) * step for count, step in steps)
    lowest = min((part.offset, *part.shape, *part.strides))
    if lowest < 0 or last >= len(storages[part.storage[0]]):
      raise ValueError(f'{name} reaches out of its storage')
