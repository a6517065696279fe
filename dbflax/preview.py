"""A small grid of pictures while something is trained."""

import logging

import jax
import numpy as np

from dbflax import beside, hosts, methods, rng
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
  stage = 'stage_1' if name == methods.STEP else name
  count, size = job.config.sample.batch, job.batches()[stage]
  root = jax.random.key(job.config.seed)
  index = np.arange(count) % max(1, len(examples.image))

  def begin(numbers):
    keys, which = rng.keys(root, 'preview', numbers), index[numbers]
    low = () if examples.low is None else (examples.low[which],)
    text = examples.texts(which)
    return job.samplers[stage](params, text, null_text, keys, *low)

  numbers = np.arange(count).reshape(-1, size)
  tiles = np.concatenate([hosts.whole(d) for d in beside.each(begin, numbers)])
  if examples.low is not None:
    low = examples.low[index]
    scale = examples.image.shape[1] // low.shape[1]
    enlarged = low.repeat(scale, axis=1).repeat(scale, axis=2)
    tiles = np.stack([enlarged, tiles, examples.image[index]], 1)
    tiles = tiles.reshape(-1, *examples.image.shape[1:])
  columns = count if examples.low is None else 3
  if hosts.is_first():
    grid = images.grid(images.to_uint8(tiles), columns)
    file = folder / 'samples' / f'{step:06d}.png'
    images.save_png(file, grid)
    _log.info('%s: preview of step %d: %s', name, step, file)
