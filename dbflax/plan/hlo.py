"""The text of a compiled program.

It is a list of computations that call each other: fusions and calls once, the
body of a while loop as often as its condition says.
"""

import re
from collections.abc import Callable, Iterator

_LOOP = re.compile(r' while\(.*condition=%?([\w.-]+), body=%?([\w.-]+)')
_HEAD = re.compile(r'^(ENTRY )?%?([\w.-]+) \(.*\{$')
_CALLED = re.compile(
  r'\b(?:calls|to_apply|(?:true|false)_computation)=%?([\w.-]+)'
  r'|branch_computations=\{([^}]*)\}'
)
_CONSTANT = re.compile(r's32\[\]\S* constant\((\d+)\)')


def split(text: str) -> tuple[dict[str, list[str]], str]:
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


def walk(
  computations: dict[str, list[str]],
  name: str,
  enters: Callable[[str], object] = lambda line: True,
  times: int = 1,
) -> Iterator[tuple[str, int]]:
  """(computation, how often it runs) of one and of all that it runs.

  Args:
    enters: whether to go into what a line calls; loops are always gone into.
  """
  yield name, times
  for line in computations.get(name, ()):
    if loop := _LOOP.search(line):
      turns = _turns(computations, loop[1])
      yield from walk(computations, loop[2], enters, times * turns)
    if enters(line):
      for match in _CALLED.finditer(line):
        for callee in (match[1] or match[2]).split(','):
          yield from walk(computations, callee.strip(' %'), enters, times)


def _turns(computations: dict[str, list[str]], condition: str) -> int:
  """The number that a loop's condition compares its counter with."""
  found = _CONSTANT.findall('\n'.join(computations.get(condition, ())))
  return int(found[0]) if len(found) == 1 else 1
