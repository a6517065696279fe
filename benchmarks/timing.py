"""Interleaved repetitions, and what is made of them."""

import math
import statistics
from collections.abc import Iterator, Sequence

OURS = 'dbflax'
# Largest relative difference of two sides' first results. In bfloat16 each
# side rounds in other places.
TOLERANCE = {'float32': 1e-3, 'bfloat16': 3e-2}


def order(sides: Sequence[str], repetitions: int) -> Iterator[str]:
  """All sides in turn, every other time backwards.

  What changes slowly (heat, other users of the machine) then meets all alike.
  """
  for n in range(repetitions):
    yield from sides if n % 2 == 0 else reversed(sides)


def calls(first: float, least: float = 1.0, most: int = 20) -> int:
  """So many calls that they take `least` seconds, if one takes `first`."""
  return max(1, min(most, round(least / max(first, 1e-9))))


def summarise(
  sides: dict[str, dict], peak: float | None = None
) -> dict[str, dict]:
  """Adds medians, and ratios to ours: above 1, ours is faster or smaller.

  Args:
    sides: name → 'seconds' of repetitions, 'peak_bytes', 'flops', as far as
      they are known; ours alone counts FLOPs.
    peak: FLOP/s of the device, for the share of it that is used.
  """
  ours = sides.get(OURS, {})
  return {n: {**s, **_derived(s, ours, peak)} for n, s in sides.items()}


def _derived(side: dict, ours: dict, peak: float | None) -> dict:
  found = {}
  if seconds := side.get('seconds'):
    found['median_s'] = median = statistics.median(seconds)
    if ours.get('seconds'):
      found['time_over_ours'] = median / statistics.median(ours['seconds'])
    if peak and 'flops' in ours:
      found['utilisation'] = ours['flops'] / median / peak
  if 'peak_bytes' in side and 'peak_bytes' in ours:
    found['memory_over_ours'] = side['peak_bytes'] / ours['peak_bytes']
  return found


def disagreement(sides: dict[str, dict]) -> float | None:
  """Largest relative difference of the first results from ours, if any."""
  found = {n: s[_measure(s)] for n, s in sides.items() if 'norm' in s}
  if OURS not in found or len(found) < 2:
    return None
  ours = found.pop(OURS)
  off = [abs(other - ours) / abs(ours) for other in found.values()]
  return max(off, key=lambda value: (math.isnan(value), value))


def _measure(side: dict) -> str:
  return 'norm' if side['result'] is None else 'result'
