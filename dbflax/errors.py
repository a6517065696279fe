"""The one exception for bad input, and what a disk that fails means."""

import errno
from collections.abc import Iterator

_DISK = {
  errno.ENOSPC: 'the disk is full',
  errno.EDQUOT: 'the quota is used up',
  errno.EROFS: 'the file system is read-only',
  errno.EACCES: 'permission is denied',
  errno.EPERM: 'permission is denied',
  errno.EISDIR: 'a folder is in the way',
  errno.ENOTDIR: 'a file is in the way',
}
# As libraries put it that write files on their own.
_FULL = 'No space left on device'


class UserError(Exception):
  """Bad input: one line that names the value and the fix.

  `dbflax.main` prints the message without a traceback and exits with code 2.
  """


class InUse(UserError):
  """Another process works in the folder."""


def one_line(error: Exception) -> str:
  """What it says, for a message of one line."""
  return ' '.join(str(error).split())


def of_disk(error: Exception) -> UserError | None:
  """What a failed write is to the user; None if it is another error."""
  for cause in _causes(error):
    number = cause.errno if isinstance(cause, OSError) else None
    if _FULL in str(cause):
      number = errno.ENOSPC
    if number in _DISK:
      name = getattr(cause, 'filename2', None) or getattr(
        cause, 'filename', None
      )
      where = f' at {name}' if name else ''
      return UserError(
        f'{_DISK[number]}{where}; nothing that was finished is lost, and once '
        'that is mended the same command goes on.'
      )
  return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
  """The error, what it was raised from, and so on."""
  while error is not None:
    yield error
    error = error.__cause__ or error.__context__
