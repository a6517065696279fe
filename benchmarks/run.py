"""dbflax beside diffusers on PyTorch: same weights, batch, type and threads.

  python -m benchmarks.run --only train/base-29m images/toybox

Every case runs its sides in turn, again and again: dbflax, PyTorch eager and
PyTorch compiled, each in a process of its own that waits while another works.
Writes results.json and results.md into --out after every step, so that a run
that is stopped keeps what it has. docs/speed.md says what the columns are.
Needs the extra 'parity'.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence

from benchmarks import cases, measure, sides, table

_SIDES = ('dbflax', 'eager', 'compiled')


def main(argv: Sequence[str] | None = None) -> None:
  args = _parse(argv)
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  results = []
  for case in cases.choose(args.only, args.device):
    results.append({})
    _run(case, args, results[-1], lambda: _write(out, args, results))
  print((out / 'results.md').read_text())
  if wrong := [r['case'] for r in results if not r.get('agree', True)]:
    sys.exit(f'the sides do not compute the same: {", ".join(wrong)}')


def _run(case: cases.Case, args, result: dict, save: Callable) -> None:
  """Measures a case into `result`, in a folder that is then removed."""
  with tempfile.TemporaryDirectory() as folder:
    spec = cases.spec(
      case,
      folder=folder,
      device=args.device,
      threads=args.threads,
      batch=args.batch,
      steps=args.steps,
      dtype=args.dtype,
    )
    result |= {'case': case.name, 'unit': case.unit, 'batch': spec.batch}
    result |= {'dtype': spec.dtype, 'threads': spec.threads}
    cache = args.cache or f'{folder}/cache'
    print(f'{case.name}: making inputs', flush=True)
    sides.make_inputs(spec, cache)
    peak = args.peak_tflops and args.peak_tflops * 1e12
    case = measure.Measurement(spec, cache, args.timeout, peak, result, save)
    case.run(args.sides, args.repetitions, args.calls)


def _parse(argv) -> argparse.Namespace:
  has_gpu = pathlib.Path('/dev/nvidiactl').exists()
  parser = argparse.ArgumentParser('python -m benchmarks.run')
  add = parser.add_argument
  add(
    '--only',
    nargs='+',
    default=[],
    choices=cases.KNOWN,
    metavar='CASE',
    help=f'of {", ".join(c.name for c in cases.ALL)}; else all that fit',
  )
  add('--sides', nargs='+', default=_SIDES, choices=_SIDES)
  add('--device', choices=('cpu', 'gpu'), default='gpu' if has_gpu else 'cpu')
  add('--threads', type=int, default=len(os.sched_getaffinity(0)))
  add('--repetitions', type=int, default=5)
  add('--calls', type=int, help='in a repetition; by default about a second')
  add('--batch', type=int, help='instead of the case’s own')
  add('--steps', type=int, help='of sampling, instead of the case’s own')
  add('--dtype', choices=('float32', 'bfloat16'))
  add('--timeout', type=float, default=540, help='seconds a side may take')
  add('--cache', help='keep compiled programs here, for a second start')
  add('--peak_tflops', type=float, help='bf16, of a GPU that is not known')
  add('--out', default='runs/benchmarks')
  return parser.parse_args(argv)


def _write(out: pathlib.Path, args, results: list[dict]) -> None:
  machine = {'cpu': _cpu(), 'python': platform.python_version()}
  settings = {**vars(args), 'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')}
  written = {'machine': machine, 'settings': settings, 'cases': results}
  (out / 'results.json').write_text(json.dumps(written, indent=2) + '\n')
  (out / 'results.md').write_text(table.markdown(results))


def _cpu() -> str:
  """The processor's name, by Linux."""
  lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
  names = [line.partition(': ')[2] for line in lines if 'model name' in line]
  return names[0] if names else platform.machine()


if __name__ == '__main__':
  main()
