"""How good a pre-trained toybox cascade is: numbers and contact sheets.

    python -m dbflax.main --mode=pretrain --config=configs/toybox.py:measure

Everything is a pure function of the weights, the seed and the counts. What is
measured goes into `measure.json`, beside how it was, and is kept there until
the same is measured again, so the parts can be run one by one:

    oracle     how often the reader of all other numbers is itself right
    base       samples of 64 pixels: is drawn what the caption says?
    held_out   the same of combinations that pre-training never shows
    diversity  how varied dogs are, against real renders
    samplers   class images by each sampler: right, varied, seconds of one
    sr         super-resolution against bicubic; draws `enlarged.png`
    time       seconds for one picture through all stages
    sheets     `sheets/<class>.png`, samples beneath real renders

At the end one table shows all that is known of the cascade, each number
beside the bar it should reach.
"""

import functools
import json
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np

from dbflax import cascade, disk, errors, pretrained
from dbflax.data import images
from dbflax.evaluate import lpips
from dbflax.toybox import oracle as oracle_lib
from dbflax.toybox import oracle_check
from dbflax.train import (
  drawing,
  measure_base,
  measure_samplers,
  measure_sr,
  measure_table,
  sheets,
)

# The networks that each part is about.
_USES = {
  'oracle': ('oracle',),
  'base': ('text_encoder', 'stage_1', 'oracle'),
  'held_out': ('text_encoder', 'stage_1', 'oracle'),
  'diversity': ('text_encoder', 'stage_1'),
  'samplers': ('text_encoder', 'stage_1', 'oracle'),
  'sr': ('text_encoder', 'stage_2', 'stage_3'),
  'time': ('text_encoder', *cascade.STAGES),
  'sheets': ('text_encoder', 'stage_1'),
}
PARTS = tuple(_USES)


class _Bench:
  """The cascade to measure; its networks are compiled when first used."""

  def __init__(self, config, folder: pathlib.Path):
    self.seed = config.seed
    self.options = config.measure
    self.max_length = config.max_length
    self.folder = folder
    self.model = pretrained.load(folder)
    self.draw = functools.cache(self._sampler)

  @functools.cached_property
  def encode(self) -> drawing.Encode:
    return drawing.encoder(self.model, self.max_length)

  @functools.cached_property
  def oracle(self) -> oracle_lib.Oracle:
    return oracle_lib.load(self.folder / 'oracle')

  def _sampler(self, name: str, batch: int, **changes) -> drawing.Draw:
    settings = self.options.sample[name].to_dict() | changes
    options = cascade.Sampling(**settings)
    return drawing.sampler(self.model, name, options, self.encode, batch)

  def draw_base(self, prompts, keys) -> drawing.Image:
    return self.draw('stage_1', self.options.batch)(prompts, keys)

  def renderer(self, name: str, batch: int) -> drawing.Render:
    return drawing.renderer(self.model.stages[name].resolution, batch)

  def weights(self, part: str) -> str:
    """Fingerprint of the networks that a part is about."""
    files = lambda name: (
      self.folder / name
      if name == 'oracle'
      else pretrained.sources(self.model, name)
    )
    return disk.fingerprint({name: files(name) for name in _USES[part]})

  def settings(self, part: str) -> dict:
    """How a part is measured: all that its numbers depend on."""
    options = self.options.to_dict()
    sample = options['sample']
    return {
      'seed': self.seed,
      **options.get(part, {}),
      'sample': {n: sample[n] for n in _USES[part] if n in sample},
      'device': jax.devices()[0].device_kind,
      'weights': self.weights(part),
    }


def run(config, folder: pathlib.Path, out: pathlib.Path) -> None:
  """Measures the cascade in `folder`; writes to `out`, prints a table.

  Args:
    config: configs/toybox.py; `config.measure.only` chooses parts.
    folder: the cascade directory, with the oracle in it.
    out: measure.json and sheets.

  Raises:
    UserError: no such part, or a network of the cascade is missing.
  """
  chosen = choose(config.measure.only)
  bench, path = _Bench(config, folder), out / 'measure.json'
  results = json.loads(disk.read(path)) if path.exists() else {}
  for part in chosen:
    # Before the measure: it may take long, and the weights may change.
    settings = bench.settings(part)
    record = _MEASURES[part](bench, out)
    results = {**results, part: {**record, 'settings': settings}}
    # Others may have been measured in another order.
    results = {part: results[part] for part in PARTS if part in results}
    disk.write_json(path, results)
  stale = {
    part
    for part, record in results.items()
    if record['settings']['weights'] != bench.weights(part)
  }
  print(measure_table.table(results, stale))


def choose(only: str) -> list[str]:
  """The parts in a comma list, in their order; '' is all.

  Raises:
    UserError: a part that does not exist.
  """
  names = [name.strip() for name in only.split(',')] if only else PARTS
  unknown = [name for name in names if name not in PARTS]
  if unknown:
    raise errors.UserError(
      f'--config.measure.only={only!r}: no measure {unknown[0]!r}; '
      f'measures: {", ".join(PARTS)}'
    )
  return [part for part in PARTS if part in names]


def _distance() -> Callable | None:
  """LPIPS, or None without the extra that brings its network."""
  return lpips.distance if lpips.is_installed() else None


def _oracle(bench: _Bench, out: pathlib.Path) -> dict:
  del out
  count = bench.options.oracle.count
  shares = oracle_check.measure(bench.oracle, bench.seed, scenes=count)
  return {'values': {name.removesuffix('_id'): v for name, v in shares.items()}}


def _base(bench: _Bench, out: pathlib.Path, *, held_out: bool = False) -> dict:
  del out
  options = bench.options
  return measure_base.measure(
    bench.draw_base,
    bench.renderer('stage_1', options.batch),
    # Loaded here: a missing oracle is told before samples are drawn.
    functools.partial(oracle_lib.read, bench.oracle),
    seed=bench.seed,
    count=(options.held_out if held_out else options.base).count,
    held_out=held_out,
  )


def _diversity(bench: _Bench, out: pathlib.Path) -> dict:
  del out
  distance = _distance()
  if distance is None:
    return {'values': {'of renders': None}}
  return measure_base.diversity(
    bench.draw_base,
    bench.renderer('stage_1', bench.options.batch),
    distance,
    seed=bench.seed,
    count=bench.options.diversity.count,
  )


def _samplers(bench: _Bench, out: pathlib.Path) -> dict:
  del out
  batch, options = bench.options.batch, bench.options.samplers
  return measure_samplers.measure(
    lambda sampler, steps: bench.draw(
      'stage_1', batch, sampler=sampler, steps=steps
    ),
    bench.renderer('stage_1', batch),
    functools.partial(oracle_lib.read, bench.oracle),
    _distance(),
    seed=bench.seed,
    count=options.count,
    choices=options.choices,
  )


def _sr(bench: _Bench, out: pathlib.Path) -> dict:
  record, shown = {'values': {}, 'bars': {}}, []
  for below, name in zip(cascade.STAGES, cascade.STAGES[1:], strict=False):
    pictures = measure_sr.enlarge(
      bench.draw(name, 1),
      bench.renderer(below, 1),
      bench.renderer(name, 1),
      seed=bench.seed,
      count=bench.options.sr[name].count,
    )
    compared = measure_sr.compare(name, pictures, _distance())
    record = {key: {**record[key], **compared[key]} for key in record}
    shown.append(pictures)
  images.save_png(out / 'enlarged.png', measure_sr.sheet(shown))
  return record


def _time(bench: _Bench, out: pathlib.Path) -> dict:
  """One picture through all stages; compiled before, text encoded anew."""
  keys = drawing.keys(bench.seed, 'measure time', 1)
  spent = {}
  for _ in range(2):  # The first time compiles.
    picture = None
    for name in cascade.STAGES:
      start = time.monotonic()
      picture = bench.draw(name, 1)(
        ['a photo of a dog on the beach'], keys, picture
      )
      spent[name] = time.monotonic() - start
  drawn = images.to_uint8(np.asarray(picture[0]))
  images.save_png(out / 'whole.png', drawn)
  return {'values': {'seconds': sum(spent.values()), **spent}}


def _sheets(bench: _Bench, out: pathlib.Path) -> dict:
  made = sheets.draw(
    bench.draw_base,
    bench.renderer('stage_1', bench.options.batch),
    seed=bench.seed,
  )
  for noun, sheet in made.items():
    images.save_png(out / 'sheets' / f'{noun}.png', sheet)
  return {}


_MEASURES = {
  'oracle': _oracle,
  'base': _base,
  'held_out': functools.partial(_base, held_out=True),
  'diversity': _diversity,
  'samplers': _samplers,
  'sr': _sr,
  'time': _time,
  'sheets': _sheets,
}
