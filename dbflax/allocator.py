"""What becomes of memory that is freed, and how often it is looked for.

On a CPU, XLA allocates a program's temporaries whenever it runs, and frees them
after: hundreds of megabytes for a training step. glibc returns blocks of that
size to the system, which then hands out every page anew, and zeroed: 144,000
pages in a step of the 29 M base.

Python looks for cycles of objects whenever there are 700 more, and what is
traced for a program makes millions, which stay: a sixth of the time of it.
"""

import ctypes
import gc

# Of mallopt(3) and glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed() -> bool:
  """Has freed memory kept for what comes next; the process holds its peak.

  To be called before there are threads: each would get an arena of its own,
  which cannot hold large blocks.

  Returns:
    whether the C library is one that can be told so (glibc is, on Linux).
  """
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  settings = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0, _ARENA_MAX: 1}
  return mallopt is not None and all(
    mallopt(name, value) for name, value in settings.items()
  )


def collect_seldom() -> None:
  """Has Python look for cycles at 50,000 new objects, not at 700."""
  gc.set_threshold(50_000, *gc.get_threshold()[1:])
