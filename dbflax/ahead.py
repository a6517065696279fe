"""Compiles what a run is going to need while it is busy with something else.

All programs of a run are known before it starts (`plan.steps`), and compiling
is work of the host. A TPU has class images to draw and a stage to train
meanwhile, and a CPU's second core has little to do.
"""

import contextlib
import dataclasses
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

import jax

from dbflax import beside, hosts, methods, sharding, stop
from dbflax import job as job_lib
from dbflax.plan import steps

_log = logging.getLogger(__name__)
# At once: those of two stages. Each takes a processor, and memory of the host.
_MOST = 2
_NICE = 19  # the least urgent


@contextlib.contextmanager
def compiling(job: job_lib.Job) -> Iterator[job_lib.Job]:
  """The job, whose steps are compiled from when the first of them begins.

  Not on a GPU: its compiler tries kernels out, on the device that is at work.
  Nor on one core, where nothing is gained. Of several hosts each compiles when
  it gets there, so that they keep in step.
  """
  threads = min(beside.cores() // 2, _MOST)
  if not threads or hosts.count() > 1 or jax.default_backend() == 'gpu':
    yield job
    return
  ahead = Ahead(lambda: _programs(job), threads)
  try:
    yield dataclasses.replace(job, begins=ahead.reach)
  finally:
    ahead.close()


def _step_back() -> None:
  """Has this thread work when others leave a core to it.

  On a CPU they compute on all of them, and wait for the slowest.
  """
  if sys.platform != 'linux':  # There it would be the whole process.
    return
  with contextlib.suppress(OSError):  # A container may forbid it.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _programs(job: job_lib.Job) -> Iterator[tuple[str, steps.Program]]:
  """(step, program) of all that is not trained yet, in the run's order."""
  flat = sharding.make_mesh(data=1, fsdp=jax.device_count())
  trained = methods.trained(job.config)
  for step in steps.of_run(job.config, job.model, job.mesh, flat):
    name = step.name.removesuffix(steps.PREVIEWS)
    if name in trained and not job.work.is_done(name):
      yield from ((step.name, program) for program in step.programs)


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
      step, program = found
      try:
        program.traced.lower().compile()
      except Exception as error:
        # The step itself will meet it, and fail.
        _log.warning('%s: %s does not compile: %s', step, program.name, error)
      with self._changed:
        self._at_work.remove(step)
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
