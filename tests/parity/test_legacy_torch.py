"""Torch's old files are read as torch reads them."""

import numpy as np
import pytest

from dbflax import errors
from dbflax.weights import legacy

torch = pytest.importorskip('torch', reason='parity needs torch')
pytestmark = pytest.mark.parity


def test_what_torch_wrote_is_read(tmp_path):
  whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
  tensors = {
    'whole': whole,
    'turned': whole.T,  # of the same storage
    'part': whole[1:3, ::2],
    'half': torch.tensor([0.5, -2.0], dtype=torch.float16),
    'count': torch.tensor(7),
  }
  path = tmp_path / 'a.pth'
  torch.save(tensors, path, _use_new_zipfile_serialization=False)
  found = legacy.tensors(path)
  assert found.keys() == tensors.keys()
  for name, tensor in tensors.items():
    assert found[name].dtype == tensor.numpy().dtype
    np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name)
  (tmp_path / 'cut.pth').write_bytes(path.read_bytes()[:-8])
  torch.save(tensors, tmp_path / 'new.pth')
  for other in ('cut.pth', 'new.pth'):
    with pytest.raises(errors.UserError, match='not a dict of tensors'):
      legacy.tensors(tmp_path / other)
