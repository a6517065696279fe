"""Torch's old files: tensors are read, and nothing in them is run."""

import pickle

import numpy as np
import pytest

from dbflax import errors
from dbflax.weights import legacy


class _Call:
  """Pickles to a call of `os.getcwd`."""

  def __reduce__(self):
    import os

    return os.getcwd, ()


def _refused(path, content):
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match='not a dict of tensors') as caught:
    legacy.tensors(path)
  assert '\n' not in str(caught.value)


def _old(*objects):
  heads = (legacy._MAGIC, 1001, {'little_endian': True}, *objects)
  return b''.join(pickle.dumps(one, protocol=2) for one in heads)


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'no pickle',
    pickle.dumps({'a': 1}),
    _old(_Call(), []),
    _old({'a': 1}, []),
  ],
)
def test_anything_but_tensors_is_refused(tmp_path, content):
  _refused(tmp_path / 'a.pth', content)


def test_a_tensor_stays_within_its_storage():
  part = legacy._Part(('s', np.dtype('<f4')), 2, (3,), (2,))
  numbers = np.arange(8, dtype=np.float32)
  np.testing.assert_array_equal(part.of(numbers), [2, 4, 6])
  parts = {'a': part}
  legacy._check_inside(parts, {'s': numbers[:7]})
  for bad in (
    part._replace(offset=3),
    part._replace(shape=(4,)),
    part._replace(strides=(-1,)),
  ):
    with pytest.raises(ValueError, match='out of its storage'):
      legacy._check_inside({'a': bad}, {'s': numbers[:7]})
