"""Weights and inputs that all sides of a case share.

  python -m benchmarks.inputs '{…}'

writes a cascade directory, as diffusers writes it, and `inputs.npz`: a batch,
and the random numbers of the first training step. All sides are given them, so
that their first losses can be compared; later steps draw their own.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

from benchmarks import networks
from benchmarks import spec as spec_lib


def write(spec: spec_lib.Spec) -> None:
  """Fills the folder of `spec`."""
  folder = pathlib.Path(spec.folder)
  if spec.network == 'toybox':
    from dbflax import pretrained

    shutil.copytree(pretrained.resolve(''), folder, dirs_exist_ok=True)
  else:
    _write_random(folder, *networks.CONFIGS[spec.network])
  make = _prompts if spec.kind == 'text' else _pictures
  np.savez(folder / 'inputs.npz', **make(spec, folder))


def _write_random(folder: pathlib.Path, part: str, config: dict) -> None:
  import diffusers
  import torch
  import transformers

  torch.manual_seed(0)
  if part == 'text_encoder':
    encoder = transformers.T5EncoderModel(transformers.T5Config(**config))
    encoder.save_pretrained(folder / part)
    return
  unet = diffusers.UNet2DConditionModel(**config)
  unet.save_pretrained(folder / part / 'unet')
  scheduler = diffusers.DDPMScheduler(**networks.scheduler(part))
  scheduler.save_pretrained(folder / part / 'scheduler')
  if part != 'stage_1':
    scheduler.save_pretrained(folder / part / 'image_noising_scheduler')


def _config(path: pathlib.Path) -> dict:
  return json.loads((path / 'config.json').read_text())


def _prompts(spec, folder) -> dict[str, np.ndarray]:
  """Ids of prompts of 5 to 20 tokens, padded."""
  size = _config(folder / 'text_encoder')['vocab_size']
  draw = np.random.default_rng(0)
  mask = np.arange(spec_lib.TOKENS) < draw.integers(5, 20, (spec.batch, 1))
  ids = draw.integers(3, size, mask.shape)
  return {
    'ids': np.where(mask, ids, 0).astype(np.int32),
    'mask': mask.astype(np.int32),
  }


def _pictures(spec, folder) -> dict[str, np.ndarray]:
  """Text states, and for training a batch and its random numbers."""
  width = _config(folder / (spec.part or 'stage_1') / 'unet')['encoder_hid_dim']
  draw = np.random.default_rng(0)
  normal = lambda *shape: draw.normal(size=shape).astype(np.float32)
  made = {
    'text': normal(spec.batch, spec_lib.TOKENS, width),
    'null_text': normal(spec_lib.TOKENS, width),
  }
  return (
    made | _training(spec, folder, normal) if spec.kind == 'train' else made
  )


def _training(spec, folder, normal) -> dict[str, np.ndarray]:
  from benchmarks import ours

  stage = ours.load_stage(spec, spec.part)
  size = stage.resolution
  made = {'image': np.clip(normal(spec.batch, size, size, 3) / 2, -1, 1)}
  if stage.is_super_resolution:
    low = normal(spec.batch, size // 4, size // 4, 3) / 2
    made['low'] = np.clip(low, -1, 1)
    made['corner'] = np.zeros((spec.batch, 2), np.int32)
  return made | ours.first_draws(stage, made)


if __name__ == '__main__':
  write(spec_lib.Spec(**json.loads(sys.argv[1])))
