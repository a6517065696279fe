"""What JAX tells of while something runs."""

import contextlib

import jax


@contextlib.contextmanager
def programs():
  """The names of the programs that JAX compiles, or finds in its folder."""
  names = []

  def listen(event, duration, fun_name='', **_):
    del duration
    if event.endswith('/backend_compile_duration'):
      names.append(fun_name)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield names
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
