"""Draw prompts through all the stages, and write every stage's images."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from dbflax import bars, disk, hosts, rng
from dbflax.data import images


def draw(
  folder: pathlib.Path,
  samplers: Mapping[str, Callable],
  load_params: Callable[[str], dict],
  text: Float[Array, 'N L D'],
  null_text: Float[Array, 'L D'],
  *,
  seed: int,
  batch: int,
) -> None:
  """Draws N images, stage by stage: image n is <stage>/000n.png.

  Only one stage's parameters are in memory at a time. An image is given to the
  next stage as it was drawn, not as the PNG rounds it; image n depends on
  (seed, n) alone. Every host has all images, and writes those that it drew.

  Args:
    folder: where each stage gets a folder.
    samplers: stage name → what `cascade.make_sampler` made, from the lowest.
    load_params: stage name → its parameters.
    text: embedding of every image's prompt; null_text of the empty one.
    seed: root of the images' noise.
    batch: images drawn at once.
  """
  root = jax.random.key(seed)
  low = None
  for name, sampler in samplers.items():
    params = load_params(name)
    out = []
    with bars.bar(f'samples {name}', len(text), 'image') as bar:
      for start in range(0, len(text), batch):
        # The last batch is filled up, so that there is one compiled shape.
        end = min(start + batch, len(text))
        index = np.resize(np.arange(start, end), batch)
        lower = () if low is None else (low[index],)
        keys = rng.keys(root, 'sample', index)
        with bars.compiling(bar, now=start == 0):
          drawn = sampler(params, text[index], null_text, keys, *lower)
        out.append(hosts.whole(drawn)[: end - start])
        bar.update(end - start)
        for n, image in hosts.own_rows(drawn):
          if start + n < end:
            file = path(folder, name, start + n)
            images.save_png(file, images.to_uint8(image))
    low = np.concatenate(out)


def path(folder: pathlib.Path, stage: str, index: int) -> pathlib.Path:
  return folder / stage / f'{index:04d}.png'


def write_index(
  folder: pathlib.Path,
  stages: Sequence[str],
  templates: Sequence[str],
  prompts: Sequence[str],
  images_per_prompt: int,
) -> None:
  """samples.json: every prompt with its images, for whoever reads them."""
  entries = []
  for p, (template, prompt) in enumerate(zip(templates, prompts, strict=True)):
    numbers = range(p * images_per_prompt, (p + 1) * images_per_prompt)
    files = [
      {s: path(pathlib.Path(), s, n).as_posix() for s in stages}
      for n in numbers
    ]
    entries.append({'template': template, 'prompt': prompt, 'images': files})
  content = json.dumps(entries, indent=2) + '\n'
  disk.atomic_write(folder / 'samples.json', content.encode())
