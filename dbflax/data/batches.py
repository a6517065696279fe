"""Data order as a pure function of (seed, stream, step).

Example number p of a run (p = 0, 1, 2 … over all steps) is the p-th element
of an endless sequence of shuffled epochs. Nothing is iterated and nothing is
saved: a resumed run asks for its step and gets what it would have got.
"""

import concurrent.futures
import functools
from collections.abc import Callable

import numpy as np

from dbflax import rng


def indices(
  seed: int, stream: str, step: int, num_examples: int, batch: int
) -> np.ndarray:
  """The examples of `step`.

  Args:
    seed: the run's seed.
    stream: names the data set, so that two never share an order.
    step: training step, from 0.
    num_examples: size of the data set; every epoch visits each exactly once.
    batch: examples per step; may be larger than the data set.

  Returns:
    int64 [batch], each in [0, num_examples).
  """
  positions = np.arange(step * batch, (step + 1) * batch)
  epochs, offsets = np.divmod(positions, num_examples)
  return np.array(
    [
      _permutation(seed, stream, int(epoch), num_examples)[offset]
      for epoch, offset in zip(epochs, offsets, strict=True)
    ]
  )


# Neighbouring steps share an epoch; a large data set is shuffled once for it.
@functools.lru_cache(maxsize=8)
def _permutation(seed, stream, epoch, num_examples) -> np.ndarray:
  """int64 [num_examples]: the order of one epoch."""
  order = rng.numpy(seed, f'order/{stream}', epoch).permutation(num_examples)
  order.setflags(write=False)
  return order


class Ahead:
  """Calls `make(step)` a few steps ahead, in a thread.

  The host writes the next steps' batches while the device works on this one.
  Steps are asked for in turn; a batch is the same whenever it is made.
  """

  def __init__(self, make: Callable[[int], object], steps: int, depth: int = 3):
    self._make, self._steps, self._depth = make, steps, depth
    self._pool = concurrent.futures.ThreadPoolExecutor(1)
    self._made = {}

  def __call__(self, step: int):
    """The batch of `step`."""
    for coming in range(step, min(step + self._depth, self._steps)):
      if coming not in self._made:
        self._made[coming] = self._pool.submit(self._make, coming)
    return self._made.pop(step).result()
