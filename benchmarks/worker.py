"""One side of one case, in a process of its own.

  python -m benchmarks.worker SIDE '{…}'

A line on its input is a number of calls; a line on its output is json: first
how it came up, then the seconds that each lot of calls took. A process for each
side keeps memory apart, and two stacks with their own CUDA libraries and
thread pools.
"""

import importlib
import json
import os
import sys
import time

from benchmarks import memory
from benchmarks import spec as spec_lib
from dbflax import xla_flags

_MODULES = {
  'dbflax': 'benchmarks.ours',
  'eager': 'benchmarks.peer',
  'compiled': 'benchmarks.peer',
}


def serve(side: str, spec: spec_lib.Spec, lines, answer) -> None:
  """Answers once when all is ready, and then every line of `lines`."""
  start = time.perf_counter()
  module = importlib.import_module(_MODULES[side])
  imported = time.perf_counter()
  work = module.build(spec, side)
  built = time.perf_counter()
  result = work.run(1)
  times = {
    'import_s': imported - start,
    'load_s': built - imported,
    'first_s': time.perf_counter() - built,
  }
  answer(times | _describe(result) | module.facts() | _more(spec, work))
  for line in lines:
    start = time.perf_counter()
    work.run(int(line))
    seconds = (time.perf_counter() - start) / int(line)
    answer({'seconds': seconds, 'peak_bytes': _peak(module, spec)})


def _describe(result) -> dict:
  """The result, if it is a number, and its root mean square."""
  norm = float((result.astype('float64') ** 2).mean() ** 0.5)
  return {'result': result.item() if result.size == 1 else None, 'norm': norm}


def _more(spec, work) -> dict:
  found = {'flops': work.count()} if work.count else {}
  if spec.device == 'cpu':
    # What compiling took shall not count as the work's.
    found['start_peak_bytes'] = memory.reset_peak()
  return found


def _peak(module, spec) -> int:
  """Bytes of the device, or on a CPU of this process after its first call."""
  return memory.peak() if spec.device == 'cpu' else module.device_peak()


def main(side: str, spec: spec_lib.Spec) -> None:
  """Libraries print what they like; the answers have a stream of their own."""
  xla_flags.set_defaults()  # as `dbflax.main` has them
  if spec.device == 'cpu':
    cpus = sorted(os.sched_getaffinity(0))[: spec.threads]
    os.sched_setaffinity(0, cpus)
  with os.fdopen(os.dup(1), 'w') as out:
    os.dup2(2, 1)
    serve(
      side,
      spec,
      sys.stdin,
      lambda values: print(json.dumps(values), file=out, flush=True),
    )


if __name__ == '__main__':
  main(sys.argv[1], spec_lib.Spec(**json.loads(sys.argv[2])))
