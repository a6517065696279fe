"""How what a run costs grows with each of its sizes, measured on this machine.

  python -m benchmarks.growth --only batch resolution

The embedded cascade does what a run does, at sizes that double: seconds are the
least of --repetitions, compiled before. The exponent p of seconds ~ size^p is
fitted by least squares to their logarithms. What is the same for all sizes (a
program's start) makes it smaller, so the table has that of the last doubling
too. Of devices it is the bytes of parameters and optimizer state on one.
"""

import argparse
import functools
import math
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from benchmarks import ours
from benchmarks import spec as spec_lib
from configs import default
from dbflax import cascade, job, pretrained, prior, sample, sharding
from dbflax import subject as subject_lib
from dbflax.plan import memory
from dbflax.train import optimizer
from dbflax.train import state as state_lib

_DRAW = np.random.default_rng(0)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
  """p of costs ~ sizes^p, by least squares of the logarithms."""
  return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def photos(count: int, folder: pathlib.Path) -> Callable[[], None]:
  """Reading so many photos, and making them fit all stages."""
  config = default.get_config()
  source = sorted(subject_lib.subjects.EMBEDDED.glob('dog/*.png'))
  for n in range(count):
    shutil.copy(source[n % len(source)], folder / f'{n:03d}.png')
  config.subject.photos = str(folder)
  tokenizer = _model().tokenizer
  sizes = [stage.resolution for stage in _model().stages.values()]
  return lambda: subject_lib.load(config, tokenizer, sizes)


def batch(count: int, folder: pathlib.Path) -> Callable[[], None]:
  """A training step of stage_1 with so many examples of 64 pixels."""
  return _train(count, 64, folder)


def resolution(size: int, folder: pathlib.Path) -> Callable[[], None]:
  """A training step of stage_1 with two examples of that side."""
  return _train(2, size, folder)


def _train(count: int, size: int, folder: pathlib.Path) -> Callable[[], None]:
  shutil.copytree(pretrained.resolve(''), folder, dirs_exist_ok=True)
  normal = lambda *shape: _DRAW.normal(size=shape).astype(np.float32)
  np.savez(
    folder / 'inputs.npz',
    image=np.clip(normal(count, size, size, 3) / 2, -1, 1),
    text=_text(count),
    null_text=_text(),
  )
  spec = spec_lib.Spec(
    *('train', 'toybox', 'stage_1', count, 'float32', 'cpu', 0, str(folder)),
    steps={},
    guidance={},
  )
  return functools.partial(ours.build(spec, 'dbflax').run, 1)


def class_images(count: int, folder: pathlib.Path) -> Callable[[], None]:
  """Drawing so many class images, eight at once."""
  options = default.get_config().prior
  sampling = cascade.Sampling(
    options.sampler, options.steps, options.guidance_scale
  )
  sampler, load = _sampler('stage_1', sampling)

  def run():
    shutil.rmtree(folder)
    prior.draw(
      *(folder, sampler, load(), _text(), _text()), seed=0, count=count, batch=8
    )

  return run


def prompts(count: int, folder: pathlib.Path) -> Callable[[], None]:
  """Drawing one picture of so many prompts, through all stages, one at once."""
  config = default.get_config()
  made = {
    name: _sampler(name, job.sampling(config, name)) for name in cascade.STAGES
  }
  samplers = {name: sampler for name, (sampler, _) in made.items()}
  load = lambda name: made[name][1]()
  return functools.partial(
    *(sample.draw, folder, samplers, load, _text(count), _text()),
    files=sample.file_names([''] * count, 1),
    seed=0,
    batches=dict.fromkeys(samplers, 1),
  )


def devices(count: int) -> float:
  """Bytes of stage_1's parameters and AdamW's moments on one device."""
  params = pretrained.abstract_params(_model(), 'stage_1')
  tx = optimizer.build(learning_rate=1e-4)
  state = jax.eval_shape(lambda p: state_lib.create(p, tx, ema=False), params)
  mesh = sharding.abstract_mesh(count, data=1, fsdp=count)
  return memory.per_device(memory.placed(state, mesh))


@functools.cache
def _model() -> cascade.Cascade:
  return pretrained.load('')


def _text(*shape: int) -> np.ndarray:
  """Numbers in the place of embeddings; what they are does not matter."""
  width = _model().encoder.d_model
  shape = (*shape, spec_lib.TOKENS, width)
  return _DRAW.normal(size=shape).astype(np.float32)


@functools.cache
def _sampler(name: str, sampling: cascade.Sampling):
  """(a stage's sampler, what loads its parameters)."""
  mesh = sharding.make_mesh()
  sampler = cascade.make_sampler(_model().stages[name], sampling, mesh)
  load = functools.cache(lambda: pretrained.load_params(_model(), name, mesh))
  return sampler, load


TIMED = {
  'photos': (photos, (2, 4, 8, 16)),
  'prompts': (prompts, (1, 2, 4)),
  'class_images': (class_images, (8, 16, 32)),
  'resolution': (resolution, (16, 32, 64, 128)),
  'batch': (batch, (1, 2, 4, 8)),
}
CASES = (*TIMED, 'devices')


def measure(case: str, repetitions: int) -> tuple[Sequence[int], list[float]]:
  """(sizes, what each costs)."""
  if case == 'devices':
    sizes = (1, 2, 4, 8)
    return sizes, [devices(size) for size in sizes]
  make, sizes = TIMED[case]
  return sizes, [_least(make, size, repetitions) for size in sizes]


def _least(make: Callable, size: int, repetitions: int) -> float:
  """The least seconds of a few, after one that compiles."""
  with tempfile.TemporaryDirectory() as folder:
    run = make(size, pathlib.Path(folder))
    found = []
    for _ in range(repetitions + 1):
      start = time.monotonic()
      run()
      found.append(time.monotonic() - start)
  return min(found[1:])


def row(case: str, sizes: Sequence[int], costs: Sequence[float]) -> str:
  last = math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2])
  form = (
    (lambda c: f'{c / 2**20:.2f} MiB')
    if case == 'devices'
    else (lambda c: f'{c:.3g} s')
  )
  shown = ', '.join(
    f'{size}: {form(cost)}' for size, cost in zip(sizes, costs, strict=True)
  )
  return f'| {case} | {shown} | {exponent(sizes, costs):.2f} | {last:.2f} |'


def main(argv: Sequence[str] | None = None) -> None:
  parser = argparse.ArgumentParser('python -m benchmarks.growth')
  known = f'of {", ".join(CASES)}'
  parser.add_argument(
    '--only',
    nargs='+',
    default=CASES,
    choices=CASES,
    metavar='SIZE',
    help=known,
  )
  parser.add_argument('--repetitions', type=int, default=3)
  args = parser.parse_args(argv)
  print('| size | cost | exponent | of the last doubling |\n|---|---|---|---|')
  for case in args.only:
    print(row(case, *measure(case, args.repetitions)), flush=True)


if __name__ == '__main__':
  main()
