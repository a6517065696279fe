"""What a disk that fails is to the user, and what is no such thing."""

import pytest

from dbflax import errors


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (
      OSError(28, 'No space left on device', '/run/a.png'),
      'full at /run/a.png',
    ),
    (OSError(122, 'Disk quota exceeded'), 'quota is used up'),
    (OSError(30, 'Read-only file system'), 'read-only'),
    (PermissionError(13, 'Permission denied', '/run'), 'permission is denied'),
    # As safetensors and tensorstore say it.
    (RuntimeError('I/O error: No space left on device (os error 28)'), 'full'),
  ],
)
def test_a_disk_that_fails_is_one_line(error, words):
  found = errors.of_disk(error)
  assert words in str(found) and '\n' not in str(found)
  assert 'the same command goes on' in str(found)
  try:
    try:
      raise error
    except Exception as first:
      raise ValueError('a checkpoint failed') from first
  except ValueError as second:
    assert str(errors.of_disk(second)) == str(found)


@pytest.mark.parametrize(
  'error', [ValueError('5 != 6'), FileNotFoundError(2, 'No such file', 'a')]
)
def test_another_error_is_not_explained_away(error):
  assert errors.of_disk(error) is None
