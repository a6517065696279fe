"""The loop around a training step: checkpoints, logs, samples, resume.

`update(state, step) → (state, metrics)` makes its own batch from the step
number, so nothing but the state has to survive a kill.
"""

import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable

import jax
import optax
import tqdm

from dbflax import bars, disk, errors, hosts, sharding, stop
from dbflax import checkpoints as checkpoints_lib
from dbflax.train import events as events_lib
from dbflax.train import state as state_lib

_log = logging.getLogger(__name__)
_AGREE_EVERY = 10  # steps
Update = Callable[[state_lib.State, int], tuple[state_lib.State, dict]]


def run(
  name: str,
  state: state_lib.State,
  update: Update,
  *,
  steps: int,
  checkpoints: checkpoints_lib.Checkpoints,
  checkpoint_every: int,
  checkpoint_minutes: float = 0,
  max_skipped: int | None = None,
  log_path: pathlib.Path,
  images: int = 0,
  sample_every: int = 0,
  sample: Callable[[state_lib.State, int], None] | None = None,
  track: Callable[..., None] | None = None,
) -> state_lib.State:
  """Runs from the state's step to `steps`, and leaves a checkpoint there.

  Others come every `checkpoint_every` steps, every `checkpoint_minutes` (0 is
  never), and where somebody asks to stop. A resumed run draws the sample of its
  first state again: it may have been killed in between. `max_skipped` steps may
  have a loss or gradient that is not finite, and leave the parameters as they
  were; None is 0, and no such field. `images` of a step give the bar's speed;
  `track` gets what the log gets.

  Raises:
    UserError: on one more, with the parts of its loss.
    Stopped: asked to by a signal, with a checkpoint of the step that was done.
  """
  start = _start(name, state, steps)
  is_due = _timer(checkpoint_every, checkpoint_minutes)
  is_sampled = lambda done: sample and sample_every and done % sample_every == 0
  with (
    checkpoints.settled(),
    MetricsLog(log_path, name, start, max_skipped, track) as log,
    stop.deferred() as asked,
    bars.bar(name, steps, 'step', start) as bar,
  ):
    if start and is_sampled(start):
      sample(state, start)
    for step in range(start, steps):
      with bars.compiling(bar, now=step == start):
        state, metrics = update(state, step)
      _show(bar, images, log.add(step, metrics))
      done = step + 1
      stops = asked.check()
      if stops or done == steps or is_due(done):
        log.drain()
        checkpoints.save(done, state)
      if stops:
        break
      checkpoints.poll()
      if is_sampled(done):
        with bars.paused(bar):
          sample(state, done)
    checkpoints.wait()
    if asked.settle():
      hosts.wait('the last checkpoint is whole')
      asked.obey()
  return state


def options_of(hyper) -> dict:
  """What a section of the config that fine-tunes says of `run`."""
  names = (
    'steps',
    'checkpoint_every',
    'checkpoint_minutes',
    'max_skipped',
    'sample_every',
  )
  return {name: hyper[name] for name in names}


def _start(name: str, state: state_lib.State, steps: int) -> int:
  """The step to go on from."""
  start = int(state.step)
  if start:
    _log.info('%s: goes on at step %d of %d', name, start, steps)
  return start


def _show(bar: tqdm.tqdm, images: int, losses: str) -> None:
  """One step more."""
  bar.set_postfix_str(_speed(bar, images) + losses, refresh=False)
  bar.update()


def _speed(bar: tqdm.tqdm, images: int) -> str:
  """Such as '4.6 images/s '; '' while it is not known."""
  rate = bar.format_dict['rate']
  return f'{rate * images:.3g} images/s ' if rate and images else ''


def _timer(steps: int, minutes: float) -> Callable[[int], bool]:
  """done → whether it is time: every so many steps, and whenever so many
  minutes (0 is never) have passed since it last was.

  Several hosts wait for each other to agree on minutes, so they do it rarely.
  """
  last = time.monotonic()  # It does not jump when clocks are set.

  def is_time(done: int) -> bool:
    nonlocal last
    now, due = time.monotonic(), done % steps == 0
    agrees = hosts.count() == 1 or done % _AGREE_EVERY == 0
    if minutes and agrees and not due:
      due = hosts.from_first(lambda: now - last > 60 * minutes)
    last = now if due else last
    return due

  return is_time


class MetricsLog:
  """Metrics of every step as json lines and for TensorBoard, one step late.

  Reading a step's metrics waits for the device; one step late, the device has
  the next step to work on meanwhile.
  """

  def __init__(
    self,
    path: pathlib.Path,
    name: str,
    start: int,
    max_skipped: int | None = None,
    track: Callable[..., None] | None = None,
  ):
    self._name, self._pending, self._shown = name, None, ''
    self._track = track or (lambda step, **metrics: None)
    # All hosts have the same metrics; one writes them down.
    writes, lines = hosts.is_first(), []
    if writes:
      # A resumed run forgets what the killed one logged past its checkpoint.
      lines = [line for line in disk.read_log(path) if line['step'] < start]
      kept = ''.join(json.dumps(line) + '\n' for line in lines)
      disk.atomic_write(path, kept.encode())
    self._can_skip = max_skipped is not None
    self._left = (max_skipped or 0) - hosts.from_first(
      lambda: sum(not _is_finite(line) for line in lines)
    )
    self._file = (path if writes else pathlib.Path(os.devnull)).open('a')
    at = path.with_name(events_lib.NAME)
    self._events = events_lib.Events(at, lines) if writes else None

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    if kind is None:
      self.drain()
    self._file.close()
    if self._events:
      self._events.close()

  def add(self, step: int, metrics: dict) -> str:
    """Takes a step's metrics; returns the newest losses, for the bar."""
    self.drain()
    self._pending = (step, metrics)
    return self._shown

  def drain(self) -> None:
    """Writes what is pending and checks it."""
    if self._pending is None:
      return
    step, metrics = self._pending
    self._pending = None
    values = {k: float(v) for k, v in jax.device_get(metrics).items()}
    self._file.write(json.dumps({'step': step, **values}) + '\n')
    self._file.flush()
    if self._events:
      self._events.add(step, **values)
    self._track(step, **values)
    losses = {k: v for k, v in values.items() if k.endswith('loss')}
    self._shown = _said(losses)
    if not _is_finite(values):
      self._skip(step, values)

  def _skip(self, step: int, values: dict[str, float]) -> None:
    """Counts a step that was skipped; UserError if it is one too many."""
    self._left -= 1
    what = f'{self._name}: the loss is not finite at step {step}'
    if self._left < 0:
      allow = f', or allow a few with {self._name}.max_skipped'
      raise errors.UserError(
        f'{what} ({_said(values)}); lower the learning rate'
        f'{allow if self._can_skip else ""}. The last checkpoint stands.'
      )
    _log.warning('%s; skipped, %d more may be', what, self._left)


def _said(values: dict[str, float]) -> str:
  return ' '.join(f'{k}={v:.4g}' for k, v in values.items())


def _is_finite(values: dict) -> bool:
  return all(math.isfinite(value) for value in values.values())


def begin(
  checkpoints: checkpoints_lib.Checkpoints,
  params: dict,
  optimizer: optax.GradientTransformation,
  *,
  ema: bool,
  mesh: jax.sharding.Mesh,
) -> tuple[state_lib.State, state_lib.State]:
  """(state, its shardings): of the newest checkpoint, or else of `params`."""
  create, shardings = state_lib.start(params, optimizer, ema=ema, mesh=mesh)
  return restore(checkpoints, create, shardings), shardings


def restore(
  checkpoints: checkpoints_lib.Checkpoints,
  create: Callable[[], state_lib.State],
  shardings: state_lib.State,
) -> state_lib.State:
  """The newest checkpoint, or else the state that `create` makes."""
  shapes = jax.eval_shape(create)
  state = checkpoints.restore_latest(
    checkpoints_lib.abstract(shapes, shardings)
  )
  return sharding.put(create(), shardings) if state is None else state
