"""What the processes of a benchmark tell each other."""

import dataclasses
from collections.abc import Callable

TOKENS = 77  # of a prompt, as in IF
NOISE_LEVEL = 0.02  # of the lower image; 20 steps of the schedule
LEARNING_RATE = 1e-6


@dataclasses.dataclass(frozen=True)
class Spec:
  """One case, as its processes are told it.

  kind: what is done ('train', 'images', 'cascade' or 'text').
  network: of `networks.CONFIGS`, or 'toybox' for the embedded cascade.
  part: 'stage_1' …, or 'text_encoder'; '' is all stages.
  batch, dtype: the same on all sides; threads: of a CPU.
  folder: a cascade directory, and `inputs.npz`.
  steps, guidance: of sampling, by stage.
  """

  kind: str
  network: str
  part: str
  batch: int
  dtype: str
  device: str  # 'cpu' or 'gpu'
  threads: int
  folder: str
  steps: dict[str, int]
  guidance: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Work:
  """What one side does in one case.

  run: does so many calls, waits for the device, and returns the last result.
  count: FLOPs of one call, on the side that can count them.
  """

  run: Callable
  count: Callable[[], float] | None = None
