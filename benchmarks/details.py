"""What the super-resolution stages of a study's runs make of their subjects.

  python -m benchmarks.details --mode=study \\
    --config=configs/studies/noise.py --workdir=runs/study_noise

Of toybox's subjects the truth is known: renders that a run has never seen are
enlarged by its stage_2 from 64 to 256 pixels, and compared with renders of 256.
The oracle, which judges samples, looks at 64 pixels and cannot see that.

    <workdir>/details.json   as results.json has it, for dbflax.study.compare
    <workdir>/details.jpg    a row for each subject, of its first render:
                             bicubic enlargement, each arm with the first
                             seed, the truth

The study has to be done first.
"""

import functools
import sys
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from dbflax import cascade, disk, errors, main, nouns
from dbflax import job as job_lib
from dbflax import workdir as workdir_lib
from dbflax.data import images
from dbflax.evaluate import lpips, metrics
from dbflax.study import elsewhere, results, runs
from dbflax.toybox import scene as scene_lib
from dbflax.toybox import subjects
from dbflax.train import drawing

_STAGE, _LOW = 'stage_2', 64
_COUNT = 8  # renders of a subject
_BICUBIC = ' of bicubic enlargement'


class Truth(NamedTuple):
  """Renders of a subject [N, R, R, 3] in [-1, 1], and what is easily had.

  Attributes:
    real: the renders.
    low: the same of 64 pixels.
    bicubic: `low`, enlarged.
    figures: of that.
  """

  real: np.ndarray
  low: np.ndarray
  bicubic: np.ndarray
  figures: dict[str, float]


def unseen(subject: subjects.Subject) -> list[scene_lib.Scene]:
  """Scenes of the individual, in places that none of its photos shows."""
  shown = {place for place, *_ in subject.shots}
  places = [place for place in scene_lib.PLACES if place not in shown]
  return [
    subjects.scene(
      subject,
      'unseen',
      n,
      place=places[n % len(places)],
      view=scene_lib.VIEWS[n % len(scene_lib.VIEWS)],
    )
    for n in range(_COUNT)
  ]


def figures(drawn: np.ndarray, real: np.ndarray) -> dict[str, float]:
  """PSNR (dB) and LPIPS of pictures [N, R, R, 3] in [-1, 1], their means."""
  # One at a time: LPIPS holds much.
  far = [
    lpips.distance(a[None], b[None]).item()
    for a, b in zip(drawn, real, strict=True)
  ]
  return {
    'pixels: PSNR': float(metrics.psnr(drawn, real).mean()),
    f'{lpips.NAMES[lpips.ALEXNET]}: distance': float(np.mean(far)),
  }


def measure(one: runs.Run) -> tuple[dict, np.ndarray, Truth]:
  """A run as results.json lists it, what it enlarges [N, R, R, 3], the truth.

  Raises:
    UserError: the run is not done, has no stage_2, or no subject of toybox.
  """
  config = nouns.resolved(one.config)
  kind, _, name = config.subject.photos.partition(':')
  if kind != 'toybox' or _STAGE not in config.cascade.stages:
    raise errors.UserError(
      f'{one.config.name} has subject.photos={config.subject.photos} and '
      f'cascade.stages={config.cascade.stages}; it needs a subject of toybox, '
      f'of which the truth is known, and {_STAGE}'
    )
  if not runs.read_scores([one]):
    raise errors.UserError(f'{one.config.name} is not done; --mode=study does')
  job = job_lib.start(config, workdir_lib.Workdir(one.folder, config.name))
  truth = _truth(name, job.model.stages[_STAGE].resolution)
  drawn = _enlarge(job, one, truth.low)
  entry = {
    **{'arm': one.arm, 'subject': one.subject, 'seed': one.seed},
    'made_of': elsewhere.after(one.folder),
    'figures': figures(drawn, truth.real) | truth.figures,
  }
  return entry, drawn, truth


@functools.cache
def _truth(name: str, resolution: int) -> Truth:
  """Of a subject, once for all arms."""
  scenes = unseen(subjects.named(name))
  low, real = (
    np.stack([subjects.draw(scene, side) for scene in scenes])
    for side in (_LOW, resolution)
  )
  bicubic = np.clip(jax.image.resize(low, real.shape, 'cubic'), -1, 1)
  named = {k + _BICUBIC: v for k, v in figures(bicubic, real).items()}
  return Truth(real, low, bicubic, named)


def _enlarge(job: job_lib.Job, one: runs.Run, low: np.ndarray) -> np.ndarray:
  """The pictures [N, r, r, 3] by the run's stage, as it draws samples."""
  is_trained = job.config[_STAGE].train
  tuned = one.folder / _STAGE / 'unet' if is_trained else None
  params = job.load_params(_STAGE, tuned)
  sample = cascade.make_sampler(
    job.model.stages[_STAGE], job_lib.sampling(job.config, _STAGE)
  )
  text, null_text = job.embed([f'a photo of a {job.subject}', ''])
  keys = drawing.keys(job.config.seed, 'details', len(low))
  # One at a time: a small machine's memory.
  drawn = [
    sample(params, text[None], null_text, keys[n : n + 1], low[n : n + 1])
    for n in range(len(low))
  ]
  return np.concatenate(drawn)


def save(path, rows: list[list[np.ndarray]]) -> None:
  """Writes rows of pictures [R, R, 3] in [-1, 1], as one."""
  tiles = images.to_uint8(np.stack([tile for row in rows for tile in row]))
  sheet = Image.fromarray(images.grid(tiles, len(rows[0])))
  with disk.atomic_path(path) as partial:
    # Threads of four pixels would lose their colour if it were subsampled.
    sheet.save(partial, 'JPEG', quality=75, subsampling=0)


def run(argv: list[str]) -> None:
  config, mode, work, _ = main.parse(argv)
  if mode != 'study':
    raise errors.UserError(f'--mode={mode}; give --mode=study and its --config')
  planned = runs.plan(config, work.root)
  listed, rows = [], {}
  for one in planned:
    entry, drawn, truth = measure(one)
    listed.append(entry)
    print(one.config.name, entry['figures'], flush=True)
    row = rows.setdefault(one.subject, [truth.bicubic[0], truth.real[0]])
    if one.seed == config.seeds[0]:
      row.insert(-1, drawn[0])
  found = results.gather(config, listed, len(planned))
  found['name'] += '_details'
  disk.write_json(work.root / 'details.json', found)
  save(work.root / 'details.jpg', list(rows.values()))
  print(results.table(found))


if __name__ == '__main__':
  try:
    run(sys.argv)
  except errors.UserError as error:
    sys.exit(f'details: {error}')
