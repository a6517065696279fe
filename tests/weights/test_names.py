"""Truths of torch names, paths and layouts."""

import flax
import jax
import numpy as np
import pytest

from configs import toybox
from dbflax import cascade
from dbflax.models import unet as unet_lib
from dbflax.text import t5
from dbflax.weights import names

# Names as DeepFloyd and Google publish them.
PUBLISHED = {
  'conv_in.weight': 'conv_in/kernel',
  'time_embedding.linear_1.bias': 'time_embedding/linear_1/bias',
  'class_embedding.linear_2.weight': 'class_embedding/linear_2/kernel',
  'add_embedding.norm1.weight': 'add_embedding/norm1/scale',
  'add_embedding.pool.positional_embedding': (
    'add_embedding/pool/positional_embedding'
  ),
  'encoder_hid_proj.weight': 'encoder_hid_proj/kernel',
  'down_blocks.0.resnets.2.norm1.weight': (
    'down_blocks_0/resnets_2/norm1/scale'
  ),
  'down_blocks.1.downsamplers.0.time_emb_proj.weight': (
    'down_blocks_1/downsamplers_0/time_emb_proj/kernel'
  ),
  'up_blocks.10.resnets.12.conv_shortcut.weight': (
    'up_blocks_10/resnets_12/conv_shortcut/kernel'
  ),
  'mid_block.attentions.0.group_norm.weight': (
    'mid_block/attentions_0/group_norm/scale'
  ),
  'mid_block.attentions.0.norm_cross.bias': (
    'mid_block/attentions_0/norm_cross/bias'
  ),
  'mid_block.attentions.0.add_k_proj.weight': (
    'mid_block/attentions_0/add_k_proj/kernel'
  ),
  'mid_block.attentions.0.to_out.0.weight': (
    'mid_block/attentions_0/to_out_0/kernel'
  ),
  'conv_norm_out.weight': 'conv_norm_out/scale',
  'shared.weight': 'shared/embedding',
  'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': (
    'encoder/block_0/layer_0/SelfAttention/relative_attention_bias/embedding'
  ),
  'encoder.block.23.layer.1.DenseReluDense.wi_0.weight': (
    'encoder/block_23/layer_1/DenseReluDense/wi_0/kernel'
  ),
  'encoder.block.3.layer.1.layer_norm.weight': (
    'encoder/block_3/layer_1/layer_norm/scale'
  ),
  'encoder.final_layer_norm.weight': 'encoder/final_layer_norm/scale',
  'vision_model.encoder.layers.11.layer_norm2.weight': (
    'vision_model/encoder/layers_11/layer_norm2/scale'
  ),
  'vision_model.pre_layrnorm.weight': 'vision_model/pre_layrnorm/scale',
  'text_model.embeddings.token_embedding.weight': (
    'text_model/embeddings/token_embedding/embedding'
  ),
}


@pytest.fixture(scope='module')
def shapes():
  """{path: shape} of the embedded stages and their text encoder."""
  files = toybox.get_config().architecture.to_dict()
  key = jax.random.key(0)
  found = {}
  for stage in cascade.STAGES:
    unet = unet_lib.from_config(files[f'{stage}/unet/config'])
    fake = cascade.Stage(stage, unet, None, None)
    found[stage] = jax.eval_shape(
      lambda k, s=fake: cascade.init_stage(s, k), key
    )
  encoder = t5.from_config(files['text_encoder/config'])
  found['text_encoder'] = jax.eval_shape(
    lambda k: cascade.init_encoder(encoder, k), key
  )
  flatten = lambda tree: flax.traverse_util.flatten_dict(tree, sep='/')
  return {
    network: {path: leaf.shape for path, leaf in flatten(tree).items()}
    for network, tree in found.items()
  }


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_names(name):
  assert names.to_path(name) == PUBLISHED[name]
  assert names.to_name(PUBLISHED[name]) == name


def test_every_path_comes_back(shapes):
  for paths in shapes.values():
    torch_names = {path: names.to_name(path) for path in paths}
    assert len(set(torch_names.values())) == len(paths)
    for path, name in torch_names.items():
      assert names.to_path(name) == path
      assert '/' not in name
      assert name.endswith(('.weight', '.bias', '.positional_embedding'))


def test_every_tensor_comes_back(shapes):
  rng = np.random.default_rng(0)
  for paths in shapes.values():
    for path, shape in paths.items():
      array = rng.normal(size=shape).astype(np.float32)
      there = names.to_torch(path, array)
      np.testing.assert_array_equal(names.to_flax(path, there), array)


def test_axes_are_those_of_torch():
  """Output channels come first there and last here."""
  conv = np.zeros((3, 3, 6, 16))
  assert names.to_torch('conv_in/kernel', conv).shape == (16, 6, 3, 3)
  dense = np.zeros((6, 16))
  assert names.to_torch('a/linear_1/kernel', dense).shape == (16, 6)
  shortcut = names.to_torch('a/conv_shortcut/kernel', dense)
  assert shortcut.shape == (16, 6, 1, 1)
  table = np.zeros((50, 4))
  assert names.to_torch('shared/embedding', table).shape == (50, 4)


def test_a_convolution_keeps_its_orientation():
  """A 3×3 kernel is not turned: its rows stay rows."""
  kernel = np.zeros((3, 3, 1, 1))
  kernel[0, 2] = 1
  assert names.to_torch('conv_in/kernel', kernel)[0, 0, 0, 2] == 1
