"""Reading weights takes little more memory than the weights themselves."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

ROOT = pathlib.Path(__file__).parents[2]
MIB = 2**20
DEVICES = 8

# Prints by how many bytes the process grew at its most while it read, and how
# many bytes of parameters it then held.
SCRIPT = """
import sys
import jax, numpy as np
from dbflax import sharding
from dbflax.weights import diffusers

def memory(kind):
  # Of this process alone: a child's getrusage begins with its parent's.
  lines = open('/proc/self/status').read().splitlines()
  return next(int(s.split()[1]) for s in lines if s.startswith(kind)) * 1024

folder, width, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
shape = jax.ShapeDtypeStruct((width, width), np.float32)
expected = {f'linear_{n}': {'kernel': shape} for n in range(count)}
mesh = sharding.make_mesh(1, jax.device_count())
jax.block_until_ready(jax.numpy.zeros(8))
now = memory('VmRSS')
params = diffusers.read_params(
  folder, expected, shardings=sharding.shard_tree(expected, mesh),
  dtype=np.dtype(sys.argv[4]),
)
peak = memory('VmHWM')
held = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(params))
print(peak - now, held)
"""


def _write(folder: pathlib.Path, width: int, counts: list[int]) -> int:
  """A network of matrices in as many files; bytes of the largest file."""
  folder.mkdir()
  weight_map, number = {}, 0
  for part, count in enumerate(counts):
    name = f'model-{part + 1:05d}-of-{len(counts):05d}.safetensors'
    tensors = {}
    for _ in range(count):
      full = np.full((width, width), number, np.float32)
      tensors[f'linear_{number}.weight'] = full
      number += 1
    safetensors.numpy.save_file(tensors, folder / name)
    weight_map |= dict.fromkeys(tensors, name)
  index = folder / 'model.safetensors.index.json'
  index.write_text(str({'weight_map': weight_map}).replace("'", '"'))
  return max(path.stat().st_size for path in folder.glob('*.safetensors'))


def _read(folder, width, count, dtype) -> tuple[int, int]:
  """(growth at most, bytes held) of a process that reads the network."""
  flags = f'--xla_force_host_platform_device_count={DEVICES}'
  found = subprocess.run(
    [sys.executable, '-c', SCRIPT, folder, str(width), str(count), dtype],
    env={**os.environ, 'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert found.returncode == 0, found.stderr
  growth, held = map(int, found.stdout.split())
  return growth, held


@pytest.mark.skipif(
  not sys.platform.startswith('linux'), reason='reads /proc/self'
)
@pytest.mark.parametrize(
  ('width', 'counts', 'dtype'),
  [
    (1024, [40], 'float32'),
    (1024, [80], 'float32'),
    (1024, [40, 40], 'float32'),
    (1024, [40, 40], 'bfloat16'),
  ],
)
def test_little_more_is_held_than_what_is_read(tmp_path, width, counts, dtype):
  """On CPU devices the parameters lie in the same memory as all else.

  So the bound of 1.3 times the largest file is asked of one file with its
  parameters, and of what comes on top of the parameters of several.
  """
  folder = tmp_path / 'text_encoder'
  largest = _write(folder, width, counts)
  growth, held = _read(folder, width, sum(counts), dtype)
  found = [f'{n / MIB:.0f} MiB' for n in (largest, held, growth)]
  if len(counts) == 1:
    assert growth <= 1.3 * largest, found
  assert growth - held <= 0.3 * largest, found
