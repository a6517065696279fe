"""Truths of finding a network's weight files."""

import json

import pytest

from dbflax import errors
from dbflax.weights import files


@pytest.fixture(params=['unet', 'text_encoder'])
def folder(request, tmp_path):
  (tmp_path / request.param).mkdir()
  return tmp_path / request.param


def _write(folder, name: str, *shards: str):
  """An empty file, or an index of shards with the shards."""
  content = {'weight_map': {f'w{i}': shard for i, shard in enumerate(shards)}}
  (folder / name).write_text(json.dumps(content) if shards else '')
  for shard in shards:
    (folder / shard).write_text('')


def _names(folder, *wanted):
  return [path.name for path in files.find(folder, files.Format(*wanted))]


def test_one_file_comes_before_shards_and_pickles(folder):
  safe, pickled = files.STEMS[folder.name]
  _write(folder, f'{pickled}.bin')
  assert _names(folder, '', True) == [f'{pickled}.bin']
  shards = [f'{safe}-0000{i}-of-00002.safetensors' for i in (1, 2)]
  _write(folder, f'{safe}.safetensors.index.json', *shards)
  assert _names(folder, '', True) == shards
  _write(folder, f'{safe}.safetensors')
  assert _names(folder) == [f'{safe}.safetensors']


@pytest.mark.parametrize(
  'named', ['-00001-of-00001.fp16', '.fp16-00001-of-00001']
)
def test_variants_are_files_or_shards(folder, named):
  """Both ways in which the libraries have named a variant's shards."""
  safe, _ = files.STEMS[folder.name]
  _write(folder, f'{safe}.safetensors')
  shard = f'{safe}{named}.safetensors'
  _write(folder, f'{safe}.safetensors.index.fp16.json', shard)
  assert _names(folder, 'fp16') == [shard]
  _write(folder, f'{safe}.fp16.safetensors')
  assert _names(folder, 'fp16') == [f'{safe}.fp16.safetensors']
  assert _names(folder) == [f'{safe}.safetensors']
  with pytest.raises(errors.UserError, match="'bf16'.*fp16.safetensors"):
    files.find(folder, files.Format('bf16'))


def test_a_pickle_is_refused_unless_asked_for(folder):
  _, pickled = files.STEMS[folder.name]
  _write(folder, f'{pickled}.bin')
  with pytest.raises(errors.UserError, match='can run code.*allow_pickle=True'):
    files.find(folder)


@pytest.mark.parametrize('name', ['../other.safetensors', '/etc/passwd', 'a/b'])
def test_an_index_cannot_reach_out_of_its_folder(folder, name):
  safe, _ = files.STEMS[folder.name]
  index = {'weight_map': {'w': name}}
  path = folder / f'{safe}.safetensors.index.json'
  path.write_text(json.dumps(index))
  with pytest.raises(errors.UserError, match='not a file beside it'):
    files.find(folder)


def test_missing_shards_are_named(folder):
  safe, _ = files.STEMS[folder.name]
  _write(folder, f'{safe}.safetensors.index.json', 'a.safetensors', 'b')
  (folder / 'b').unlink()
  with pytest.raises(errors.UserError, match=r"2 files.*\['b'\] are missing"):
    files.find(folder)


def test_a_folder_without_weights_is_refused(folder):
  with pytest.raises(errors.UserError, match='has no weights'):
    files.find(folder)


@pytest.mark.parametrize(
  ('content', 'message'),
  [(None, 'is missing'), ('{"a": ', 'is not JSON'), ('[1]', 'JSON object')],
)
def test_json_that_is_missing_or_broken_is_named(tmp_path, content, message):
  path = tmp_path / 'config.json'
  if content is not None:
    path.write_text(content)
  with pytest.raises(errors.UserError, match=f'config.json.*{message}'):
    files.read_json(path)


def test_json_is_read(tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({'a': 1}))
  assert files.read_json(path) == {'a': 1}
