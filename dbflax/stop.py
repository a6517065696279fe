"""Being asked to stop: Ctrl-C, or SIGTERM where a machine is taken away.

Every file of a run is whole or absent, so stopping at once loses nothing but
the work since the last checkpoint. Where that can be kept, inside `deferred`,
the request waits for whoever looks at it.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

from dbflax import hosts

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
  """The process was asked to stop, by the signal `number`."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def exit_code(asked: KeyboardInterrupt) -> int:
  """As a shell would report it: 130 for Ctrl-C, 143 for SIGTERM."""
  return 128 + getattr(asked, 'number', signal.SIGINT)


@contextlib.contextmanager
def on_signals() -> Iterator[None]:
  """Raises `Stopped` in the main thread where a signal asks to stop."""

  def stop(number, frame):
    del frame
    raise Stopped(number)

  with _handlers(stop):
    yield


@contextlib.contextmanager
def deferred() -> Iterator['Request']:
  """Takes the first signal down instead, for `Request.check` to see.

  A second one stops at once; so does one before the first check, since the
  first step is long in compiling and there is nothing to keep.
  """
  request = Request()

  def note(number, frame):
    del frame
    if request.number is not None or not request.is_checked:
      raise Stopped(number)
    request.number = number

  with _handlers(note):
    yield request


class Request:
  """Whether somebody asked to stop."""

  number: int | None = None
  is_checked = False

  def check(self, step: int) -> bool:
    """Whether to stop after `step`: at the same one on all hosts."""
    self.is_checked = True
    if hosts.count() > 1:
      return hosts.asked_to_stop(step)
    return self.number is not None

  def obey(self) -> None:
    raise Stopped(self.number or signal.SIGTERM)


@contextlib.contextmanager
def _handlers(handle) -> Iterator[None]:
  """`handle(number, frame)` for the signals; the old handlers come back."""
  # JAX itself takes SIGTERM down where hosts have to agree on when to stop.
  mine = _SIGNALS if hosts.count() == 1 else _SIGNALS[:1]
  if threading.current_thread() is not threading.main_thread():
    mine = ()  # Signals come to the main thread only.
  before = {number: signal.signal(number, handle) for number in mine}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
