"""One side of one case, in a process of its own.

  python -m benchmarks.worker SIDE '{…}'

A line on its input is a number of calls; a line on its output is json: first
how it came up, then the seconds that each lot of calls took, and when its input
ends, facts. A process for each side keeps memory apart, and two stacks that
bring their own CUDA libraries and thread pools.
"""

import importlib
import json
import os
import sys
import time

from benchmarks import memory
from benchmarks import spec as spec_lib

_MODULES = {
  'dbflax': 'benchmarks.ours',
  'eager': 'benchmarks.peer',
  'compiled': 'benchmarks.peer',
}


def serve(side: str, spec: spec_lib.Spec, lines, answer) -> None:
  """Answers every line of `lines` by a dict, until they end."""
  start = time.perf_counter()
  module = importlib.import_module(_MODULES[side])
  imported = time.perf_counter()
  work = module.build(spec, side)
  built = time.perf_counter()
  result = work.run(1)
  peak = memory.reset_peak()
  answer(
    {
      'import_s': imported - start,
      'load_s': built - imported,
      'first_s': time.perf_counter() - built,
      'result': result.tolist() if result.size == 1 else None,
      'norm': float((result.astype('float64') ** 2).mean() ** 0.5),
      'start_peak_bytes': peak,
    }
  )
  for line in lines:
    start = time.perf_counter()
    work.run(int(line))
    answer({'seconds': (time.perf_counter() - start) / int(line)})
  answer(_facts(module, spec, work))


def _facts(module, spec, work) -> dict:
  """Peak memory is of the device, or on a CPU of the process."""
  found = {'peak_bytes': memory.peak(), **module.facts(spec)}
  return found | ({'flops': work.count()} if work.count else {})


def main(side: str, spec: spec_lib.Spec) -> None:
  """Libraries print what they like; the answers have a stream of their own."""
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
