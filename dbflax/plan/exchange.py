"""Which bytes must come to a device from others, by the sharding table alone.

That is what fully sharded training moves (ZeRO, Rajbhandari et al., 2020,
section 7): each pass gathers the parameters that are split, in the type of
computation, and gradients are summed into the parts, then over the replicas. It
is a lower bound, and only of programs whose examples are split over all
devices. Where each device has all of them, channels are split instead, and
activations are exchanged, of which nothing is said here.
"""

import math

import jax
from jax.sharding import Mesh

Bytes = dict[str, dict[str, int]]  # kind of collective → {'bytes': …}


def least(
  mesh: Mesh, itemsize: int, params, passes: int, trained=(), sums: int = 0
) -> Bytes:
  """What comes to each device.

  Args:
    mesh: the devices.
    itemsize: bytes of a number, as it is exchanged.
    params: shapes of all parameters, with their shardings.
    passes: how often the network is gone through; there and back is two.
    trained: shapes of those that have gradients, which lie as they do.
    sums: how often gradients are summed over devices.
  """
  fsdp, data = mesh.shape['fsdp'], mesh.shape['data']
  others, replicas = 1 - 1 / fsdp, 1 - 1 / data
  summed = sums * itemsize * _split(trained)
  found = {
    'all-gather': passes * itemsize * _split(params) * others,
    'reduce-scatter': summed * others,
    'all-reduce': summed / fsdp * replicas,
  }
  return {kind: {'bytes': round(n)} for kind, n in found.items() if n}


def _split(params) -> int:
  """Numbers in what the table splits; biases and scales are too few."""
  return sum(
    math.prod(leaf.shape)
    for leaf in jax.tree.leaves(params)
    if 'fsdp' in leaf.sharding.spec
  )
