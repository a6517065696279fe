"""Flags of XLA, which reads them when JAX first asks for a device."""

import os
import sys

# Its CPU backend compiles in four fifths of the time, and the programs are no
# slower (docs/speed.md): most of a network's hundreds of loops are short.
_LOOPS = '--xla_backend_extra_options=xla_cpu_disable_loop_unrolling=true'


def set_defaults() -> None:
  """Adds what dbflax wants to XLA_FLAGS, before what the user has there.

  Not where JAX is imported already: its device may be there, and then what
  another process compiles (`compiler`) would be of other flags, and not found.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  if 'jax' not in sys.modules and _LOOPS not in flags:
    os.environ['XLA_FLAGS'] = f'{_LOOPS} {flags}'.strip()
