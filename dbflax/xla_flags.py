"""Flags of XLA, which reads them when JAX first asks for a device."""

import os
import sys

# Of its CPU backend (docs/speed.md). Programs compile in six tenths of the time
# and take less memory, and are no slower: most of a network's hundreds of loops
# are short, and those over the same pixels become one.
_OPTIONS = (
  'xla_cpu_disable_loop_unrolling=true',
  'xla_cpu_use_multi_output_fusion=true',
  'xla_cpu_disable_tiled_emitter=true',
)
_LOOPS = f'--xla_backend_extra_options={",".join(_OPTIONS)}'


def set_defaults() -> None:
  """Adds what dbflax wants to XLA_FLAGS, before what the user has there.

  Not where JAX is imported already: its device may be there, and then what
  another process compiles (`compiler`) would be of other flags, and not found.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  if 'jax' not in sys.modules and _LOOPS not in flags:
    os.environ['XLA_FLAGS'] = f'{_LOOPS} {flags}'.strip()
