"""Bars of what a run is at, for a terminal and for a log."""

import contextlib
import sys
import time
from collections.abc import Iterator

import tqdm

from dbflax import hosts

# Seconds between two states of a bar. A log or a pipe keeps all of them.
_ON_A_TERMINAL, _IN_A_LOG = 1, 10


def bar(name: str, total: int, unit: str, done: int = 0) -> tqdm.tqdm:
  """`done` of `total`; the first host shows it."""
  on_terminal = sys.stderr.isatty()
  return tqdm.tqdm(
    desc=name,
    total=total,
    unit=unit,
    initial=done,
    mininterval=_ON_A_TERMINAL if on_terminal else _IN_A_LOG,
    disable=not hosts.is_first(),
  )


@contextlib.contextmanager
def paused(one: tqdm.tqdm) -> Iterator[None]:
  """What is done inside counts neither for the rate nor for the time left.

  It may log: the bar leaves its line, and comes back.
  """
  one.clear()
  start = time.time()
  yield
  if not one.disable:
    away = time.time() - start
    one.start_t += away
    one.last_print_t += away


@contextlib.contextmanager
def compiling(one: tqdm.tqdm, *, now: bool = True) -> Iterator[None]:
  """`paused`, and says why, for the first of many calls (`now`)."""
  if not now:
    yield
    return
  with paused(one):
    one.set_postfix_str('compiling')
    yield
  one.set_postfix_str('', refresh=False)
