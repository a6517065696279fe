"""Torch's pickles: read on demand, tensors only, nothing run."""

import pathlib
import pickle

import jax
import numpy as np
import pytest

from dbflax import errors, pretrained
from dbflax.weights import diffusers, files, names

torch = pytest.importorskip('torch', reason='pickles need torch')
pytestmark = pytest.mark.parity

TRUSTED = files.Format(allow_pickle=True)


@pytest.fixture
def network(tmp_path, tiny, random_params):
  """(folder, parameters, torch's tensors) of a U-Net."""
  params = random_params(pretrained.abstract_params(tiny, 'stage_1'))
  diffusers.write_params(tmp_path / 'unet', params, np.float32)
  from safetensors.torch import load_file

  [path] = files.find(tmp_path / 'unet')
  tensors = load_file(path)
  path.unlink()
  return tmp_path / 'unet', params, tensors


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_a_pickle_that_is_trusted_is_read(network, dtype):
  folder, params, tensors = network
  tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
  torch.save(tensors, folder / 'diffusion_pytorch_model.bin')
  with pytest.raises(errors.UserError, match='allow_pickle'):
    diffusers.read_params(folder, params)
  found = diffusers.read_params(folder, params, wanted=TRUSTED)
  rounded = jax.tree.map(
    lambda x: torch.tensor(x).to(dtype).float().numpy(), params
  )
  jax.tree.map(np.testing.assert_array_equal, found, rounded)


def test_a_pickle_cannot_run_code(network, tmp_path):
  folder, params, _ = network
  trace = tmp_path / 'trace'

  class Evil:
    def __reduce__(self):
      return pathlib.Path.touch, (trace,)

  path = folder / 'diffusion_pytorch_model.bin'
  path.write_bytes(pickle.dumps({'conv_in.weight': Evil()}))
  with pytest.raises(errors.UserError, match='take a safetensors file'):
    diffusers.read_params(folder, params, wanted=TRUSTED)
  torch.save({'conv_in.weight': Evil()}, path)
  with pytest.raises(errors.UserError, match='take a safetensors file'):
    diffusers.read_params(folder, params, wanted=TRUSTED)
  assert not trace.exists()


def test_names_of_torch_are_those_of_the_file(network):
  _, params, tensors = network
  flat = {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }
  assert {names.to_name(path) for path in flat} == set(tensors)
