"""What is measured, at which size.

train     forward, loss, backward and AdamW of one batch that is on the device
images    a batch of class images, as prior generation draws them
cascade   a batch of pictures through the three stages of toybox
text      a batch of prompts through the text encoder
"""

import dataclasses

from benchmarks import spec as spec_lib

# As configs/default.py draws toybox's class images, and IF's pipelines by
# default. Its samples take less now: 4 and 2 steps of DDIM above 64 pixels.
_TOYBOX = {'stage_1': 32, 'stage_2': 12, 'stage_3': 6}
_TOYBOX_GUIDANCE = {'stage_1': 3.0, 'stage_2': 1.0, 'stage_3': 1.0}
_IF_GUIDANCE = {'stage_1': 7.0, 'stage_2': 4.0}


@dataclasses.dataclass(frozen=True)
class Case:
  """`batch` is that of a CPU and of a GPU."""

  kind: str
  network: str
  part: str
  batch: tuple[int, int]
  steps: dict[str, int] = dataclasses.field(default_factory=dict)
  guidance: dict[str, float] = dataclasses.field(default_factory=dict)

  @property
  def name(self) -> str:
    of_toybox = self.network == 'toybox' and self.kind == 'train'
    part = f'-{self.part}' if of_toybox else ''
    return f'{self.kind}/{self.network}{part}'

  @property
  def unit(self) -> str:
    """What a batch has so many of."""
    return 'prompt' if self.kind == 'text' else 'image'


def _images(network: str, batch: tuple[int, int], steps: int) -> Case:
  return Case(
    *('images', network, 'stage_1', batch),
    {'stage_1': steps},
    _IF_GUIDANCE,
  )


ALL = (
  Case('train', 'toybox', 'stage_1', (2, 16)),
  Case('train', 'toybox', 'stage_2', (2, 8)),
  Case('train', 'base-29m', 'stage_1', (2, 16)),
  Case('train', 'sr-30m', 'stage_2', (2, 8)),
  Case('train', 'IF-I-M', 'stage_1', (2, 16)),
  Case('train', 'IF-II-L', 'stage_2', (1, 4)),
  Case('images', 'toybox', 'stage_1', (8, 32), _TOYBOX, _TOYBOX_GUIDANCE),
  _images('base-29m', (4, 32), 10),
  _images('IF-I-M', (2, 32), 20),
  Case('cascade', 'toybox', '', (2, 4), _TOYBOX, _TOYBOX_GUIDANCE),
  Case('text', 'toybox', 'text_encoder', (8, 8)),
  Case('text', 't5-base', 'text_encoder', (8, 8)),
  Case('text', 't5-xxl', 'text_encoder', (8, 8)),
)
# For tests; not among those that run by default.
TINY = (
  Case('train', 'tiny-base', 'stage_1', (2, 2)),
  Case('train', 'tiny-sr', 'stage_2', (2, 2)),
  _images('tiny-base', (2, 2), 2),
  Case('text', 'tiny-t5', 'text_encoder', (2, 2)),
)
KNOWN = {case.name: case for case in (*ALL, *TINY)}
# Too large for the memory or the patience of a CPU.
GPU_ONLY = ('train/IF-I-M', 'train/IF-II-L', 'images/IF-I-M', 'text/t5-xxl')


def choose(names: list[str], device: str) -> list[Case]:
  """The cases of these names; without names, all that fit the device."""
  if names:
    return [KNOWN[name] for name in names]
  return [c for c in ALL if device == 'gpu' or c.name not in GPU_ONLY]


def spec(
  case: Case,
  *,
  folder: str,
  device: str,
  threads: int,
  batch: int | None = None,
  steps: int | None = None,
  dtype: str | None = None,
) -> spec_lib.Spec:
  """The case on a device; `batch`, `dtype` and `steps` (of all) override."""
  return spec_lib.Spec(
    kind=case.kind,
    network=case.network,
    part=case.part,
    batch=batch or case.batch[device == 'gpu'],
    dtype=dtype or ('bfloat16' if device == 'gpu' else 'float32'),
    device=device,
    threads=threads,
    folder=folder,
    steps={name: steps or n for name, n in case.steps.items()},
    guidance=case.guidance,
  )
