"""Two programs at once on one CPU.

What one thread gives a CPU runs in order; what another gives it runs beside. A
small network's program gains little from a second core: two at once, on two
cores, take less time than one after the other (docs/speed.md).
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import jax

Item, Result = TypeVar('Item'), TypeVar('Result')
_other = concurrent.futures.ThreadPoolExecutor(1, 'beside')


def cores() -> int:
  """How many CPU cores this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def has_room() -> bool:
  """Whether the devices are one CPU, of more than one core.

  Several devices wait for each other in what they exchange, so all must have
  their programs in one order.
  """
  is_one = jax.default_backend() == 'cpu' and jax.device_count() == 1
  return is_one and cores() > 1


def call(function: Callable[..., Result], *args) -> Result:
  """function(*args), whose programs run beside the caller's if there is room.

  It comes back as soon as they are begun, as the function itself does.
  """
  if has_room():
    return _other.submit(function, *args).result()
  return function(*args)


def each(
  function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
  """function(item) of each item, in order; the next is begun before one is had.

  So a device has something to do while a result is written, and a CPU with room
  does two at once.
  """
  begun = collections.deque()
  for n, item in enumerate(items):
    begun.append(call(function, item) if n % 2 else function(item))
    if len(begun) == 2:
      yield begun.popleft()
  yield from begun
