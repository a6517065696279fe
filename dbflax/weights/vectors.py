"""The vectors of Textual Inversion, in the layout of diffusers.

    learned_embeds.safetensors     {'<zk>': [V, D]}

`load_textual_inversion` of diffusers reads it into pipelines that have one.
"""

import pathlib

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float

from dbflax import disk, errors

# The file that diffusers looks for in a folder.
FILE = 'learned_embeds.safetensors'


def tokens(word: str, count: int) -> list[str]:
  """How diffusers writes a pseudo-word of so many vectors: <zk> <zk>_1 …"""
  return [f'<{word}>', *(f'<{word}>_{n}' for n in range(1, count))]


def write(
  folder: pathlib.Path, word: str, vectors: Float[np.ndarray, 'V D']
) -> None:
  """Writes what a pseudo-word stands for, whole or not at all."""
  tensors = {tokens(word, 1)[0]: np.ascontiguousarray(vectors, np.float32)}
  with disk.atomic_path(folder / FILE) as partial:
    # transformers refuses a file without this entry.
    safetensors.numpy.save_file(tensors, partial, {'format': 'pt'})


def read(folder: pathlib.Path) -> Float[np.ndarray, 'V D']:
  """The vectors of the only word in a folder's file.

  Raises:
    UserError: the file is missing or damaged.
  """
  try:
    tensors = safetensors.numpy.load(disk.read(folder / FILE))
    [(_, vectors)] = tensors.items()
  except (safetensors.SafetensorError, ValueError, OSError) as error:
    raise errors.UserError(
      f'{folder / FILE} holds no learned vectors ({error}); --mode=train '
      'learns them.'
    ) from error
  return vectors
