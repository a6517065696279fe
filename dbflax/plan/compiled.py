"""What a step needs, by compiling its programs: minutes, but measured.

A program is compiled once: what was found is kept as json, named by the hash of
the lowered text and of all that else decides.
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys

import jax

from dbflax import disk, errors
from dbflax.plan import collectives, hardware, steps, traffic

# For analysis only: compiles three to eight times faster, with the same memory,
# costs and collectives. Windowed einsums would hide collectives in loops.
TPU_OPTIONS = {
  'xla_jf_convolution_performance_target': '0.5',
  'xla_tpu_enable_windowed_einsum_for_all_gather': 'false',
  'xla_tpu_enable_windowed_einsum_for_reduce_scatter': 'false',
}
# Of what is measured and how: goes up when that changes.
_VERSION = 2
_UNITS = {'K': 2**10, 'M': 2**20, 'G': 2**30, 'T': 2**40}
_SIZE = r'\(?([\d.]+)([KMGT])\)?'
_OUT_OF_MEMORY = re.compile(
  rf'{_SIZE} exceeds available HBM|Used {_SIZE} of \S+ hbm', re.IGNORECASE
)


def check() -> None:
  """Raises UserError if this machine cannot compile for TPUs."""
  if importlib.util.find_spec('libtpu') is None:
    raise errors.UserError(
      'plan.compile=true compiles by libtpu, which is not installed; '
      "pip install '.[aot]' (Linux x86_64), or leave it false."
    )


def elsewhere(config, step: str, folder: pathlib.Path) -> dict[str, dict]:
  """`measure`, for a step of the config's topology, in a process of its own.

  So that a process that runs on a TPU never has these settings, and memory is
  given back.

  Raises:
    UserError: the compiler died.
  """
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'TPU_LOG_DIR': 'disabled',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  }
  for name in ('XLA_FLAGS', 'JAX_COMPILATION_CACHE_DIR'):
    environment.pop(name, None)
  done = subprocess.run(
    [sys.executable, '-m', 'dbflax.plan.aot'],
    input=pickle.dumps((config, step, folder)),
    capture_output=True,
    env=environment,
  )
  if done.returncode:
    said = f'compiling {step} for {config.plan.topology}'
    if done.returncode == -signal.SIGKILL:
      raise errors.UserError(
        f'{said} was killed: was memory short? IF-I-XL takes 17 GB. Programs '
        'compiled before are kept; the same command goes on with the rest.'
      )
    last = done.stderr.decode(errors='replace').strip().splitlines()[-1:]
    raise errors.UserError(
      f'{said} failed with exit code {done.returncode}: {" ".join(last)}'
    )
  return json.loads(done.stdout.splitlines()[-1])


def measure(
  step: steps.Step, folder: pathlib.Path, target: str, options: dict[str, str]
) -> dict[str, dict]:
  """{program: what it needs on one device} of a step.

  Bytes of 'arguments', 'outputs', 'reused' (outputs in place of arguments),
  'temporaries' and 'code'; 'peak' is all of them together. 'collectives' is
  as `collectives.read` gives them, 'accessed' as `traffic.read` does. A program
  that does not fit has but a 'peak' and 'fits': False.

  Args:
    step: its shapes lie on a mesh of devices that can be compiled for.
    folder: where results are kept.
    target: names these devices.
    options: of the compiler.
  """
  return {
    program.name: _kept(program, folder, target, options)
    for program in step.programs
  }


def _kept(program: steps.Program, folder, target: str, options) -> dict:
  lowered = program.traced.lower()
  versions = [_VERSION, jax.__version__, target, sorted(options.items())]
  text = json.dumps(versions) + lowered.as_text()
  path = folder / f'{hashlib.sha256(text.encode()).hexdigest()}.json'
  if not path.exists():
    disk.write_json(path, _compile(lowered, options))
  return json.loads(disk.read(path))


def _compile(lowered, options) -> dict:
  try:
    program = lowered.compile(compiler_options=options)
  except jax.errors.JaxRuntimeError as error:
    needed = needed_bytes(str(error))
    if needed is None:
      raise
    return {'fits': False, 'peak': needed, 'collectives': {}, 'accessed': 0}
  memory, text = program.memory_analysis(), program.as_text()
  sizes = {
    'arguments': memory.argument_size_in_bytes,
    'outputs': memory.output_size_in_bytes,
    'reused': -memory.alias_size_in_bytes,
    'temporaries': memory.temp_size_in_bytes,
    'code': memory.generated_code_size_in_bytes,
  }
  return {
    **sizes,
    'fits': True,
    'peak': sum(sizes.values()),
    'accessed': traffic.read(text),
    'collectives': collectives.read(text),
  }


def needed_bytes(message: str) -> int | None:
  """Bytes that a program needed which did not fit; None of other failures."""
  match = _OUT_OF_MEMORY.search(message)
  if not match or 'RESOURCE_EXHAUSTED' not in message:
    return None
  number, unit = [group for group in match.groups() if group]
  return round(float(number) * _UNITS[unit.upper()])


def devices(topology: hardware.Slice) -> list:
  """Devices of a slice to compile for; none has to be there."""
  from jax.experimental import topologies

  extra = {'chip_config_name': 'megacore'} if topology.chip.megacore else {}
  found = topologies.get_topology_desc(
    platform='tpu',
    topology_name=topology.name,
    chips_per_host_bounds=topology.host_bounds,
    **extra,
  ).devices
  # Without megacore, a v4 chip would be two devices of half the memory.
  if len(found) != topology.size:
    raise ValueError(
      f'{topology.name} should have {topology.size} devices, libtpu gives '
      f'{len(found)}.'
    )
  return found
