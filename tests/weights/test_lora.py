"""Truths of the file that holds a LoRA alone."""

import numpy as np
import pytest
import safetensors

from dbflax.weights import lora, names

MATRIX = 'down_blocks_1/attentions_0/to_out_0'
SHORTCUT = 'up_blocks_0/resnets_2/conv_shortcut'


def _factors(rows=6, columns=4, rank=2):
  draw = np.random.default_rng(0).normal
  return {
    'lora_A': {'kernel': draw(size=(rows, rank)).astype(np.float32)},
    'lora_B': {'kernel': draw(size=(rank, columns)).astype(np.float32)},
  }


@pytest.fixture
def written(tmp_path):
  """(what was written, the tensors of the file, its metadata)."""
  down, up = _factors(), _factors(rows=5)
  tree = {
    'down_blocks_1': {'attentions_0': {'to_out_0': down}},
    'up_blocks_0': {'resnets_2': {'conv_shortcut': up}},
  }
  lora.write(tmp_path / 'lora', tree)
  [path] = (tmp_path / 'lora').iterdir()
  assert path.name == 'pytorch_lora_weights.safetensors'
  with safetensors.safe_open(path, framework='numpy') as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return (down, up), tensors, file.metadata()


def test_names_are_those_that_diffusers_looks_for(written):
  _, tensors, metadata = written
  assert set(tensors) == {
    'unet.down_blocks.1.attentions.0.to_out.0.lora_A.weight',
    'unet.down_blocks.1.attentions.0.to_out.0.lora_B.weight',
    'unet.up_blocks.0.resnets.2.conv_shortcut.lora_A.weight',
    'unet.up_blocks.0.resnets.2.conv_shortcut.lora_B.weight',
  }
  # Without an alpha in the file, it is the rank.
  assert metadata == {'format': 'pt'}


def test_b_a_is_the_update_in_torchs_layout(written):
  for factors, path, tensors in zip(
    written[0], (MATRIX, SHORTCUT), (written[1],) * 2, strict=True
  ):
    name = 'unet.' + names.to_name(f'{path}/kernel').removesuffix('weight')
    a, b = (tensors[f'{name}lora_{factor}.weight'] for factor in 'AB')
    assert a.ndim == b.ndim == (4 if path == SHORTCUT else 2)
    update = factors['lora_A']['kernel'] @ factors['lora_B']['kernel']
    expected = names.to_torch(f'{path}/kernel', update)
    product = np.einsum('or...,ri...->oi...', b, a)
    np.testing.assert_allclose(product, expected, rtol=1e-6)


@pytest.mark.parametrize('path', [MATRIX, SHORTCUT])
@pytest.mark.parametrize('factor', ['lora_A', 'lora_B'])
def test_names_and_layouts_come_back(path, factor):
  path = f'{path}/{factor}/kernel'
  assert names.to_path(names.to_name(path)) == path
  array = np.arange(6.0).reshape(2, 3)
  tensor = names.to_torch(path, array)
  np.testing.assert_array_equal(names.to_flax(path, tensor), array)
