"""The processes that a case is run by."""

import contextlib
import dataclasses
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading

from benchmarks import spec as spec_lib

ROOT = pathlib.Path(__file__).parents[1]


class Failed(Exception):
  """A side ended, or did not answer in time."""


def environment(spec: spec_lib.Spec, cache: str) -> dict[str, str]:
  """Of all processes: the same threads; compiled programs only in `cache`."""
  threads = str(spec.threads)
  return {
    **os.environ,
    'PYTHONPATH': os.pathsep.join([str(ROOT), *_path()]),
    'OMP_NUM_THREADS': threads,
    'MKL_NUM_THREADS': threads,
    'HF_HUB_OFFLINE': '1',
    'JAX_PLATFORMS': 'cuda,cpu' if spec.device == 'gpu' else 'cpu',
    # Else the first to come takes three quarters of the memory.
    'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',
    'JAX_COMPILATION_CACHE_DIR': f'{cache}/xla',
    'TORCHINDUCTOR_CACHE_DIR': f'{cache}/inductor',
    'TRITON_CACHE_DIR': f'{cache}/triton',
  }


def _path() -> list[str]:
  return [os.environ['PYTHONPATH']] if 'PYTHONPATH' in os.environ else []


def make_inputs(spec: spec_lib.Spec, cache: str) -> None:
  """On the CPU and in float32, wherever the case runs."""
  spec = dataclasses.replace(spec, device='cpu', dtype='float32')
  subprocess.run(
    [sys.executable, '-m', 'benchmarks.inputs', _json(spec)],
    env=environment(spec, cache),
    check=True,
  )


def _json(spec: spec_lib.Spec) -> str:
  return json.dumps(dataclasses.asdict(spec))


class Side:
  """A process of `benchmarks.worker`, which waits for what it is asked."""

  def __init__(self, name: str, spec: spec_lib.Spec, cache: str):
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'benchmarks.worker', name, _json(spec)],
      env=environment(spec, cache),
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self._lines = queue.Queue()
    threading.Thread(target=self._read, daemon=True).start()

  def _read(self) -> None:
    for line in self._process.stdout:
      self._lines.put(line)
    self._lines.put(None)

  def answer(self, timeout: float) -> dict:
    """The next that it says.

    Raises:
      Failed: it ended, or said nothing for `timeout` seconds.
    """
    try:
      line = self._lines.get(timeout=timeout)
    except queue.Empty:
      raise Failed(f'no answer in {timeout:.0f} s') from None
    if line is None:
      raise Failed(f'ended with exit code {self._process.wait()}')
    return json.loads(line)

  def run(self, calls: int, timeout: float) -> dict:
    """Makes so many calls: 'seconds' of each, and 'peak_bytes' so far."""
    with contextlib.suppress(BrokenPipeError):  # `answer` says how it ended.
      print(calls, file=self._process.stdin, flush=True)
    return self.answer(timeout)

  def end(self) -> None:
    """Lets it go; kills it if it is busy."""
    self._process.stdin.close()
    try:
      self._process.wait(timeout=5)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
