"""Many hosts, one run: how they meet, who writes, what they must agree on.

Every host runs the same program on its own devices, as JAX wants it, and sees
the same workdir. What is decided by looking at files is decided by the first
host for all; files are written by it, or in parts by the hosts that have the
parts. With one host nothing here does anything.
"""

import contextlib
import functools
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dbflax import errors

# JAX is imported where it is used: the rest of the program answers bad input
# before it could be.

# A host that is lost ends the run on all others in less than a minute.
_HEARTBEAT = 30  # seconds
_SHUTDOWN = 20  # seconds
_GOODBYE = 10  # seconds
LOST = 3  # exit code
_STOP = 'dbflax/stop'  # what the hosts are told, and where they meet
_leaving = threading.Lock()
# Schedulers' numbers of processes, and the hosts of a TPU slice.
_COUNTS = ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')
_NAMES = 'TPU_WORKER_HOSTNAMES'


def join(join: str, coordinator: str, count: int, index: int) -> None:
  """Meets the other hosts, if there are any; comes before all use of devices.

  Args:
    join: 'yes', 'no', or 'auto': if `coordinator` or the environment says so.
    coordinator: address:port of the first host; '' is what JAX finds.
    count: number of hosts; index: which one this is. Only with `coordinator`.

  Raises:
    UserError: the others were not found.
  """
  import jax

  if join == 'no' or (join == 'auto' and not (coordinator or detected())):
    return
  known = (coordinator, count, index) if coordinator else ()
  try:
    jax.distributed.initialize(
      *known,
      heartbeat_timeout_seconds=_HEARTBEAT,
      shutdown_timeout_seconds=_SHUTDOWN,
    )
  except (ValueError, RuntimeError) as error:
    raise errors.UserError(
      f'the other hosts were not found ({errors.one_line(error)}); start the '
      'same command on all of them, or say --config.hosts.join=no.'
    ) from error


def detected(environment: Mapping[str, str] = os.environ) -> bool:
  """Whether the environment says that this is one of several processes."""
  counts = [environment.get(name, '') for name in _COUNTS]
  several = any(count.isdigit() and int(count) > 1 for count in counts)
  names = environment.get(_NAMES, '').split(',')
  return several or len(names) > 1 or 'JAX_COORDINATOR_ADDRESS' in environment


def count() -> int:
  """How many hosts there are; asks no device, which may be busy starting."""
  import jax

  return _joined().num_processes if jax.distributed.is_initialized() else 1


def _joined():
  """What JAX knows since `join`: `client` speaks to the `service` of one host.

  It has no public name for their store of keys, which answers while all devices
  are busy. Orbax finds it here, too.
  """
  from jax._src import distributed

  return distributed.global_state


def is_first() -> bool:
  """Whether this host decides and writes."""
  return _index() == 0


def _index() -> int:
  import jax

  return jax.process_index() if count() > 1 else 0


def from_first(make: Callable[[], Any]):
  """What `make()` gives on the first host, on all; called on that one only.

  Nobody goes on before the first host has come back from it. The value goes
  through JSON.

  Raises:
    UserError: on every host, if `make` raised one.
  """
  if count() == 1:
    return make()
  answer = {}
  if is_first():
    try:
      answer = {'value': make()}
    except errors.UserError as error:
      answer = {'error': str(error)}
  answer = _broadcast(answer)
  if 'error' in answer:
    raise errors.UserError(answer['error'])
  return answer['value']


def _broadcast(value):
  """The first host's value on all, as JSON."""
  from jax.experimental import multihost_utils

  content = np.frombuffer(json.dumps(value).encode(), np.uint8)
  size = multihost_utils.broadcast_one_to_all(np.int32(len(content)))
  # A power of two, so that few programs are compiled.
  room = np.zeros(1 << int(size).bit_length(), np.uint8)
  if is_first():
    room[: len(content)] = content
  sent = np.asarray(multihost_utils.broadcast_one_to_all(room))
  return json.loads(sent[:size].tobytes())


@contextlib.contextmanager
def leave_when_lost() -> Iterator[None]:
  """Ends this process where the run fails on it, or another host is lost.

  At once: an orderly end would wait for hosts that wait for this one.
  """
  try:
    yield
  except (errors.UserError, KeyboardInterrupt):
    raise
  except Exception:
    if count() == 1:
      raise
    if number := told():  # The other was asked to stop, and so is this one.
      leave_together(number)
      time.sleep(2 * _GOODBYE)  # Another thread is about it.
    traceback.print_exc()
    print(
      f'dbflax: host {_index()} stops, it failed or lost another; when all '
      'have stopped, the same command on all of them goes on.',
      file=sys.stderr,
    )
    sys.stderr.flush()
    os._exit(LOST)


def told() -> int:
  """The signal by which some host was asked to stop; 0 if none was."""
  import jax

  if count() == 1:
    return 0
  try:
    return int(_joined().client.key_value_try_get(_STOP))
  except jax.errors.JaxRuntimeError:  # There is no such key.
    return 0


def leave_together(number: int) -> None:
  """Ends this process at once, with the exit code of the signal `number`.

  All others hear of it and do the same; who serves them goes last, for without
  it they would not. Returns only if another thread is about it already.
  """
  if not _leaving.acquire(blocking=False):
    return
  if count() > 1:
    _say_goodbye(number)
  sys.stderr.flush()
  os._exit(128 + number)


def _say_goodbye(number: int) -> None:
  import jax

  # Several may have been asked at once, and one may be gone already.
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    _joined().client.key_value_set(_STOP, str(number), allow_overwrite=True)
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    _joined().client.wait_at_barrier(_STOP, 1000 * _GOODBYE)
  if _joined().service is not None:
    time.sleep(1)


def highest(number: int):
  """The highest of all hosts' numbers, as an array; not waited for."""
  import jax

  split, find = _highest()
  mine = np.full(jax.local_device_count(), number, np.int32)
  return find(jax.make_array_from_process_local_data(split, mine))


@functools.cache
def _highest():
  """(sharding of one number per device, the compiled maximum)."""
  import jax
  from jax.sharding import NamedSharding, PartitionSpec

  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('all',))
  on_all = NamedSharding(mesh, PartitionSpec())
  find = jax.jit(lambda numbers: numbers.max(), out_shardings=on_all)
  return NamedSharding(mesh, PartitionSpec('all')), find


def wait(name: str) -> None:
  """Returns when all hosts have come here."""
  from jax.experimental import multihost_utils

  if count() > 1:
    multihost_utils.sync_global_devices(name)


def check_equal(fingerprints: Mapping[str, str]) -> None:
  """Raises UserError if something is not the same on every host.

  Args:
    fingerprints: what it is → sha256 (hex); the same names on every host.
  """
  from jax.experimental import multihost_utils

  if count() == 1:
    return
  mine = np.frombuffer(bytes.fromhex(''.join(fingerprints.values())), np.uint8)
  hosts_by_names = np.asarray(multihost_utils.process_allgather(mine))
  hosts_by_names = hosts_by_names.reshape(count(), len(fingerprints), -1)
  for n, name in enumerate(fingerprints):
    differ = (hosts_by_names[:, n] != hosts_by_names[0, n]).any(-1)
    if differ.any():
      raise errors.UserError(
        f'{name} of host {np.flatnonzero(differ)[0]} is not that of host 0; '
        'give all hosts the same command, files and, shared, workdir.'
      )


def whole(array) -> np.ndarray:
  """An array's values, wherever its parts lie; all hosts call this together."""
  import jax
  from jax.experimental import multihost_utils

  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  if array.is_fully_replicated:
    return np.asarray(array)
  return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def own_rows(array) -> Iterator[tuple[int, np.ndarray]]:
  """(n, row n) of what lies on this host; each row is some one host's."""
  for shard in array.addressable_shards:
    # Of equal parts on several devices, one counts.
    if shard.replica_id == 0:
      start = shard.index[0].start or 0
      yield from enumerate(np.asarray(shard.data), start)
