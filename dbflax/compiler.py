"""A process that compiles what a run on a CPU is going to need.

A process that compiles trains at half its speed meanwhile (docs/speed.md), so
another one does it. The programs come to the run whole (`jitted`), and for
later runs lie in JAX's folder of compiled programs, too.

  python -m dbflax.compiler < request     (`Compiler` makes it)

A pickled (config, names of steps, folder) comes in; for each of these steps a
pickled (name, programs) goes out, when all of its step is compiled. A program
that does not compile, or was in that folder, is None.
"""

import concurrent.futures
import contextlib
import functools
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NoReturn

import jax

from dbflax import beside, cascade, jitted, sharding
from dbflax import job as job_lib
from dbflax.plan import steps

_log = logging.getLogger(__name__)
_COMMAND = (sys.executable, '-m', 'dbflax.compiler')
# At once: those of two stages. Each takes a processor, and memory of the host.
MOST = 2
_NICE = 10  # of 19: what else runs here must not stop it altogether
_PATIENCE = 5  # seconds for the process to end, after its last word


class Compiler:
  """Has a process compile steps, in their order.

  It starts at once where JAX's folder is empty, and else when the run had to
  compile something itself: where all is in the folder, it never does.
  """

  def __init__(
    self,
    config,
    names: Sequence[str],
    folder: str,
    programs: Callable[[], Iterable[tuple[str, steps.Program]]],
  ):
    """What the process is to do, and to whom what it made is given.

    Args:
      config: of the run; names: of steps, as in `plan.steps`.
      folder: JAX's, of compiled programs.
      programs: gives the run's own (step, program) of these steps.
    """
    self._config, self._names, self._folder = config, list(names), folder
    self._find = programs
    self._process: subprocess.Popen | None = None
    self._reader: threading.Thread | None = None
    self._changed = threading.Condition()
    self._made: dict[str, list[jitted.Whole | None]] = {}
    jax.monitoring.register_event_listener(self._hear)
    if _is_empty(folder):
      self._begin()

  def reach(self, step: str) -> None:
    """A step begins: if it is the process's to compile, it is waited for."""
    with self._changed:
      if self._process is None and step in self._names:
        self._names.remove(step)
      if step in self._names:
        _log.info('%s: compiling', step)
        self._changed.wait_for(lambda: step not in self._names)
      made = self._made.pop(step, None)
    if made is not None:
      own = [program for name, program in self._programs if name == step]
      for program, whole in zip(own, made, strict=True):
        _give(step, program, whole)

  def close(self) -> None:
    """Ends the process, whatever it is at."""
    jax.monitoring.unregister_event_listener(self._hear)
    with self._changed:
      self._names = []
    if self._process is not None:
      self._process.kill()
      self._reader.join()
      self._process.communicate()

  @functools.cached_property
  def _programs(self) -> list[tuple[str, steps.Program]]:
    return list(self._find())

  def _hear(self, event: str, **_) -> None:
    """Is called by JAX, in the midst of what it does."""
    if event == jitted.COMPILED:
      self._begin()

  def _begin(self) -> None:
    """Starts the process, unless there is one, or nothing for it to do."""
    with self._changed:
      if self._process is None and self._names:
        try:
          self._start()
        except OSError as error:
          self._names = []
          _log.warning('nothing is compiled ahead: %s', error)

  def _start(self) -> None:
    """In a group of its own, which Ctrl-C is not for, of the same session.

    Linux shares cores among sessions alike, however urgent (man 7 sched).
    """
    self._process = subprocess.Popen(
      _COMMAND,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      # XLA would ask for a bug report of what compiles for two minutes, as what
      # gives way to a training may.
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
      process_group=0,
    )
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()
    request = self._config, self._names, self._folder
    with contextlib.suppress(BrokenPipeError):  # `_read` sees that it ended.
      self._process.stdin.write(pickle.dumps(request))
      self._process.stdin.flush()

  def _read(self) -> None:
    """Takes what the process made, as it comes, so that it need not wait."""
    try:
      with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
          step, made = pickle.load(self._process.stdout)
          with self._changed:
            self._names = [name for name in self._names if name != step]
            self._made[step] = made
            self._changed.notify_all()
    finally:
      self._end()

  def _end(self) -> None:
    """Nothing more comes from the process: nobody shall wait for it."""
    try:
      code = self._process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
      self._process.kill()
      code = self._process.wait()
    with self._changed:
      if self._names:
        _log.warning(
          'the process that compiles ended with exit code %s; steps compile '
          'when they begin',
          code,
        )
      self._names = []
      self._changed.notify_all()


def _give(
  step: str, program: steps.Program, whole: jitted.Whole | None
) -> None:
  """Says so if it cannot be taken: the run then makes it, or JAX finds it."""
  try:
    if whole is not None:
      program.run.take(whole)
  except Exception as error:
    _log.warning('%s: %s is made anew: %s', step, program.name, error)


def _is_empty(folder: str) -> bool:
  """Whether no program is there; nobody asks a bucket."""
  if '://' in folder:
    return False
  return not (os.path.isdir(folder) and os.listdir(folder))


def programs(
  config, model: cascade.Cascade, mesh, names: Sequence[str]
) -> Iterator[tuple[str, steps.Program]]:
  """(step, program) of all that the named steps run, in the run's order."""
  flat = sharding.make_mesh(data=1, fsdp=jax.device_count())
  for step in steps.of_run(config, model, mesh, flat):
    if step.name in names:
      yield from ((step.name, program) for program in step.programs)


def compile_one(
  step: str, program: steps.Program
) -> jax.stages.Compiled | None:
  """Compiles a program, for JAX to find; says so where that fails."""
  try:
    return program.traced.lower().compile()
  except Exception as error:
    # The step itself will meet it, and fail.
    _log.warning('%s: %s does not compile: %s', step, program.name, error)
    return None


def main() -> None:
  out = _own_output()
  os.nice(_NICE)
  gc.disable()  # which is 4 % of the work, and this process ends before long
  config, names, folder = pickle.load(sys.stdin.buffer)
  threading.Thread(target=_end_with_the_run, daemon=True).start()
  jax.config.update('jax_compilation_cache_dir', folder)
  # All of them: what takes no time here may take some in the run.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  model = job_lib.open_cascade(config, config.cascade.stages)
  mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
  begun = {name: [] for name in names}
  with concurrent.futures.ThreadPoolExecutor(min(beside.cores(), MOST)) as pool:
    for step, program in programs(config, model, mesh, names):
      compile_it = functools.partial(compile_one, step, program)
      begun[step].append(pool.submit(jitted.pack, compile_it))
    for step, compiled in begun.items():
      pickle.dump((step, [one.result() for one in compiled]), out)
      out.flush()


def _own_output() -> BinaryIO:
  """The standard output; what libraries say there goes to the errors."""
  out = os.fdopen(os.dup(1), 'wb')
  os.dup2(2, 1)
  return out


def _end_with_the_run() -> NoReturn:
  """The run holds the standard input open, until it ends in any way."""
  # Python could not end while its own file is being read.
  while os.read(sys.stdin.fileno(), 1):
    pass
  os._exit(1)


if __name__ == '__main__':
  main()
