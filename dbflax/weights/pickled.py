"""Torch's `.bin` files: pickles, read without running what is in them.

The one place that imports torch, and only when a user asks for such a file
(`cascade.allow_pickle`). `weights_only=True` admits tensors and nothing else;
the file is mapped into memory, so only what is looked at is read.
"""

import pathlib
import pickle

import ml_dtypes
import numpy as np

from dbflax import errors


class Tensor:
  """A torch tensor with the interface of safetensors' slices."""

  def __init__(self, tensor):
    self._tensor = tensor

  def get_shape(self) -> list[int]:
    return list(self._tensor.shape)

  def __getitem__(self, index) -> np.ndarray:
    import torch

    part = self._tensor[index].detach().contiguous()
    if part.dtype == torch.bfloat16:  # numpy has no such type of its own
      return part.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return part.numpy()


def tensors(path: pathlib.Path) -> dict[str, Tensor]:
  """The tensors of a `.bin` file, by name.

  Raises:
    UserError: torch is not installed, or the file is not a dict of tensors.
  """
  try:
    import torch
  except ImportError as e:
    raise errors.UserError(
      f'{path} can only be read with torch; pip install torch, or take a '
      'safetensors file.'
    ) from e
  try:
    found = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
  except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as e:
    reason = str(e).strip().splitlines()[0]
    raise errors.UserError(
      f'{path} holds more than tensors, or is damaged ({reason}); take a '
      'safetensors file.'
    ) from e
  if not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
    raise errors.UserError(f'{path} is not a dict of tensors.')
  return {name: Tensor(tensor) for name, tensor in found.items()}
