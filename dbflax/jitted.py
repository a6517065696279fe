"""`jax.jit` of functions whose programs another process may have made.

A program that JAX finds in its folder still is traced, lowered and hashed
before, to know which one it is: a U-Net's gradient takes 3 to 4 s for that, and
JAX keeps what it made. A program that comes whole needs nothing of it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import serialize_executable

Whole = tuple  # of `pack`; it can be pickled
# Of `jax.monitoring`: a program was compiled, and written to JAX's folder.
COMPILED = '/jax/compilation_cache/cache_misses'


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


def pack(compile_it: Callable[[], jax.stages.Compiled | None]) -> Whole | None:
  """A serialized program, for `Jitted.take` in a process of this machine.

  None if nothing was compiled: what JAX found in its folder, another process
  can find there, too, and XLA's CPU backend cannot serialize it again whole.
  """
  with _compilations() as found:
    compiled = compile_it()
  if compiled is None or not found:
    return None
  return serialize_executable.serialize(compiled)


@contextlib.contextmanager
def _compilations() -> Iterator[list[str]]:
  """An event for each program that this thread compiles."""
  found, here = [], threading.get_ident()

  def hear(event: str, **_) -> None:
    if event == COMPILED and threading.get_ident() == here:
      found.append(event)

  jax.monitoring.register_event_listener(hear)
  try:
    yield found
  finally:
    jax.monitoring.unregister_event_listener(hear)
