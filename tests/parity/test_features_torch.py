"""Networks that score pictures against transformers, on random weights."""

import json

import jax
import numpy as np
import pytest
from flax import traverse_util

from dbflax import errors
from dbflax.evaluate import published, transformer
from dbflax.weights import names

torch = pytest.importorskip('torch', reason='parity needs torch')
transformers = pytest.importorskip(
  'transformers', reason='parity needs transformers'
)
pytestmark = pytest.mark.parity

TOWER = {
  'hidden_size': 32,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
  'intermediate_size': 48,
}
SEEN = {'image_size': 32, 'patch_size': 8}
PROMPTS = ['a dog', 'a photo of a zk dog on the beach', 'A DOG!', 'a dog ' * 60]


def _vocabulary():
  """CLIP's kind of vocabulary: bytes, bytes that end a word, two merges."""
  from transformers.convert_slow_tokenizer import bytes_to_unicode

  letters = list(bytes_to_unicode().values())
  merges = ['d o', 'do g</w>', 'p h']
  pieces = [*letters, *(x + '</w>' for x in letters)]
  pieces += [merge.replace(' ', '') for merge in merges]
  pieces += ['<|startoftext|>', '<|endoftext|>']
  return {piece: n for n, piece in enumerate(pieces)}, merges


def _write(model, folder):
  """Random weights far from zero, saved as transformers does."""
  torch.manual_seed(0)
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      is_gain = 'norm' in name and name.endswith('weight')
      parameter.copy_(torch.randn_like(parameter) * 0.2 + is_gain)
  model.save_pretrained(folder)
  return model.eval()


@pytest.fixture(scope='module')
def vit(tmp_path_factory):
  """(folder, model); its gelu and epsilon are DINO's."""
  folder = tmp_path_factory.mktemp('vit') / 'dino'
  config = transformers.ViTConfig(**TOWER, **SEEN)
  return folder, _write(transformers.ViTModel(config), folder)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  folder = tmp_path_factory.mktemp('clip') / 'clip'
  vocabulary, merges = _vocabulary()
  size = len(vocabulary)
  text = {**TOWER, 'hidden_size': 24, 'vocab_size': size}
  text |= {'eos_token_id': size - 1, 'bos_token_id': size - 2}
  config = transformers.CLIPConfig(
    text_config=text, vision_config={**TOWER, **SEEN}, projection_dim=16
  )
  model = _write(transformers.CLIPModel(config), folder)
  (folder / 'vocab.json').write_text(json.dumps(vocabulary))
  (folder / 'merges.txt').write_text('\n'.join(['#version: 0.2', *merges]))
  return folder, model


@pytest.fixture(scope='module')
def pictures():
  """Of several shapes, all larger than the networks' square."""
  rng = np.random.default_rng(0)
  shapes = ((40, 60), (77, 33), (32, 32), (200, 101))
  coarse = lambda h, w: rng.integers(0, 255, (h // 8 + 1, w // 8 + 1, 3))
  scale = lambda x, h, w: x.repeat(8, 0).repeat(8, 1)[:h, :w]
  return [scale(coarse(*s), *s).astype(np.uint8) for s in shapes]


def _processed(pictures, processor):
  made = [processor(images=p, return_tensors='pt') for p in pictures]
  return torch.cat([one['pixel_values'] for one in made])


def _clip_pixels(pictures):
  from transformers.models.clip import image_processing_pil_clip as clip_pil

  side = SEEN['image_size']
  processor = clip_pil.CLIPImageProcessorPil(
    size={'shortest_edge': side}, crop_size={'height': side, 'width': side}
  )
  return _processed(pictures, processor)


def _unit(x):
  return (x / x.norm(dim=-1, keepdim=True)).numpy()


def test_pixels_equal_transformers(clip, pictures):
  folder, _ = clip
  ours = published._Look(folder, 'clip', SEEN['image_size']).pixels(pictures)
  theirs = _clip_pixels(pictures).permute(0, 2, 3, 1).numpy()
  np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_a_vision_transformer_equals_transformers(vit, pictures):
  folder, model = vit
  network = published.network(str(folder))
  assert network.name == 'ViT-32/8 (dino)'
  pixels = published._Look(folder, 'vit', SEEN['image_size']).pixels(pictures)
  with torch.no_grad():
    states = model(torch.tensor(pixels).permute(0, 3, 1, 2)).last_hidden_state
  ours = network.embed(pictures)
  np.testing.assert_allclose(ours, _unit(states[:, 0]), atol=1e-5)
  assert np.abs(ours - ours[::-1]).max() > 0.1  # They are unlike each other.


def _theirs(model, folder, pictures):
  """(picture vectors, text vectors) by transformers alone."""
  tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
  texts = tokenizer(
    PROMPTS,
    padding='max_length',
    truncation=True,
    max_length=77,
    return_tensors='pt',
  )
  with torch.no_grad():
    out = model(pixel_values=_clip_pixels(pictures), **texts)
  return _unit(out.image_embeds), _unit(out.text_embeds)


def test_clip_equals_transformers(clip, pictures):
  folder, model = clip
  network = published.network(str(folder))
  assert network.name == 'CLIP ViT-32/8 (clip)'
  image, text = _theirs(model, folder, pictures)
  np.testing.assert_allclose(network.embed(pictures), image, atol=1e-5)
  found = network.fit(network.look(pictures), PROMPTS)['prompt_fidelity']
  np.testing.assert_allclose(found, (image * text).sum(-1), atol=1e-5)
  assert np.ptp(found) > 0.05


def test_old_configurations_say_2_where_a_text_ends(clip, pictures, tmp_path):
  """OpenAI's own: the end is the largest id, whatever config.json says."""
  folder, model = clip
  fit = lambda network: network.fit(network.look(pictures), PROMPTS)
  before = fit(published.network(str(folder)))
  for path in folder.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  config = json.loads((folder / 'config.json').read_text())
  config['text_config']['eos_token_id'] = 2
  (tmp_path / 'config.json').write_text(json.dumps(config))
  after = fit(published.network(str(tmp_path)))
  np.testing.assert_array_equal(
    before['prompt_fidelity'], after['prompt_fidelity']
  )


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'model_type': 'bert'}, ("model_type='bert'", "'vit'")),
    ({'hidden_act': 'relu'}, ("hidden_act='relu'",)),
    ({'qkv_bias': False}, ('qkv_bias=False',)),
    ({'num_hidden_layers': 3}, ('Missing', 'layers_2')),
    ({'intermediate_size': 64}, ('(48,)', '(64,)')),
  ],
)
def test_another_network_is_told_in_one_line(
  vit, pictures, tmp_path, changes, words
):
  for path in vit[0].iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  config = json.loads((tmp_path / 'config.json').read_text()) | changes
  (tmp_path / 'config.json').write_text(json.dumps(config))
  with pytest.raises(errors.UserError) as caught:
    published.network(str(tmp_path)).embed(pictures)
  message = str(caught.value)
  assert '\n' not in message and all(word in message for word in words)


def test_a_repository_of_the_hub_is_named_in_the_figures(vit, hub_cache):
  hub_cache('facebook/dino-vits16', vit[0])
  network = published.network('facebook/dino-vits16')
  assert network.name == 'ViT-32/8 (facebook/dino-vits16)'
  assert set(network.weights) == {'config.json', 'model.safetensors'}


def test_a_source_that_is_nowhere_is_told():
  with pytest.raises(errors.UserError, match='no directory'):
    published.network('nowhere')


def test_a_folder_without_a_network_is_told(tmp_path):
  with pytest.raises(errors.UserError, match=r'config\.json'):
    published.network(str(tmp_path))


def _paths(model):
  """{our path: shape} of a model's tensors, of which none is allocated."""
  found = {}
  for name, tensor in model.state_dict().items():
    if not published._LEFT_OUT.search(name):
      path = names.to_path(published._renamed(name))
      found[path] = tuple(n for n in tensor.shape if tensor.ndim != 3 or n > 1)
  return found


def _ours(module, *examples):
  shapes = jax.eval_shape(module.init, jax.random.key(0), *examples)
  flat = traverse_util.flatten_dict(shapes['params'], sep='/')
  return {
    path: names.torch_shape(path, leaf.shape) for path, leaf in flat.items()
  }


# Width, layers, heads, inner width.
SIZES = {
  'B/32': ((768, 12, 12, 3072, 32), (512, 12, 8, 2048), 512),
  'L/14': ((1024, 24, 16, 4096, 14), (768, 12, 12, 3072), 768),
}


@pytest.mark.parametrize('size', SIZES)
def test_clip_of_the_published_sizes_has_the_same_tensors(size):
  vision, text, projection = SIZES[size]
  vision = dict(zip([*TOWER, 'patch_size'], vision, strict=True))
  text = dict(zip(TOWER, text, strict=True))
  config = transformers.CLIPConfig(
    text_config=text, vision_config=vision, projection_dim=projection
  )
  with torch.device('meta'):
    theirs = _paths(transformers.CLIPModel(config))
  module = transformer.Clip(
    published._vision(
      '', {**published._CLIP_VISION, **vision}, norm_first=True
    ),
    published._text({**published._CLIP_TEXT, **text}),
    projection,
  )
  assert published._size(module.vision) == f'ViT-{size}'
  images, ids = np.zeros((1, 224, 224, 3), np.float32), np.zeros((1, 77), int)
  assert _ours(module, images, ids) == theirs
  count = sum(np.prod(shape) for shape in theirs.values())
  # With the temperature, which is no part of ours.
  assert count + 1 == {'B/32': 151_277_313, 'L/14': 427_616_513}[size]


def test_dino_of_the_published_size_has_as_many_parameters():
  config = dict(zip(TOWER, (384, 12, 6, 1536), strict=True))
  with torch.device('meta'):
    model = transformers.ViTModel(
      transformers.ViTConfig(**config), add_pooling_layer=False
    )
  module = published._vision('', {**published._VIT, **config}, norm_first=False)
  assert published._size(module) == 'ViT-S/16'
  ours = _ours(module, np.zeros((1, 224, 224, 3), np.float32)).values()
  count = sum(np.prod(shape) for shape in ours)
  assert count == model.num_parameters() == 21_665_664
