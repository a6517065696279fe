"""The smallest change of a config that makes a step fit, found by trying.

First what leaves the result as it is: parameters split over more devices,
activations computed again, a batch cut into microbatches, fewer images at once.
Then what costs money, a larger slice, or changes the result; of these both are
shown. An optimizer with a smaller state changes it less than a LoRA does.
"""

import itertools
from collections.abc import Iterator

from dbflax import methods, validate
from dbflax.plan import hardware

Change = dict[str, object]  # field of the config → new value

_LORA = 16


def harmless(config, step: str, devices: int) -> Iterator[Change]:
  """Changes to try that leave what a run makes as it is, smallest first."""
  wider, others = _wider(config, devices), list(_others(config, step))
  yield from wider
  yield from others
  yield from _pairs(wider, others)


def _wider(config, devices: int) -> list[Change]:
  """Parameters split over more devices, up to all of them."""
  return [
    _fsdp(config, n)
    for n in range(config.mesh.fsdp + 1, devices + 1)
    if devices % n == 0
  ]


def _fsdp(config, devices: int) -> Change:
  rest = {} if config.mesh.data == -1 else {'mesh.data': -1}
  return {**rest, 'mesh.fsdp': devices}


def _pairs(ones: list[Change], others: list[Change]) -> Iterator[Change]:
  yield from (a | b for a, b in itertools.product(ones, others))


def _others(config, step: str) -> Iterator[Change]:
  """Changes that have nothing to do with the mesh."""
  if step == 'text':
    if config.text.dtype == 'float32':
      yield {'text.dtype': 'bfloat16'}
  elif step in config.cascade.stages:
    yield from _activations(config[step], step)
  elif step == methods.STEP:  # Through the text encoder and the base.
    yield from _again(config.stage_1, 'stage_1')
  else:
    section = 'prior' if step == 'class images' else 'sample'
    yield from ({f'{section}.batch': n} for n in _less(config[section].batch))


def _activations(stage, name: str) -> Iterator[Change]:
  """A gradient that keeps less of them, or is of fewer images at once."""
  again = _again(stage, name)
  parts = [
    {f'{name}.microbatches': n}
    for n in range(stage.microbatches + 1, stage.batch + 1)
    if stage.batch % n == 0
  ]
  yield from again
  yield from parts
  yield from _pairs(again, parts)


def _again(stage, name: str) -> list[Change]:
  """Activations computed again, those first that take the least time."""
  more = validate.REMAT[validate.REMAT.index(stage.remat) + 1 :]
  return [{f'{name}.remat': word} for word in more]


def _less(size: int) -> Iterator[int]:
  """Half of it, a fourth of it, …, 1."""
  while size > 1:
    size //= 2
    yield size


def other_training(config, step: str, devices: int) -> Iterator[Change]:
  """Changes to try that train otherwise: nearly as well, then less.

  Each alone, then together with the least and the most of what is harmless.
  """
  stage = step.split()[0]
  if stage not in config.cascade.stages or step.endswith('samples'):
    return
  wider, others = _wider(config, devices), list(_others(config, step))
  widest, ends = wider[-1:], others[:1] + others[1:][-1:]
  most = [*widest, *ends, *_pairs(widest, ends)]
  for change in (
    *_optimizers(config[stage], stage),
    *_lora(config[stage], stage),
  ):
    yield change
    yield from (change | more for more in most)


def _optimizers(stage, name: str) -> Iterator[Change]:
  """With less state for each parameter: half of it, then next to none."""
  is_small = stage.moments_dtype != 'float32'
  if stage.optimizer == 'adamw' and not is_small:
    yield {f'{name}.moments_dtype': 'bfloat16'}
  if stage.optimizer != 'adafactor':
    # Only AdamW's moments can be in bfloat16.
    rest = {f'{name}.moments_dtype': 'float32'} if is_small else {}
    yield {f'{name}.optimizer': 'adafactor', **rest}


def _lora(stage, name: str) -> Iterator[Change]:
  if not (stage.lora.rank or stage.trainable):
    yield {f'{name}.lora.rank': _LORA, f'{name}.frozen_dtype': 'bfloat16'}


def larger_slices(
  config, topology: hardware.Slice
) -> Iterator[tuple[str, Change]]:
  """Larger slices to try, with parameters split over all of their chips."""
  for larger in topology.larger():
    yield larger.name, _fsdp(config, larger.size)


def flags(change: Change) -> str:
  """The change as it is typed."""
  return ' '.join(
    f'--config.{field}={value}' for field, value in change.items()
  )
