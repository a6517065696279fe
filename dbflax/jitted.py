"""`jax.jit` of functions whose programs another process may have made.

A program that JAX finds in its folder still is traced, lowered and hashed
before, to know which one it is: a U-Net's gradient takes 3 to 4 s for that, and
JAX keeps what it made. A program that comes whole needs nothing of it.
"""

from collections.abc import Callable

import jax
from jax.experimental import serialize_executable

Whole = tuple  # of `pack`; it can be pickled


class Jitted:
  """`jax.jit(function, **options)`, for positional arguments."""

  def __init__(self, function: Callable, **options):
    self._function = jax.jit(function, **options)
    self._whole: jax.stages.Compiled | None = None

  def __call__(self, *args):
    if self._whole is not None:
      try:
        return self._whole(*args)
      except (TypeError, ValueError):
        pass  # These arguments are not like those that it is for.
    return self._function(*args)

  def trace(self, *args) -> jax.stages.Traced:
    return self._function.trace(*args)

  def take(self, whole: Whole) -> None:
    """From now on, arguments like those that it was compiled for go there."""
    self._whole = serialize_executable.deserialize_and_load(*whole)


def pack(compiled: jax.stages.Compiled) -> Whole:
  """Whatever a process on the same machine needs of it, for `Jitted.take`."""
  return serialize_executable.serialize(compiled)
