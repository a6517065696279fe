"""Draw prompts through all the stages, and write every stage's images."""

import functools
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from dbflax import bars, beside, disk, hosts, rng
from dbflax.data import images

# Characters of a prompt in a file's name.
_SAID, _SAID_BYTES = 60, 180


def draw(
  folder: pathlib.Path,
  samplers: Mapping[str, Callable],
  load_params: Callable[[str], dict],
  text: Float[Array, 'N L D'],
  null_text: Float[Array, 'L D'],
  *,
  files: Sequence[str],
  seed: int,
  batches: Mapping[str, int],
) -> None:
  """Draws N images, stage by stage: image n is <stage>/<files[n]>.

  Only one stage's parameters are in memory at a time. An image is given to the
  next stage as it was drawn, not as the PNG rounds it; image n depends on
  (seed, n) alone. Every host has all images, and writes those that it drew.

  Args:
    folder: where each stage gets a folder.
    samplers: stage name → what `cascade.make_sampler` made, from the lowest.
    load_params: stage name → its parameters.
    text: embedding of every image's prompt; null_text of the empty one.
    files: every image's name, as `file_names` makes them.
    seed: root of the images' noise.
    batches: stage name → images drawn in a call; on a CPU two go at once.
  """
  root = jax.random.key(seed)
  low = None
  for name, sampler in samplers.items():
    run = functools.partial(sampler, load_params(name))
    whole = []
    with bars.bar(f'samples {name}', len(text), 'image') as bar:
      args = (text, null_text, low, root, batches[name])
      for index, drawn in _batches(bar, run, *args):
        whole.append(hosts.whole(drawn)[: len(index)])
        bar.update(len(index))
        for n, image in hosts.own_rows(drawn):
          if n < len(index):
            file = folder / name / files[index[n]]
            images.save_png(file, images.to_uint8(image))
    low = np.concatenate(whole)


def _batches(
  bar, run, text, null_text, low, root, batch: int
) -> Iterator[tuple[np.ndarray, jax.Array]]:
  """(numbers of images, what is drawn of them and is filled up to a batch)."""
  numbers = np.arange(len(text))
  parts = [numbers[n : n + batch] for n in numbers[::batch]]

  def begin(index):
    # The last batch is filled up, so that there is one compiled shape.
    full = np.resize(index, batch)
    lower = () if low is None else (low[full],)
    keys = rng.keys(root, 'sample', full)
    with bars.compiling(bar, now=index is parts[0]):
      return index, run(text[full], null_text, keys, *lower)

  return beside.each(begin, parts)


def file_names(prompts: Sequence[str], images_per_prompt: int) -> list[str]:
  """Of every prompt's images: '0002_a_photo_of_a_zk_dog.png'."""
  said = [_cut(disk.slug(p)) for p in prompts for _ in range(images_per_prompt)]
  return [f'{n:04d}_{words}.png' for n, words in enumerate(said)]


def _cut(words: str) -> str:
  """Not longer than a file's name may be, whatever the script."""
  return words[:_SAID].encode()[:_SAID_BYTES].decode(errors='ignore')


def write_index(
  folder: pathlib.Path,
  stages: Sequence[str],
  templates: Sequence[str],
  prompts: Sequence[str],
  images_per_prompt: int,
) -> None:
  """samples.json: every prompt with its images, for whoever reads them."""
  entries = []
  files = iter(file_names(prompts, images_per_prompt))
  for template, prompt in zip(templates, prompts, strict=True):
    drawn = [
      {stage: f'{stage}/{file}' for stage in stages}
      for file in itertools.islice(files, images_per_prompt)
    ]
    entries.append({'template': template, 'prompt': prompt, 'images': drawn})
  content = json.dumps(entries, indent=2) + '\n'
  disk.atomic_write(folder / 'samples.json', content.encode())
