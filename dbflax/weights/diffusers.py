"""Read and write one network's folder in the Hugging Face layout.

A folder is `config.json` and the weights (`weights.files`), with torch's names.
In memory a network is a nested dict of arrays in Flax's layout. Weights are
read tensor by tensor, and of each tensor only what a device of this host
needs, so reading takes little more memory than the parameters themselves.
"""

import math
import pathlib
from collections.abc import Iterable, Iterator

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from dbflax import disk, errors, hosts
from dbflax.weights import files, names, pickled

# A second name of a tensor in some T5 checkpoints.
_ALIASES = {'encoder.embed_tokens.weight': 'shared.weight'}
MAX_SHARD = 5 * 10**9  # bytes of one written file


def read_params(
  folder: pathlib.Path,
  expected: dict,
  *,
  shardings: dict | None = None,
  dtype=np.float32,
  wanted: files.Format = files.PLAIN,
) -> dict:
  """A network's parameters, strict both ways.

  Args:
    folder: one named as in `files.STEMS`.
    expected: nested dict of arrays or ShapeDtypeStructs, the module's own.
    shardings: where each parameter shall lie; None is numpy, on this host.
    dtype: of the parameters, whatever the file's.
    wanted: which kind of weights.

  Raises:
    UserError: with both lists, if names are missing or left over, or with
      both shapes, if one differs.
  """
  tensors = open_tensors(files.find(folder, wanted))
  for alias, name in _ALIASES.items():
    if alias in tensors:
      tensors.setdefault(name, tensors.pop(alias))
  tensors = {names.to_path(name): t for name, t in tensors.items()}
  flat = traverse_util.flatten_dict(expected, sep='/')
  check_names(folder, set(tensors), set(flat))
  for path, leaf in flat.items():
    _check_shape(folder, path, tensors[path].get_shape(), leaf.shape)
  where = traverse_util.flatten_dict(shardings or {}, sep='/')
  params = {
    path: _read(path, tensors[path], leaf.shape, where.get(path), dtype)
    for path, leaf in flat.items()
  }
  return traverse_util.unflatten_dict(params, sep='/')


def _open(file: pathlib.Path) -> dict:
  """Tensor name → something to slice; nothing is read yet."""
  disk.check_file(file)
  if file.suffix == '.bin':
    return pickled.tensors(file)
  try:
    # Reads what is asked for; mapped pages would count as memory used.
    opened = safetensors.safe_open(file, 'numpy', backend='pread')
  except (safetensors.SafetensorError, ValueError, OSError) as e:
    raise errors.UserError(f'{file} is damaged ({e}); restore it.') from e
  return {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118


def open_tensors(found: Iterable[pathlib.Path]) -> dict:
  """Torch's name → something to slice, of a network's file or its shards.

  Raises:
    UserError: one is damaged, or two have a tensor of the same name.
  """
  return _merge(_open(file) for file in found)


def tensor_names(file: pathlib.Path) -> list[str]:
  """Torch's names of what one weights file holds."""
  return sorted(_open(file))


def _merge(shards: Iterator[dict]) -> dict:
  tensors = {}
  for shard in shards:
    if twice := sorted(tensors.keys() & shard.keys()):
      raise errors.UserError(
        f'{twice[0]} is in two files of the same network; fetch them again.'
      )
    tensors |= shard
  return tensors


def _read(path: str, tensor, shape, sharding, dtype):
  """One parameter: whole on this host, or its parts on its devices."""
  pieces = {}

  def piece(index) -> np.ndarray:
    # Replicas of a part are read once.
    key = str(index)
    if key not in pieces:
      part = tensor[names.torch_index(path, index)]
      pieces[key] = names.to_flax(path, part).astype(dtype)
    return pieces[key]

  if sharding is None:
    return piece((slice(None),) * len(shape))
  array = jax.make_array_from_callback(shape, sharding, piece)
  # One tensor at a time: transfers that wait would hold what they wait for.
  return jax.block_until_ready(array)


def check_names(folder, found: set[str], expected: set[str]) -> None:
  """Raises UserError, with both lists, unless the parameters' paths agree."""
  if found != expected:
    raise errors.UserError(
      f'the weights in {folder} do not fit its config.json. '
      f'Missing: {sorted(expected - found)}. '
      f'Not known: {sorted(found - expected)}.'
    )


def _check_shape(folder, path: str, found, expected) -> None:
  wanted = names.torch_shape(path, expected)
  if tuple(found) != wanted:
    raise errors.UserError(
      f'{folder}: {names.to_name(path)} has shape {tuple(found)} here, '
      f'{wanted} by config.json; they do not belong together.'
    )


def write_params(
  folder: pathlib.Path,
  params: dict,
  dtype=np.float16,
  max_bytes: int = MAX_SHARD,
) -> None:
  """Writes a network's parameters under torch's names.

  Each file is written whole or not at all. Beyond `max_bytes` there are
  several, and an index, which is written last. All hosts call this, since each
  may have a part of a parameter; the first one writes.
  """
  folder = pathlib.Path(folder)
  stem = files.STEMS[folder.name][0]
  flat = traverse_util.flatten_dict(params, sep='/')
  shards = list(_shards(flat, np.dtype(dtype).itemsize, max_bytes))
  weight_map = {}
  for number, paths in enumerate(shards, 1):
    of = f'-{number:05d}-of-{len(shards):05d}' if len(shards) > 1 else ''
    file = folder / f'{stem}{of}.safetensors'
    write_tensors(file, {path: flat[path] for path in paths}, dtype)
    weight_map |= {names.to_name(path): file.name for path in paths}
  written = set(weight_map.values())
  if not hosts.is_first():
    return
  if len(shards) > 1:
    size = sum(leaf.size for leaf in flat.values()) * np.dtype(dtype).itemsize
    index = {'metadata': {'total_size': size}, 'weight_map': weight_map}
    index_file = folder / f'{stem}.safetensors.index.json'
    disk.write_json(index_file, index)
    written.add(index_file.name)
  # Weights in another form, written before, must not be found.
  for old in folder.glob(f'{stem}*'):
    if old.name not in written:
      old.unlink()


def _shards(flat: dict, itemsize: int, limit: int) -> Iterator[list[str]]:
  """The paths of every file, in order; each file is as full as it can be."""
  paths, used = [], 0
  for path, leaf in flat.items():
    size = math.prod(leaf.shape) * itemsize
    if paths and used + size > limit:
      yield paths
      paths, used = [], 0
    paths.append(path)
    used += size
  yield paths


def write_tensors(
  file: pathlib.Path, flat: dict, dtype, prefix: str = ''
) -> None:
  """One safetensors file of {path: parameter}, their names behind `prefix`."""
  tensors = {
    prefix + names.to_name(path): np.ascontiguousarray(
      names.to_torch(path, hosts.whole(array)).astype(dtype)
    )
    for path, array in flat.items()
  }
  if not hosts.is_first():
    return
  with disk.atomic_path(file) as partial:
    # diffusers and transformers refuse a file without this entry.
    safetensors.numpy.save_file(tensors, partial, {'format': 'pt'})
