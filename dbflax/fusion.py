"""Where XLA's CPU backend shall begin a new loop.

It fuses what is done to an array into the loop that uses it. If that one lays
pixels out in another order, it makes them one number at a time instead of
eight, and as often as it uses them.
"""

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(tree):
  """The same arrays, which XLA on a CPU does not fuse into what uses them.

  XLA looks into no function that is not to be inlined, such as one of nothing.
  (`jax.lax.optimization_barrier` is gone before that backend fuses.) Elsewhere
  nothing changes.
  """
  return lax.platform_dependent(tree, cpu=_called, default=_as_it_is)


def _called(tree):
  with set_xla_metadata(inlineable='false'):
    return _nothing(tree)


def _as_it_is(tree):
  return tree


# Without anything in it, JAX would leave the call out.
_nothing = jax.jit(lax.optimization_barrier)
