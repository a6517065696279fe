"""Truths of reading and writing one network's folder."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from dbflax import cascade, errors
from dbflax.weights import diffusers

PATHS = ('stage_2', 'text_encoder')


@pytest.fixture(params=PATHS)
def network(request, tiny, random_params, tmp_path):
  """(folder, parameters, shapes) of a network of the tiny cascade."""
  key = jax.random.key(0)
  if request.param == 'text_encoder':
    shapes = jax.eval_shape(
      lambda k: cascade.init_encoder(tiny.encoder, k), key
    )
    return tmp_path / 'text_encoder', random_params(shapes), shapes
  stage = tiny.stages[request.param]
  shapes = jax.eval_shape(lambda k: cascade.init_stage(stage, k), key)
  return tmp_path / 'unet', random_params(shapes), shapes


def _edit(folder, edit):
  """Rewrites the weights file after edit(tensors)."""
  path = diffusers.weights_file(folder)
  tensors = dict(safetensors.numpy.load_file(path))
  edit(tensors)
  safetensors.numpy.save_file(tensors, path)


def test_float32_comes_back_bit_for_bit(network):
  folder, params, shapes = network
  diffusers.write_params(folder, params, np.float32)
  found = diffusers.read_params(folder, shapes)
  jax.tree.map(np.testing.assert_array_equal, found, params)


def test_float16_comes_back_rounded_once(network):
  folder, params, shapes = network
  diffusers.write_params(folder, params)
  found = diffusers.read_params(folder, shapes)
  half = jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), params)
  jax.tree.map(np.testing.assert_array_equal, found, half)
  assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {
    np.dtype(np.float32)
  }


def test_nothing_but_the_weights_is_left_behind(network):
  folder, params, _ = network
  diffusers.write_params(folder, params)
  diffusers.write_params(folder, params)
  assert list(folder.iterdir()) == [diffusers.weights_file(folder)]


def test_missing_and_unknown_tensors_are_both_named(network):
  folder, params, shapes = network
  diffusers.write_params(folder, params)
  gone = []

  def edit(tensors):
    gone.append(sorted(tensors)[0])
    del tensors[gone[0]]
    tensors['surplus.weight'] = np.zeros((2, 2), np.float32)

  _edit(folder, edit)
  with pytest.raises(errors.UserError) as caught:
    diffusers.read_params(folder, shapes)
  message = str(caught.value).replace('/', '.')
  assert gone[0].rpartition('.')[0].split('.')[0] in message
  missing, unknown = message.split('Not known')
  assert 'surplus' in unknown
  assert 'surplus' not in missing
  assert missing.count("'") == 2


def test_a_misshaped_tensor_is_named_with_both_shapes(network):
  folder, params, shapes = network
  diffusers.write_params(folder, params)
  name = []

  def edit(tensors):
    name.append(next(n for n in sorted(tensors) if tensors[n].ndim == 2))
    tensors[name[0]] = np.zeros((7, 5), np.float32)

  _edit(folder, edit)
  with pytest.raises(errors.UserError, match=r'\(5, 7\)|\(7, 5\)') as caught:
    diffusers.read_params(folder, shapes)
  assert name[0] in str(caught.value)


@pytest.mark.parametrize('keep', [0, 5, 2000])
def test_a_damaged_file_is_refused(network, keep):
  folder, params, shapes = network
  diffusers.write_params(folder, params)
  path = diffusers.weights_file(folder)
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(errors.UserError, match='damaged'):
    diffusers.read_params(folder, shapes)


def test_a_folder_without_weights_is_refused(network):
  folder, _, shapes = network
  with pytest.raises(errors.UserError, match='is missing'):
    diffusers.read_params(folder, shapes)


def test_the_second_name_of_t5s_table_is_passed_over(network):
  """Checkpoints by transformers may hold the word table twice."""
  folder, params, shapes = network
  if folder.name != 'text_encoder':
    pytest.skip('only a text encoder has the alias')
  diffusers.write_params(folder, params)
  table = 'encoder.embed_tokens.weight'
  _edit(folder, lambda t: t.update({table: t['shared.weight']}))
  diffusers.read_params(folder, shapes)


def test_torch_libraries_are_told_the_format(network):
  """diffusers and transformers refuse a file that does not say so."""
  folder, params, _ = network
  diffusers.write_params(folder, params)
  with safetensors.safe_open(
    diffusers.weights_file(folder), framework='numpy'
  ) as file:
    assert file.metadata() == {'format': 'pt'}


def test_json_that_is_missing_or_broken_is_named(tmp_path):
  path = tmp_path / 'config.json'
  with pytest.raises(errors.UserError, match='config.json is missing'):
    diffusers.read_json(path)
  path.write_text('{"a": ')
  with pytest.raises(errors.UserError, match='config.json is not JSON'):
    diffusers.read_json(path)
  path.write_text(json.dumps({'a': 1}))
  assert diffusers.read_json(path) == {'a': 1}
