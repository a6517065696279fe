"""Floating-point operations of a program, by walking its jaxpr.

Counted are matrix products and convolutions, a multiply-add as two: these fill
a TPU's matrix unit, and the peak rate is that unit's. Elementwise work is not
counted (about 1 % of a U-Net's). XLA's own cost analysis counts the body of a
loop once, however often it runs.
"""

import math
from collections.abc import Iterator


def count(jaxpr) -> float:
  """FLOPs of a (closed) jaxpr, over all devices.

  Raises:
    ValueError: something is in it whose FLOPs cannot be known.
  """
  jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)
  return sum(map(_equation, jaxpr.eqns))


def _equation(eqn) -> float:
  name, inner = eqn.primitive.name, [count(sub) for sub in inside(eqn)]
  if name == 'dot_general':
    return _dot_general(eqn)
  if name == 'conv_general_dilated':
    return _convolution(eqn)
  if name == 'pallas_call':
    return _pallas(eqn)
  if name == 'cond':
    return max(inner)
  if name == 'while' and any(inner):
    raise ValueError(
      'a while loop with matrix products: how often it runs is not known '
      'before it does; use lax.scan.'
    )
  return repeats(eqn) * sum(inner)


def inside(eqn) -> Iterator:
  """The jaxprs that an equation runs; on a TPU, if platforms differ."""
  if platforms := eqn.params.get('branches_platforms'):
    yield eqn.params['branches'][platforms.index(None)].jaxpr
    return
  for value in eqn.params.values():
    for item in value if isinstance(value, (tuple, list)) else (value,):
      item = getattr(item, 'jaxpr', item)
      if hasattr(item, 'eqns'):
        yield item


def repeats(eqn) -> int:
  """How often an equation runs its jaxprs, over all devices."""
  if eqn.primitive.name == 'scan':
    return eqn.params['length']
  if eqn.primitive.name == 'shard_map':
    return eqn.params['mesh'].size
  return 1


def _dot_general(eqn) -> float:
  (contracted, _), _ = eqn.params['dimension_numbers']
  left, [out] = eqn.invars[0].aval.shape, eqn.outvars
  terms = math.prod(left[axis] for axis in contracted)
  return 2 * math.prod(out.aval.shape) * terms


def _convolution(eqn) -> float:
  """Taps on padding count, as they do on a TPU; on zeros between do not."""
  _, spec, _ = eqn.params['dimension_numbers']  # of lhs, rhs, out
  kernel, [out] = eqn.invars[1].aval.shape, eqn.outvars
  _, channels, *window = (kernel[axis] for axis in spec)
  taps = math.prod(window) / math.prod(eqn.params['lhs_dilation'])
  return 2 * math.prod(out.aval.shape) * channels * taps


def _pallas(eqn) -> float:
  estimate = eqn.params.get('cost_estimate')
  if estimate is None:
    raise ValueError('a Pallas kernel without a cost_estimate; give it one.')
  return estimate.flops
