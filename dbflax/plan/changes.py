"""The smallest change of a config that makes a step fit, found by trying.

First what leaves the result as it is: parameters split over more devices,
activations recomputed, fewer images at once. Then what costs money, a larger
slice, or changes what is trained, a LoRA; of these both are shown.
"""

import itertools
from collections.abc import Iterator

from dbflax.plan import hardware

Change = dict[str, object]  # field of the config → new value

_LORA = 16


def harmless(config, step: str, devices: int) -> Iterator[Change]:
  """Changes to try that leave what a run makes as it is, smallest first."""
  wider = [
    _fsdp(config, n)
    for n in range(config.mesh.fsdp + 1, devices + 1)
    if devices % n == 0
  ]
  others = list(_others(config, step))
  yield from wider
  yield from others
  yield from (a | b for a, b in itertools.product(wider, others))


def _fsdp(config, devices: int) -> Change:
  rest = {} if config.mesh.data == -1 else {'mesh.data': -1}
  return {**rest, 'mesh.fsdp': devices}


def _others(config, step: str) -> Iterator[Change]:
  """Changes that have nothing to do with the mesh."""
  stage = step.split()[0]
  if step == 'text' and config.text.dtype == 'float32':
    yield {'text.dtype': 'bfloat16'}
  elif step == stage and step != 'text' and config[stage].remat == 'none':
    yield {f'{stage}.remat': 'blocks'}
  elif step != stage:
    section = 'prior' if step == 'class images' else 'sample'
    size = config[section].batch
    while size > 1:
      size //= 2
      yield {f'{section}.batch': size}


def other_training(config, step: str, devices: int) -> Iterator[Change]:
  """Changes to try that train less of the network."""
  stage = step.split()[0]
  if step not in (stage, f'{stage} previews') or step == 'text':
    return
  if config[stage].lora.rank or config[stage].trainable:
    return
  low_rank = {
    f'{stage}.lora.rank': _LORA,
    f'{stage}.frozen_dtype': 'bfloat16',
  }
  yield low_rank
  yield low_rank | _fsdp(config, devices)


def larger_slices(
  config, topology: hardware.Slice
) -> Iterator[tuple[hardware.Slice, Change]]:
  """Larger slices to try, with parameters split over all of their chips."""
  for larger in topology.larger():
    yield larger, _fsdp(config, larger.size)


def flags(change: Change) -> str:
  """The change as it is typed."""
  return ' '.join(
    f'--config.{field}={value}' for field, value in change.items()
  )
