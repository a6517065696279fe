"""Read and write one network's folder in the Hugging Face layout.

A folder is `config.json` and one safetensors file with torch's names. In
memory a network is a nested dict of float32 numpy arrays in Flax's layout.
"""

import json
import pathlib

import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from dbflax import errors, workdir
from dbflax.weights import names

# What diffusers and transformers call the weights of these networks; the
# oracle's (toybox.oracle) follow suit.
FILES = {
  'unet': 'diffusion_pytorch_model.safetensors',
  'text_encoder': 'model.safetensors',
  'oracle': 'model.safetensors',
}
# A second name of `shared.weight` in some T5 checkpoints.
_ALIASES = ('encoder.embed_tokens.weight',)


def read_json(path: pathlib.Path) -> dict:
  try:
    return json.loads(pathlib.Path(path).read_text())
  except FileNotFoundError as e:
    raise errors.UserError(
      f'{path} is missing: not a cascade directory (see README, "Cascades").'
    ) from e
  except ValueError as e:
    raise errors.UserError(f'{path} is not JSON ({e}); restore it.') from e


def weights_file(folder: pathlib.Path) -> pathlib.Path:
  """The safetensors file of a folder named as in `FILES`."""
  path = pathlib.Path(folder) / FILES[pathlib.Path(folder).name]
  if not path.is_file():
    raise errors.UserError(f'{path} is missing; the folder has no weights.')
  return path


def read_params(folder: pathlib.Path, expected: dict) -> dict:
  """A network's parameters, strict both ways.

  Args:
    folder: one named as in `FILES`.
    expected: nested dict of arrays or ShapeDtypeStructs, the module's own.

  Raises:
    UserError: with both lists, if names are missing or left over, or with
      both shapes, if one differs.
  """
  path = weights_file(folder)
  try:
    tensors = safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, ValueError) as e:
    raise errors.UserError(f'{path} is damaged ({e}); restore it.') from e
  if any(name.startswith('encoder.') for name in tensors):
    for alias in _ALIASES:
      tensors.pop(alias, None)
  found = {names.to_path(name): tensor for name, tensor in tensors.items()}
  flat = traverse_util.flatten_dict(expected, sep='/')
  _check_names(path, set(found), set(flat))
  params = {}
  for key, tensor in found.items():
    array = names.to_flax(key, tensor).astype(np.float32)
    if array.shape != flat[key].shape:
      raise errors.UserError(
        f'{path}: {names.to_name(key)} has shape {array.shape} here, '
        f'{flat[key].shape} by config.json; they do not belong together.'
      )
    params[key] = array
  return traverse_util.unflatten_dict(params, sep='/')


def _check_names(path, found: set[str], expected: set[str]) -> None:
  if found != expected:
    raise errors.UserError(
      f'{path} does not fit its config.json. '
      f'Missing: {sorted(expected - found)}. '
      f'Not known: {sorted(found - expected)}.'
    )


def write_params(folder: pathlib.Path, params: dict, dtype=np.float16) -> None:
  """Writes a network's parameters under torch's names, whole or not at all."""
  folder = pathlib.Path(folder)
  flat = traverse_util.flatten_dict(params, sep='/')
  tensors = {
    names.to_name(path): np.ascontiguousarray(
      names.to_torch(path, np.asarray(array)).astype(dtype)
    )
    for path, array in flat.items()
  }
  # diffusers and transformers refuse a file without this entry.
  content = safetensors.numpy.save(tensors, {'format': 'pt'})
  workdir.atomic_write(folder / FILES[folder.name], content)
