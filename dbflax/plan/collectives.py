"""Which bytes devices exchange, read off the text of a compiled program.

A collective that runs beside the computation is written into several fusions;
they share its channel.
"""

import collections
import math
import re

from dbflax.plan import hlo

KINDS = (
  'all-gather',
  'all-reduce',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
_OP = re.compile(rf'= (.*?) ({"|".join(KINDS)})(-start)?\(.*')
_CHANNEL = re.compile(r'channel_id=(\d+)')
_SHAPE = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]')


def read(text: str) -> dict[str, dict[str, int]]:
  """{kind: {'count': …, 'bytes': …}} of one run of the program, per device.

  Bytes are those of a collective's result, or of what a reduce-scatter reduces.
  """
  computations, entry = hlo.split(text)
  found = {}  # (channel or line, times) → (kind, bytes)
  for name, times in hlo.walk(computations, entry):
    for match in filter(None, map(_OP.search, computations.get(name, ()))):
      channel = _CHANNEL.search(match.string)
      key = (channel[1] if channel else match.string, times)
      found[key] = _kind(name, match[2]), _size(match)
  totals = collections.defaultdict(lambda: {'count': 0, 'bytes': 0})
  for (_, times), (kind, size) in found.items():
    totals[kind]['count'] += times
    totals[kind]['bytes'] += times * size
  return dict(totals)


def _kind(computation: str, op: str) -> str:
  # A reduce-scatter is a fusion of an all-reduce with the slice that is kept.
  is_fused = computation.startswith('all-reduce-scatter')
  return 'reduce-scatter' if is_fused and op == 'all-reduce' else op


def _size(match: re.Match) -> int:
  """Bytes of a result; one that is only started also holds its operand."""
  sizes = [
    math.prod(map(int, filter(None, dims.split(','))))
    * (int(bits) if bits else 8)
    // 8
    for _, bits, dims in _SHAPE.findall(match[1])
  ]
  return max(sizes) if match[3] else sum(sizes)
