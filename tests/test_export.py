"""Truths of an export: what comes out is what went in, byte by byte."""

import filecmp
import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from dbflax import cascade, export, pretrained
from dbflax.weights import diffusers, files

STAGES = ('stage_1', 'stage_2')
UNTUNED = dict.fromkeys(STAGES)


@pytest.fixture
def source(tmp_path, pipelines, random_params):
  """A cascade of two pipelines, its stages' weights in several files."""
  at = pipelines(tmp_path)
  stages = {'stage_2': at['IF-II']}
  model = pretrained.load(at['IF-I'], STAGES, elsewhere=stages)
  for seed, name in enumerate(STAGES):
    params = random_params(pretrained.abstract_params(model, name), seed)
    folder = pretrained.weights_folder(model, name)
    diffusers.write_params(folder, params, np.float16, max_bytes=50_000)
    assert len(files.find(folder)) > 1
  return model


def _tensors(folder) -> dict[str, np.ndarray]:
  found = {}
  for path in files.find(folder):
    found |= safetensors.numpy.load_file(path)
  return found


def _assert_same_tensors(folder, other):
  found, expected = _tensors(folder), _tensors(other)
  assert found.keys() == expected.keys()
  for name, tensor in expected.items():
    assert found[name].dtype == tensor.dtype, name
    assert found[name].tobytes() == tensor.tobytes(), name


def test_import_and_export_change_no_bit(source, tmp_path):
  out = tmp_path / 'export'
  export.write(out, source, UNTUNED)
  where = {'stage_1': out, 'stage_2': out / 'stage_2', 'text_encoder': out}
  for name, folder in where.items():
    part = 'text_encoder' if name == 'text_encoder' else 'unet'
    _assert_same_tensors(folder / part, pretrained.weights_folder(source, name))
    for path in pretrained.sources(source, name).values():
      if path.suffix != '.safetensors' and '.index.' not in path.name:
        at = folder / path.relative_to(source.folders[name])
        assert filecmp.cmp(path, at, shallow=False), at


def test_an_export_is_read_back(source, tmp_path):
  export.write(tmp_path / 'export', source, UNTUNED)
  model = pretrained.load(tmp_path / 'export', STAGES)
  assert model.stages == source.stages
  for name in STAGES:
    found, expected = (pretrained.load_params(m, name) for m in (model, source))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_each_folder_says_which_pipeline_it_is(source, tmp_path):
  export.write(tmp_path / 'export', source, UNTUNED)
  read = lambda path: files.read_json(tmp_path / 'export' / path)
  base, upper = read('model_index.json'), read('stage_2/model_index.json')
  assert base['_class_name'] == 'IFPipeline'
  assert base['text_encoder'] == ['transformers', 'T5EncoderModel']
  assert upper['_class_name'] == 'IFSuperResolutionPipeline'
  assert upper['text_encoder'] == upper['safety_checker'] == [None, None]
  assert upper['image_noising_scheduler'] == ['diffusers', 'DDPMScheduler']


def test_a_text_encoder_that_users_have_is_left_out(source, tmp_path):
  export.write(tmp_path / 'export', source, UNTUNED, text_encoder=False)
  index = files.read_json(tmp_path / 'export/model_index.json')
  assert index['text_encoder'] == index['tokenizer'] == [None, None]
  assert not (tmp_path / 'export/text_encoder').exists()
  assert not (tmp_path / 'export/tokenizer').exists()


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
def test_tuned_weights_are_written_in_the_type_asked_for(
  source, tmp_path, random_params, dtype
):
  params = random_params(pretrained.abstract_params(source, 'stage_1'), 7)
  tuned = tmp_path / 'run/stage_1/unet'
  diffusers.write_params(tuned, params, np.float32)
  where = {**UNTUNED, 'stage_1': tuned}
  export.write(tmp_path / 'export', source, where, dtype=dtype)
  tensors = _tensors(tmp_path / 'export/unet')
  assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(dtype)}
  model = pretrained.load(tmp_path / 'export', ('stage_1',))
  found = pretrained.load_params(model, 'stage_1')
  rounded = jax.tree.map(lambda x: x.astype(dtype).astype(np.float32), params)
  jax.tree.map(np.testing.assert_array_equal, found, rounded)


def test_a_variant_is_exported_under_plain_names(source, tmp_path):
  """So that every part of an export is found without a variant."""
  folder = pretrained.weights_folder(source, 'stage_1')
  for path in folder.glob('*.safetensors'):
    path.rename(path.with_name(path.name.replace('.safe', '.fp16.safe')))
  index = folder / 'diffusion_pytorch_model.safetensors.index.json'
  content = index.read_text().replace('.safe', '.fp16.safe')
  index.with_suffix('.fp16.json').write_text(content)
  index.unlink()
  [text] = files.find(pretrained.weights_folder(source, 'text_encoder'))
  text.rename(text.with_name('model.fp16.safetensors'))
  half = files.Format('fp16')
  model = pretrained.load(source.folders['stage_1'], ('stage_1',), wanted=half)
  export.write(tmp_path / 'export', model, {'stage_1': None})
  read = pretrained.load(tmp_path / 'export', ('stage_1',))
  for name in ('text_encoder', 'stage_1'):
    found, expected = (pretrained.load_params(m, name) for m in (read, model))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_card_says_words_and_settings():
  sampling = {
    'stage_1': cascade.Sampling('ancestral', 50, 7.0),
    'stage_2': cascade.Sampling('ancestral', 30, 4.0, noise_level=0.25),
  }
  card = export.card('zk dog', 'photos/rex', "a zk dog's hat", sampling)
  assert card.startswith('# zk dog\n')
  for part in (
    'photos/rex',
    json.dumps("a zk dog's hat"),
    'num_inference_steps=50, guidance_scale=7.0',
    "from_pretrained('stage_2'",
    'num_inference_steps=30, guidance_scale=4.0, noise_level=250',
  ):
    assert part in card
  code = card.partition('```python\n')[2].partition('```')[0]
  compile(code, 'README.md', 'exec')
