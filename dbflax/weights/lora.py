"""Write a LoRA alone, as `diffusers.IFPipeline.load_lora_weights` reads it.

    unet.….to_q.lora_A.weight [r, in]      unet.….to_q.lora_B.weight [out, r]

diffusers adds B A to a matrix [out, in]: with no alpha in the file, alpha is
the rank. So a scale belongs into B before (train.adapt does that).
"""

import pathlib

import numpy as np
from flax import traverse_util

from dbflax.weights import diffusers

# The file that diffusers looks for in a folder.
FILE = 'pytorch_lora_weights.safetensors'


def write(folder: pathlib.Path, lora: dict) -> None:
  """Writes the factors of a U-Net's LoRA, whole or not at all.

  Args:
    folder: gets `FILE`.
    lora: nested dict of `<path of the matrix>/lora_A/kernel` [in, r] and
      `lora_B/kernel` [r, out], with a scale of 1.
  """
  path = pathlib.Path(folder) / FILE
  flat = traverse_util.flatten_dict(lora, sep='/')
  diffusers.write_tensors(path, flat, np.float32, prefix='unet.')
