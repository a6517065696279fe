"""Which bytes devices exchange, read off the text of a compiled program.

The text is a list of computations that call each other: fusions and calls once,
the body of a while loop as often as its condition says. A collective that runs
beside the computation is written into several fusions; they share its channel.
"""

import collections
import math
import re
from collections.abc import Iterator

KINDS = (
  'all-gather',
  'all-reduce',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
_HEAD = re.compile(r'^(ENTRY )?%?([\w.-]+) \(.*\{$')
_OP = re.compile(rf'= (.*?) ({"|".join(KINDS)})(-start)?\(.*')
_CHANNEL = re.compile(r'channel_id=(\d+)')
_SHAPE = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]')
_CALLED = re.compile(
  r'\b(?:calls|to_apply|(?:true|false)_computation)=%?([\w.-]+)'
  r'|branch_computations=\{([^}]*)\}'
)
_LOOP = re.compile(r' while\(.*condition=%?([\w.-]+), body=%?([\w.-]+)')
_CONSTANT = re.compile(r's32\[\]\S* constant\((\d+)\)')


def read(text: str) -> dict[str, dict[str, int]]:
  """{kind: {'count': …, 'bytes': …}} of one run of the program, per device.

  Bytes are those of a collective's result, or of what a reduce-scatter reduces.
  """
  computations, entry = _split(text)
  found = {}  # (channel or line, times) → (kind, bytes)
  for name, line, times in _lines(computations, entry, 1):
    match = _OP.search(line)
    if match:
      channel = _CHANNEL.search(line)
      key = (channel[1] if channel else line, times)
      found[key] = _kind(name, match[2]), _size(match)
  totals = collections.defaultdict(lambda: {'count': 0, 'bytes': 0})
  for (_, times), (kind, size) in found.items():
    totals[kind]['count'] += times
    totals[kind]['bytes'] += times * size
  return dict(totals)


def _split(text: str) -> tuple[dict[str, list[str]], str]:
  """({computation: its lines}, the name of the first to run)."""
  computations, name, entry = {}, '', ''
  for line in text.splitlines():
    head = _HEAD.match(line)
    if head:
      name = head[2]
      computations[name] = []
      entry = name if head[1] else entry
    elif name:
      computations[name].append(line)
  return computations, entry


def _lines(computations, name: str, times: int) -> Iterator:
  """(computation, line, how often it runs), callees included."""
  for line in computations.get(name, ()):
    yield name, line, times
    loop = _LOOP.search(line)
    if loop:
      turns = _turns(computations, loop[1])
      yield from _lines(computations, loop[2], times * turns)
    for called in _CALLED.finditer(line):
      for callee in (called[1] or called[2]).split(','):
        yield from _lines(computations, callee.strip(' %'), times)


def _turns(computations, condition: str) -> int:
  """The number that a loop's condition compares its counter with."""
  found = _CONSTANT.findall('\n'.join(computations.get(condition, ())))
  return int(found[0]) if len(found) == 1 else 1


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
