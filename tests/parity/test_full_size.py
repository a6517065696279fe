"""DeepFloyd's published networks at full size, built on torch's meta device.

Every tensor of diffusers' and transformers' models is one parameter here, of
the same shape, and the other way round. Nothing is allocated.
"""

import math

import numpy as np
import pytest

from dbflax.weights import names

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
transformers = pytest.importorskip(
  'transformers', reason='parity needs transformers'
)
pytestmark = pytest.mark.parity

NETWORKS = ('IF-I-M', 'IF-I-L', 'IF-I-XL', 'IF-II-L', 'T5 v1.1 XXL')


def _reference(config):
  with torch.device('meta'):
    if config.get('model_type') == 't5':
      return transformers.T5EncoderModel(transformers.T5Config(**config))
    return diffusers.UNet2DConditionModel(**config)


def _tensors(model):
  """{torch name: shape}; T5's file may hold its table under a second name."""
  tensors = {name: tuple(p.shape) for name, p in model.named_parameters()}
  aliases = model.state_dict().keys() - tensors.keys()
  assert aliases <= {'encoder.embed_tokens.weight'}
  return tensors


def _shape(layout, path, shape):
  """The shape that a tensor of `shape` has after `names.to_flax` or back."""
  return layout(path, np.broadcast_to(np.float32(0), shape)).shape


@pytest.mark.parametrize('name', NETWORKS)
def test_tensors_and_parameters_are_one_to_one(name, full_size):
  config, published, ours = full_size(name)
  model = _reference(config)
  theirs = _tensors(model)
  assert sum(map(math.prod, theirs.values())) == published
  converted = {
    (path := names.to_path(tensor)): _shape(names.to_flax, path, shape)
    for tensor, shape in theirs.items()
  }
  assert len(converted) == len(theirs)
  assert converted == ours
  back = {
    names.to_name(path): _shape(names.to_torch, path, shape)
    for path, shape in ours.items()
  }
  assert back == theirs
