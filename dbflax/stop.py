"""Being asked to stop: Ctrl-C, or SIGTERM where a machine is taken away.

Every file of a run is whole or absent, so stopping at once loses nothing but
the work since the last checkpoint. Where that can be kept, inside `deferred`,
the request waits for whoever looks at it.

One of several hosts cannot go on alone, whichever of them was asked. Inside
`deferred` they agree on the step after which all stop; elsewhere the one tells
the others, and all end at once with the same exit code.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from dbflax import hosts

# Name of threads that compile, beside the main one.
COMPILER = 'dbflax compiler'
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LISTEN_EVERY = 1  # seconds
# So long may compiling, or another host, keep the main thread from answering.
_PATIENCE = 5  # seconds
# What a run says that was asked, and saves its state first.
WAITS = (
  'dbflax: stopping when this step is saved; asked again, at once, and what '
  'was done since the last checkpoint is lost'
)


class Stopped(KeyboardInterrupt):
  """The process was asked to stop, by the signal `number`."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


def exit_code(asked: KeyboardInterrupt) -> int:
  """As a shell would report it: 130 for Ctrl-C, 143 for SIGTERM."""
  return 128 + getattr(asked, 'number', signal.SIGINT)


def leave(code: int) -> NoReturn:
  """Ends the process, all of whose files are written, with this exit code.

  Python would wait for threads, and one that compiles may do so for minutes.
  """
  if any(thread.name == COMPILER for thread in threading.enumerate()):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)


def say() -> None:
  print('dbflax: stopped; the same command goes on', file=sys.stderr)


def _say(line: str) -> None:
  """From a signal's handler, where Python's own files may be half-way."""
  with contextlib.suppress(OSError):
    os.write(sys.__stderr__.fileno(), f'\n{line}\n'.encode())


@contextlib.contextmanager
def on_signals() -> Iterator[None]:
  """Raises `Stopped` in the main thread where a signal asks to stop.

  The process ends at once instead where that thread does not answer, and with
  several hosts, where all others do so too.
  """
  with _handlers(_Handler(_at_once)), _listening():
    yield


@contextlib.contextmanager
def deferred() -> Iterator['Request']:
  """Notes the first signal instead of ending, for `Request.check` to see.

  A second one stops at once; so does one before the first check, since the
  first step is long in compiling and there is nothing to keep.
  """
  request = Request()

  def note(number):
    if request.number or not request.is_checked:
      _at_once(number)
    _say(WAITS)
    request.number = number

  with _handlers(_Handler(note, lambda: request.is_checked)):
    yield request
  if request.number:  # by a signal that came after the last look
    _at_once(request.number)


class Request:
  """Whether somebody asked to stop."""

  number: int = 0  # the signal: this host's, or the one that all agree on
  is_checked = False
  _agreed = None  # an array: the number of all hosts, at the last check

  def check(self) -> bool:
    """Whether to stop after this step: at the same one on all hosts.

    Several hosts hear of it one step late, so that none waits for another.
    """
    self.is_checked = True
    if hosts.count() == 1:
      return bool(self.number)
    before, self._agreed = self._agreed, hosts.highest(self.number)
    return before is not None and bool(before)

  def settle(self) -> bool:
    """`check` without delay: whether any host was asked until now."""
    if hosts.count() > 1:
      self.number = int(hosts.highest(self.number))
    return bool(self.number)

  def obey(self) -> None:
    raise Stopped(self.number)


def _at_once(number: int) -> None:
  """Ends the work of the main thread, which calls this."""
  if hosts.count() == 1:
    raise Stopped(number)
  _leave(number)


def _leave(number: int) -> None:
  """Ends this process, whatever it is at, and so do all others."""
  say()
  hosts.leave_together(number)


class _Handler:
  """Of signals; Python calls it as soon as the main thread runs Python."""

  calls = 0  # of all of them
  called_at = 0.0  # monotonic time

  def __init__(
    self,
    act: Callable[[int], None],
    is_patient: Callable[[], bool] = lambda: False,
  ):
    """`is_patient()`: whether the main thread may take its time."""
    self._act, self.is_patient = act, is_patient

  def __call__(self, number, frame):
    del frame
    _Handler.calls += 1
    _Handler.called_at = time.monotonic()
    self._act(number)


@contextlib.contextmanager
def _handlers(handle: _Handler) -> Iterator[None]:
  """`handle` for the signals; the old handlers come back."""
  before = {n: signal.signal(n, handle) for n in _SIGNALS if _is_main()}
  try:
    yield
  finally:
    for number, handler in before.items():
      # None stands for JAX's own, for SIGTERM, which nobody here looks at.
      signal.signal(number, handler or signal.SIG_DFL)


def _is_main() -> bool:
  """Signals come to the main thread only."""
  return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _listening() -> Iterator[None]:
  """Has a thread see to it that this process ends when it is to.

  Python's handlers wait until the main thread comes back from what it called;
  that may be compiling, or waiting for another host, which may wait for it.
  """
  if not _is_main():
    yield
    return
  ear, mouth = socket.socketpair()
  with ear, mouth:
    mouth.setblocking(False)
    listener = threading.Thread(
      target=_listen, args=(ear, _Handler.calls), daemon=True
    )
    before = signal.set_wakeup_fd(mouth.fileno())
    listener.start()
    try:
      yield
    finally:
      signal.set_wakeup_fd(before)
      mouth.send(b'\0')
      listener.join()


def _listen(ear: socket.socket, answered: int) -> None:
  """Until a 0 comes; the system writes signals' numbers as they come.

  `answered`: calls of handlers that were no answer to what is heard here.
  """
  while True:
    ready, _, _ = select.select([ear], [], [], _LISTEN_EVERY)
    heard = ear.recv(64) if ready else b''
    if 0 in heard:
      return
    for number in set(heard).intersection(_SIGNALS):
      if _is_unanswered(number, answered):
        _leave(number)
      answered = _Handler.calls
    if number := hosts.told():
      _leave(number)


def _is_unanswered(number: int, answered: int) -> bool:
  """Whether the main thread does nothing about a signal that came just now.

  One call of a handler may answer several signals; and this thread may have
  slept, on a busy machine, for longer than the answer took.
  """
  came = time.monotonic()
  while time.monotonic() < came + _PATIENCE:
    is_recent = _Handler.called_at > came - _LISTEN_EVERY
    if is_recent or _Handler.calls > answered:
      return False
    time.sleep(0.1)
  handler = signal.getsignal(number)
  return isinstance(handler, _Handler) and not handler.is_patient()
