"""Bytes that arrays take on one device, from shapes and shardings alone.

`per_device` is exact, but for what a TPU pads (`hardware.TILE`). What the
compiler keeps while a program runs is its own choice; `working` estimates it.
"""

import math
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from dbflax import sharding
from dbflax.plan import flops


def placed(tree, mesh: Mesh):
  """Shapes of parameters or state, lying as the sharding table says."""
  return _with(tree, sharding.shard_tree(tree, mesh))


def batched(tree, mesh: Mesh):
  """Shapes of examples [B, …], lying as `sharding.put_batch` puts them."""
  where = lambda leaf: sharding.batch_of(leaf.shape[0], mesh)
  return _with(tree, jax.tree.map(where, tree))


def _with(tree, shardings):
  place = lambda leaf, s: jax.ShapeDtypeStruct(
    leaf.shape, leaf.dtype, sharding=s
  )
  return jax.tree.map(place, tree, shardings)


def per_device(tree) -> int:
  """Bytes of a tree of shapes on one device; whole where nothing is said."""
  return sum(map(_leaf, jax.tree.leaves(tree)))


def _leaf(leaf) -> int:
  where = getattr(leaf, 'sharding', None)
  shape = leaf.shape if where is None else where.shard_shape(leaf.shape)
  return math.prod(shape) * leaf.dtype.itemsize


def working(
  jaxpr, batch: int, share: int, fsdp: int, tile: tuple[int, int] = (1, 1)
) -> int:
  """Estimated bytes of intermediate values on one device, at their peak.

  Every value of the traced program is taken to exist from where it is made to
  where it is last read, as if nothing were fused. Arguments and results do not
  count, nor what is added to an argument for a result: XLA does so where it is
  made.

  Args:
    jaxpr: of the whole program, over all devices.
    batch: examples; values [batch, …] or [2 batch, …] are split over
    share: devices, and all others over
    fsdp: devices.
    tile: of numbers of four bytes, which the last two dimensions are padded to.
  """

  def size(aval) -> float:
    if not hasattr(aval, 'shape'):
      return 0
    is_batch = aval.shape[:1] in ((batch,), (2 * batch,))
    whole = _padded(aval.shape, aval.dtype.itemsize, tile)
    return whole / (share if is_batch else fsdp)

  jaxpr = getattr(jaxpr, 'jaxpr', jaxpr)
  given, free = set(map(id, jaxpr.invars)), set(map(id, jaxpr.outvars))
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == 'add' and id(eqn.outvars[0]) in free:
      addends = set(map(id, eqn.invars))
      free |= addends if addends & given else set()
  return round(_peak(jaxpr, size, free))


def _padded(shape: tuple[int, ...], itemsize: int, tile) -> int:
  """Bytes of an array in whole tiles; smaller numbers are more in a tile."""
  rows, lanes = tile
  if rows > 1:
    rows *= max(1, 4 // itemsize)
  *outer, last = shape or (1,)
  if outer:
    outer[-1] = math.ceil(outer[-1] / rows) * rows
  return math.prod(outer) * math.ceil(last / lanes) * lanes * itemsize


def _peak(jaxpr, size: Callable, free: set[int]) -> float:
  """Largest sum of live values; those in `free` take nothing."""
  last = {id(v): n for n, eqn in enumerate(jaxpr.eqns) for v in eqn.invars}
  last |= {id(v): len(jaxpr.eqns) for v in jaxpr.outvars}
  live, peak, sizes = 0.0, 0.0, {}
  for n, eqn in enumerate(jaxpr.eqns):
    made = {id(v): 0 if id(v) in free else size(v.aval) for v in eqn.outvars}
    inner = (_peak(sub, size, set()) for sub in flops.inside(eqn))
    peak = max(peak, live + max(sum(made.values()), *inner, 0))
    sizes |= made
    live += sum(made.values())
    ends = {id(v) for v in (*eqn.invars, *eqn.outvars)} & sizes.keys()
    for key in [key for key in ends if last.get(key, n) <= n]:
      live -= sizes.pop(key)
  return peak
