"""Compiles what a run is going to need while it is busy with something else.

All programs of a run are known before it starts (`plan.steps`), and compiling
is work of the host. A TPU has class images to draw and a stage to train
meanwhile, and a CPU's second core has little to do.
"""

import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

import jax

from dbflax import beside, compiler, hosts, methods, stop
from dbflax import job as job_lib
from dbflax.plan import steps

_NICE = 19  # the least urgent


@contextlib.contextmanager
def compiling(job: job_lib.Job) -> Iterator[job_lib.Job]:
  """The job, whose steps are compiled while others are at work.

  On a TPU in threads, since no other process may have it; on a CPU in another
  process, if JAX has a folder that its programs can come by. Not on a GPU: its
  compiler tries kernels out, on the device that is at work. Nor on one core,
  where nothing is gained. Of several hosts each compiles when it gets there, so
  that they keep in step.
  """
  ahead = _compiler(job)
  if ahead is None:
    yield job
    return
  with contextlib.closing(ahead):
    yield dataclasses.replace(job, begins=ahead.reach)


def _compiler(job: job_lib.Job) -> 'Ahead | compiler.Compiler | None':
  platform, cores = jax.default_backend(), beside.cores()
  if not job.config.compile_ahead or hosts.count() > 1 or cores < 2:
    return None
  config, names = job.config, _names(job)
  programs = lambda: compiler.programs(config, job.model, job.mesh, names)
  if platform == 'tpu':
    return Ahead(programs, min(cores // 2, compiler.MOST))
  if platform == 'cpu' and (folder := jax.config.jax_compilation_cache_dir):
    return compiler.Compiler(config, names, folder, programs)
  return None


def _names(job: job_lib.Job) -> list[str]:
  """Of steps that are not trained yet, and their previews."""
  left = methods.trained(job.config)
  left = [name for name in left if not job.work.is_done(name)]
  return [part for name in left for part in (name, name + steps.PREVIEWS)]


def _step_back() -> None:
  """Has this thread work when the run leaves a core to it."""
  if sys.platform != 'linux':  # There it would be the whole process.
    return
  with contextlib.suppress(OSError):  # A container may forbid it.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Ahead:
  """Threads that compile programs in their order, each program once."""

  def __init__(
    self,
    programs: Callable[[], Iterable[tuple[str, steps.Program]]],
    threads: int,
  ):
    """`programs()` are (step, program); a thread asks for them."""
    self._make, self._threads = programs, threads
    self._started = self._closed = False
    self._left: Iterator | None = None
    self._reached: set[str] = set()
    self._at_work: list[str] = []  # the step of what each thread compiles
    self._changed = threading.Condition()

  def reach(self, step: str) -> None:
    """A step begins: what is being compiled of it is waited for.

    What is not begun of it is left to the step, which needs it now.
    """
    with self._changed:
      self._reached.add(step)
      if not self._started:
        self._started = True
        for _ in range(self._threads):
          threading.Thread(target=self._work, name=stop.COMPILER).start()
      self._changed.wait_for(lambda: step not in self._at_work)

  def close(self) -> None:
    """Nothing more is begun; what is being compiled is not waited for."""
    with self._changed:
      self._closed = True

  def _work(self) -> None:
    _step_back()
    while (found := self._take()) is not None:
      compiler.compile_one(*found)
      with self._changed:
        self._at_work.remove(found[0])
        self._changed.notify_all()

  def _take(self) -> tuple[str, steps.Program] | None:
    """The next (step, program), noted as being compiled; None: no more."""
    with self._changed:
      if self._left is None:
        self._left = iter(self._make())
      for step, program in self._left:
        if self._closed:
          break
        if step not in self._reached:
          self._at_work.append(step)
          return step, program
      return None
