"""Class images: what the frozen cascade already thinks a class looks like.

Drawn at the base stage's resolution from the plain class prompt, and written
as PNG as they are made. Image i depends on (seed, i) alone, so an interrupted
run draws exactly the ones that are missing, and every host writes those that
its own devices drew.
"""

import logging
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float

from dbflax import bars, beside, errors, hosts, rng
from dbflax.data import images

_log = logging.getLogger(__name__)


def path(folder: pathlib.Path, index: int) -> pathlib.Path:
  return folder / f'{index:04d}.png'


def draw(
  folder: pathlib.Path,
  sampler: Callable,
  params: dict,
  text: Float[Array, 'L D'],
  null_text: Float[Array, 'L D'],
  *,
  seed: int,
  count: int,
  batch: int,
  stream: str = 'prior',
) -> None:
  """Draws the class images that are not in `folder` yet.

  Args:
    folder: where image i is written as 000i.png.
    sampler: made by `cascade.make_sampler` from the base stage.
    params: of the pre-trained base stage.
    text: embedding of the class prompt; null_text of the empty one.
    seed: root of the images' noise.
    count: how many there shall be; batch: how many are drawn at once.
    stream: names the noise, so that two classes do not share it.
  """
  missing = hosts.from_first(lambda: _missing(folder, count))
  root = jax.random.key(seed)
  texts = np.broadcast_to(text, (batch, *text.shape))
  done = count - len(missing)
  chunks = [missing[n : n + batch] for n in range(0, len(missing), batch)]
  with bars.bar('class images', count, 'image', done) as bar:

    def begin(chunk):
      # The last batch is filled up, so that there is one compiled shape.
      keys = rng.keys(root, stream, np.resize(np.array(chunk), batch))
      with bars.compiling(bar, now=chunk is chunks[0]):
        return chunk, sampler(params, texts, null_text, keys)

    for chunk, drawn in beside.each(begin, chunks):
      for n, image in hosts.own_rows(drawn):
        if n < len(chunk):
          images.save_png(path(folder, chunk[n]), images.to_uint8(image))
      bar.update(len(chunk))


def _missing(folder: pathlib.Path, count: int) -> list[int]:
  """Those that are not there, or damaged: PNG has checksums of its own."""
  return [i for i in range(count) if not _is_whole(path(folder, i))]


def _is_whole(file: pathlib.Path) -> bool:
  if not file.exists():
    return False
  try:
    images.load(file)
  except errors.UserError as error:
    _log.warning('drawn again: %s', error)
    return False
  return True


def load(folder: pathlib.Path, count: int) -> Float[np.ndarray, 'N H W 3']:
  """The class images, in [-1, 1]."""
  read = lambda i: images.to_float(images.load(path(folder, i)))
  return np.stack([read(i) for i in range(count)])
