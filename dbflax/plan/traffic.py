"""How many bytes a compiled program reads and writes in a device's memory.

The compiler's own count is too much: a copy that goes on beside the computation
counts with the whole array that it takes a slice of, and so do arrays in the
small memories next to a TPU's cores, where XLA puts what is used soon. Here
counts what lies in the large one, padded as it is there. A fusion that needs
but a part of what it is given still counts with all of it.
"""

import math
import re

from dbflax.plan import hlo

_OP = re.compile(r'^\s*(?:ROOT )?%?([\w.-]+) = (.*?) ([\w-]+)\((.*)$')
_NAME = re.compile(r'%([\w.-]+)')
# bf16[64,32]{1,0:T(8,128)(2,1)S(1)}: bits, shape, the order that dimensions lie
# in, the fastest first; a tile of them; the memory, if it is not the large one.
_ARRAY = re.compile(
  r'\b(?:pred|[a-z]+(\d+)\w*)\[([\d,]*)\]'
  r'(?:\{([\d,]*):?(?:T\(([\d,]+)\))?[^S}]*(S\(\d+\))?[^}]*\})?'
)
# They move nothing: names of what there is, and what only calls others.
_FREE = (
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast'),
  *('while', 'conditional', 'call'),
)
_SLICES = ('slice', 'dynamic-slice', 'gather')


def read(text: str) -> int:
  """Bytes of one run of a program, per device; a loop's in all of its turns."""
  computations, entry = hlo.split(text)
  # A fusion is one operation: it moves what it is given and makes.
  enters = re.compile(r' (?:call|conditional)\(').search
  return sum(
    times * _computation(computations[name])
    for name, times in hlo.walk(computations, entry, enters)
  )


def _computation(lines: list[str]) -> int:
  held, total = {}, 0  # name → bytes of it in the large memory
  for match in filter(None, map(_OP.match, lines)):
    name, shape, op, rest = match.groups()
    operands = [held.get(n, 0) for n in _NAME.findall(rest.split(')')[0])]
    held[name] = sum(_sizes(shape))
    total += _moved(op, rest, shape, sum(operands), held[name])
  return total


def _moved(op: str, rest: str, shape: str, operands: int, result: int) -> int:
  if op in _FREE or op.endswith('-done') or 'ConcatBitcast' in rest:
    return 0
  if op in ('copy-start', 'slice-start'):  # Its two ends, and a flag.
    ends = _sizes(shape, everywhere=True)[:2]
    return min(ends) * len(_sizes(shape)[:2])
  return 2 * result if op in _SLICES else operands + result


def _sizes(shape: str, everywhere: bool = False) -> list[int]:
  """Bytes of the arrays of a shape: in the large memory, or in all."""
  return [
    _padded(int(bits or 8), dims, order, tile)
    for bits, dims, order, tile, other in _ARRAY.findall(shape)
    if everywhere or not other
  ]


def _padded(bits: int, dims: str, order: str, tile: str) -> int:
  """Bytes of an array in whole tiles."""
  sizes, order, tile = map(_numbers, (dims, order, tile))
  for axis, side in zip(order, reversed(tile), strict=False):
    sizes[axis] = -(-sizes[axis] // side) * side
  return math.prod(sizes) * bits // 8


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',') if number]
