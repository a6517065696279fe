"""A small grid of pictures while something is trained."""

import logging

import jax
import numpy as np

from dbflax import hosts, methods, rng
from dbflax import job as job_lib
from dbflax.data import images
from dbflax.plan import steps

_log = logging.getLogger(__name__)


def draw(
  job: job_lib.Job, name: str, examples, null_text, folder, params, step
) -> None:
  """A grid while training; for super-resolution: lower image, output, photo.

  `name` is the step's that trains.
  """
  job.begins(name + steps.PREVIEWS)
  sample = job.samplers['stage_1' if name == methods.STEP else name]
  count = job.config.sample.batch
  root = jax.random.key(job.config.seed)
  keys = rng.keys(root, 'preview', np.arange(count))
  index = np.arange(count) % max(1, len(examples.image))
  text = examples.texts(index)
  if examples.low is None:
    drawn = sample(params, text, null_text, keys)
    tiles = hosts.whole(drawn)
  else:
    low = examples.low[index]
    drawn = sample(params, text, null_text, keys, low)
    scale = examples.image.shape[1] // low.shape[1]
    enlarged = low.repeat(scale, axis=1).repeat(scale, axis=2)
    tiles = np.stack([enlarged, hosts.whole(drawn), examples.image[index]], 1)
    tiles = tiles.reshape(-1, *examples.image.shape[1:])
  columns = count if examples.low is None else 3
  if hosts.is_first():
    grid = images.grid(images.to_uint8(tiles), columns)
    file = folder / 'samples' / f'{step:06d}.png'
    images.save_png(file, grid)
    _log.info('%s: preview of step %d: %s', name, step, file)
