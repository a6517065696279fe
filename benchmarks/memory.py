"""The most memory that this process had resident, on Linux.

`ru_maxrss` cannot be reset, and would be that of compiling.
"""

import ctypes
import pathlib


def peak() -> int:
  """Bytes, since the last `reset_peak` or the start."""
  status = pathlib.Path('/proc/self/status').read_text()
  [line] = [line for line in status.splitlines() if line.startswith('VmHWM')]
  return int(line.split()[1]) * 1024


def reset_peak() -> int:
  """Starts anew from what is resident now; returns the peak until here."""
  found = peak()
  # What is free already shall not count: malloc keeps it.
  ctypes.CDLL('libc.so.6').malloc_trim(0)
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  return found
