"""256 → 1024 pixels by stabilityai's x4 upscaler, as IF's users do.

  pip install '.[upscale]'
  python launch/upscale_x4.py --workdir=runs/dog_if_m

DeepFloyd IF has no public weights for 1024 pixels. This reads the samples of a
finished run and writes <workdir>/upscaled/000n.png. The upscaler's own text
encoder does not know the subject's identifier, so it is told the class instead.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from diffusers import StableDiffusionUpscalePipeline
from PIL import Image

MODEL = 'stabilityai/stable-diffusion-x4-upscaler'


def samples(workdir: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
  """(prompt without the identifier, picture of the highest stage), in order."""
  index = workdir / 'samples/samples.json'
  if not index.is_file():
    raise SystemExit(f'{index} is missing; draw samples first: --mode=sample.')
  told = json.loads((workdir / 'identifier/identifier.json').read_text())
  fill = {}
  for number, one in enumerate([told, *told.get('others', ())], 1):
    end = '' if number == 1 else f'_{number}'
    names = (f'subject{end}', f'class_noun{end}')
    fill |= dict.fromkeys(names, one['class_noun'])
  return [
    (
      entry['template'].format(**fill),
      workdir / 'samples' / [*files.values()][-1],
    )
    for entry in json.loads(index.read_text())
    for files in entry['images']
  ]


def upscale(
  pipeline: StableDiffusionUpscalePipeline,
  workdir: pathlib.Path,
  *,
  steps: int,
  guidance_scale: float,
  noise_level: int,
  seed: int,
) -> list[pathlib.Path]:
  """Writes every sample of a run at four times its size.

  Args:
    pipeline: the upscaler.
    workdir: of a finished run.
    steps: network evaluations for each picture.
    guidance_scale: classifier-free guidance.
    noise_level: noise added to the lower picture, in schedule steps.
    seed: picture n is drawn with seed + n, whatever was drawn before.
  """
  written = []
  folder = workdir / 'upscaled'
  folder.mkdir(exist_ok=True)
  for number, (prompt, path) in enumerate(samples(workdir)):
    [image] = pipeline(
      prompt,
      Image.open(path).convert('RGB'),
      num_inference_steps=steps,
      guidance_scale=guidance_scale,
      noise_level=noise_level,
      generator=torch.Generator().manual_seed(seed + number),
      output_type='np',
    ).images
    written.append(folder / f'{number:04d}.png')
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(written[-1])
  return written


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--workdir', type=pathlib.Path, required=True, help='of a finished run')
  add('--model', default=MODEL, help='hub id or folder (default: %(default)s)')
  add('--steps', type=int, default=75, help='default: %(default)s')
  add('--guidance_scale', type=float, default=9.0, help='default: %(default)s')
  add('--noise_level', type=int, default=100, help='default: %(default)s')
  add('--seed', type=int, default=0, help='default: %(default)s')
  given = vars(parser.parse_args())
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  dtype = torch.float16 if device == 'cuda' else torch.float32
  pipeline = StableDiffusionUpscalePipeline.from_pretrained(
    given.pop('model'), torch_dtype=dtype
  ).to(device)
  for path in upscale(pipeline, given.pop('workdir'), **given):
    print(path)


if __name__ == '__main__':
  main()
