"""Truths of fetching from the hub: what, and what is said if it cannot be."""

import huggingface_hub
import pytest
from huggingface_hub import errors as hub_errors
from huggingface_hub import utils

from dbflax import errors
from dbflax.weights import files, hub

# As DeepFloyd/IF-I-M-v1.0 lists its files.
LISTING = (
  'model_index.json',
  'IF-I-M-v1.0.ckpt',
  'safety_checker/model.safetensors',
  'scheduler/scheduler_config.json',
  'text_encoder/config.json',
  'text_encoder/model-00001-of-00002.safetensors',
  'text_encoder/model-00002-of-00002.safetensors',
  'text_encoder/model.safetensors.index.json',
  'text_encoder/model.fp16-00001-of-00002.safetensors',
  'text_encoder/model.safetensors.index.fp16.json',
  'text_encoder/pytorch_model-00001-of-00002.bin',
  'tokenizer/spiece.model',
  'unet/config.json',
  'unet/diffusion_pytorch_model.bin',
  'unet/diffusion_pytorch_model.fp16.bin',
  'unet/diffusion_pytorch_model.safetensors',
  'unet/diffusion_pytorch_model.fp16.safetensors',
)
LARGE = ('.bin', '.ckpt', '.safetensors')


@pytest.fixture
def fetched(monkeypatch, tmp_path):
  """fetched(folders, format) → the large files that are asked for."""
  asked = {}

  def download(repository, **options):
    asked.update(options, repository=repository)
    return str(tmp_path)

  monkeypatch.setattr(huggingface_hub, 'snapshot_download', download)

  def fetch(folders, *wanted):
    source = 'DeepFloyd/IF-I-M-v1.0@v1.0'
    assert hub.fetch(source, folders, files.Format(*wanted)) == tmp_path
    assert asked['repository'] == 'DeepFloyd/IF-I-M-v1.0'
    assert asked['revision'] == 'v1.0'
    kept = utils.filter_repo_objects(
      LISTING,
      allow_patterns=asked['allow_patterns'],
      ignore_patterns=asked['ignore_patterns'],
    )
    return {name for name in kept if name.endswith(LARGE)}

  return fetch


def test_only_the_weights_that_are_wanted_are_fetched(fetched):
  assert fetched(['unet']) == {'unet/diffusion_pytorch_model.safetensors'}
  assert fetched(['unet'], 'fp16') == {
    'unet/diffusion_pytorch_model.fp16.safetensors'
  }
  assert fetched(['tokenizer', 'text_encoder']) == {
    f'text_encoder/model-0000{n}-of-00002.safetensors' for n in (1, 2)
  }
  assert fetched(['text_encoder'], 'fp16') == {
    'text_encoder/model.fp16-00001-of-00002.safetensors'
  }


def test_a_repository_of_one_network_is_fetched_whole(fetched, monkeypatch):
  one = ('config.json', 'merges.txt', 'model.safetensors', 'tf_model.h5')
  monkeypatch.setitem(globals(), 'LISTING', (*one, 'pytorch_model.bin'))
  assert fetched(['']) == {'model.safetensors'}
  assert fetched([''], '', True) == {'model.safetensors', 'pytorch_model.bin'}


def test_pickles_are_fetched_only_if_trusted(fetched):
  assert fetched(['unet'], '', True) == {
    'unet/diffusion_pytorch_model.safetensors',
    'unet/diffusion_pytorch_model.bin',
  }


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (hub_errors.GatedRepoError, 'licence accepted.*hf auth login'),
    (hub_errors.RepositoryNotFoundError, 'cannot be had.*check the name'),
    (hub_errors.RevisionNotFoundError, 'the revision'),
    (hub_errors.LocalEntryNotFoundError, 'the network'),
  ],
)
def test_what_cannot_be_had_is_said_with_the_fix(monkeypatch, error, message):
  def refuse(*_, **__):
    raise error.__new__(error)

  monkeypatch.setattr(huggingface_hub, 'snapshot_download', refuse)
  with pytest.raises(errors.UserError, match=message) as caught:
    hub.fetch('DeepFloyd/IF-I-M-v1.0', ['unet'])
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('source', 'is_id'),
  [
    ('DeepFloyd/IF-I-XL-v1.0', True),
    ('DeepFloyd/IF-I-XL-v1.0@main', True),
    ('DeepFloyd/IF-I-XL-v1.0@refs/pr/3', True),
    ('tiny', False),
    ('./runs/dog', False),
    ('/abs/dir', False),
    ('a/b/c', False),
    ('../x', False),
  ],
)
def test_what_looks_like_a_repository(source, is_id):
  assert hub.is_id(source) == is_id
