"""Truths of reading and writing one network's folder."""

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from dbflax import cascade, errors, sharding
from dbflax.weights import diffusers, files

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
  [path] = files.find(folder)
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
  assert list(folder.iterdir()) == [*files.find(folder)]


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
  [path] = files.find(folder)
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(errors.UserError, match='damaged'):
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
  with safetensors.safe_open(files.find(folder)[0], framework='numpy') as file:
    assert file.metadata() == {'format': 'pt'}


def _split(folder, params, limit=20_000):
  diffusers.write_params(folder, params, np.float32, max_bytes=limit)
  return files.find(folder)


def test_a_network_in_many_files_is_the_same_network(network):
  folder, params, shapes = network
  shards = _split(folder, params)
  assert len(shards) > 2
  found = diffusers.read_params(folder, shapes)
  jax.tree.map(np.testing.assert_array_equal, found, params)
  # All but tensors that are larger than a file may be keep the limit.
  largest = max(leaf.nbytes for leaf in jax.tree.leaves(params))
  header = 20_000
  assert all(f.stat().st_size < max(largest, 20_000) + header for f in shards)


def test_what_was_written_in_another_form_is_gone(network):
  folder, params, shapes = network
  other = jax.tree.map(lambda x: x + 1, params)
  for first, second in ((20_000, 10**9), (10**9, 20_000)):
    diffusers.write_params(folder, other, np.float32, max_bytes=first)
    diffusers.write_params(folder, params, np.float32, max_bytes=second)
    found = diffusers.read_params(folder, shapes)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_a_tensor_in_two_files_is_refused(network):
  folder, params, shapes = network
  first, second, *_ = _split(folder, params)
  name, tensor = safetensors.numpy.load_file(first).popitem()
  tensors = safetensors.numpy.load_file(second)
  safetensors.numpy.save_file({**tensors, name: tensor}, second)
  with pytest.raises(errors.UserError, match='in two files'):
    diffusers.read_params(folder, shapes)


@pytest.mark.parametrize('dtype', [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_is_read_and_written_again_is_the_same_file(network, dtype):
  """Import → export is exact for every tensor, of any type."""
  folder, params, shapes = network
  diffusers.write_params(folder, params, dtype)
  [path] = files.find(folder)
  before = safetensors.numpy.load_file(path)
  read = diffusers.read_params(folder, shapes)
  diffusers.write_params(folder, read, dtype)
  after = safetensors.numpy.load_file(path)
  assert before.keys() == after.keys()
  for name, tensor in before.items():
    assert tensor.dtype == after[name].dtype == np.dtype(dtype)
    assert tensor.tobytes() == after[name].tobytes(), name


def test_parts_are_read_straight_to_their_devices(network):
  """The same values, laid out as asked, in the type that is asked for."""
  folder, params, shapes = network
  diffusers.write_params(folder, params, np.float32)
  mesh = sharding.make_mesh()
  found = diffusers.read_params(
    folder,
    shapes,
    shardings=sharding.shard_tree(shapes, mesh),
    dtype=np.dtype('bfloat16'),
  )
  expected = jax.tree.map(lambda x: x.astype(ml_dtypes.bfloat16), params)
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  laid = jax.tree.map(lambda x: x.sharding, found)
  assert laid == sharding.shard_tree(shapes, mesh)
