"""Estimated bytes that devices exchange, by walking a program's jaxpr.

Parameters are split over the 'fsdp' devices by their channels. So each product
of a layer's values with its kernel lacks something: either the kernel is
gathered, as fully sharded training does (ZeRO, Rajbhandari et al., 2020), or
the values are, or partial results are summed. The least of the three is
counted, as if the compiler found it everywhere and nothing else moved. Over
the 'data' replicas each kernel's gradient is summed.
"""

import math

from dbflax.plan import flops

_PRODUCTS = ('dot_general', 'conv_general_dilated')


def least(jaxpr, batch: int, fsdp: int, replicas: int) -> float:
  """Bytes that come to each device in one run of a (closed) jaxpr.

  Args:
    jaxpr: of the whole program, over all devices.
    batch: examples; values are [batch, …] or [2 batch, …], kernels are not.
    fsdp: devices that share a copy of the parameters.
    replicas: such groups that have examples of their own.
  """
  jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)
  total = 0.0
  for eqn in jaxpr.eqns:
    if eqn.primitive.name in _PRODUCTS:
      total += _product(eqn, batch, fsdp, replicas)
    inner = sum(least(j, batch, fsdp, replicas) for j in flops.inside(eqn))
    total += inner and flops.repeats(eqn) * inner
  return total


def _product(eqn, batch: int, fsdp: int, replicas: int) -> float:
  """Of one product; 0 if none of its arrays is a kernel, as in attention."""
  *operands, result = (v.aval for v in (*eqn.invars, *eqn.outvars))
  is_kernel = lambda aval: aval.shape[:1] not in ((batch,), (2 * batch,))
  size = lambda aval: math.prod(aval.shape) * aval.dtype.itemsize
  sizes = [
    size(aval) / (1 if is_kernel(aval) else replicas)
    for aval in (*operands, result)
  ]
  if sum(map(is_kernel, (*operands, result))) != 1:
    return 0.0
  gathered = min(sizes) * (1 - 1 / fsdp)
  if not is_kernel(result):
    return gathered
  # An all-reduce sends everything twice: sums in, results out.
  return gathered + 2 * size(result) / fsdp * (1 - 1 / replicas)
