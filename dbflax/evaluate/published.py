"""Vision transformers and CLIP as published, as networks that score pictures.

A source is a directory in Hugging Face's layout (config.json and
model.safetensors; CLIP also vocab.json and merges.txt) or `owner/name` of the
hub. The paper's are DINO's ViT-S/16, `facebook/dino-vits16`, and CLIP's
ViT-B/32, `openai/clip-vit-base-patch32`.

Pictures are scaled (bicubic) until the shorter side fits the network, cut to
the middle square and normalised.
"""

import functools
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dbflax import errors
from dbflax.evaluate import features, metrics, transformer
from dbflax.weights import diffusers, files, hub, names

_STEMS = ('model', 'pytorch_model')
# What an absent key of config.json means.
_VIT = {
  'hidden_size': 768, 'num_hidden_layers': 12, 'num_attention_heads': 12,
  'intermediate_size': 3072, 'hidden_act': 'gelu', 'layer_norm_eps': 1e-12,
  'image_size': 224, 'patch_size': 16, 'num_channels': 3, 'qkv_bias': True,
}  # fmt: skip
_CLIP_VISION = {
  **_VIT,
  'patch_size': 32,
  'hidden_act': 'quick_gelu',
  'layer_norm_eps': 1e-5,
}
_CLIP_TEXT = {
  'hidden_size': 512, 'num_hidden_layers': 12, 'num_attention_heads': 8,
  'intermediate_size': 2048, 'hidden_act': 'quick_gelu',
  'layer_norm_eps': 1e-5, 'vocab_size': 49408, 'eos_token_id': 49407,
  'max_position_embeddings': 77,
}  # fmt: skip
# Mean and standard deviation of red, green and blue in [0, 1]: ImageNet's, and
# those of what CLIP was trained on.
_COLOURS = {
  'vit': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
  'clip': (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
  ),
}
_SIZES = {192: 'Ti', 384: 'S', 768: 'B', 1024: 'L', 1280: 'H'}
# A vision transformer's names as CLIP would say them.
_RENAMED = (
  (r'^vit\.', ''),
  (r'^encoder\.layer\.', 'encoder.layers.'),
  (r'\.attention\.attention\.(q|k|v)(uery|ey|alue)\.', r'.self_attn.\1_proj.'),
  (r'\.attention\.output\.dense\.', '.self_attn.out_proj.'),
  (r'\.intermediate\.dense\.', '.mlp.fc1.'),
  (r'\.output\.dense\.', '.mlp.fc2.'),
  (r'\.layernorm_before\.', '.layer_norm1.'),
  (r'\.layernorm_after\.', '.layer_norm2.'),
  (r'^layernorm\.', 'post_layernorm.'),
  (r'\.patch_embeddings\.projection\.', '.patch_embedding.'),
  (r'\.cls_token$', '.class_embedding'),
  (r'\.position_embeddings$', '.position_embedding.weight'),
)
# Not used: heads, the temperature of CLIP's loss, and counting.
_LEFT_OUT = re.compile(
  r'(^pooler\.|^classifier\.|^logit_scale$|\.position_ids$)'
)


def network(source: str, *, allow_pickle: bool = False) -> features.Network:
  """The network of a directory, or of a repository of the hub.

  Args:
    source: a directory, or owner/name[@revision].
    allow_pickle: read a `.bin` file where there is no safetensors file.

  Raises:
    UserError: there is no such source, or it is no network that this module
      computes. Weights that do not fit are told when they are first used.
  """
  wanted = files.Format(allow_pickle=allow_pickle)
  folder = pathlib.Path(source).expanduser()
  if not folder.is_dir():
    if not hub.is_id(source):
      raise errors.UserError(
        f'evaluate.networks: {source!r} is no directory here and no owner/name '
        "of the Hugging Face hub; 'toybox' and 'efficientnet_lite0' are known."
      )
    folder = hub.fetch(source, ('',), wanted)
  if not (folder / 'config.json').is_file():
    raise errors.UserError(
      f'evaluate.networks: {source!r} has no config.json; give the folder of '
      'a vision transformer or of CLIP, as the Hugging Face hub lays it out.'
    )
  config = files.read_json(folder / 'config.json')
  kind = config.get('model_type')
  if kind not in _KINDS:
    raise errors.UserError(
      f"{folder}/config.json says model_type={kind!r}; only 'vit' (DINO) and "
      "'clip' can score pictures."
    )
  label = source if hub.is_id(source) else folder.resolve().name
  return _KINDS[kind](folder, config, wanted, label)


def _vit(folder, config, wanted, label) -> features.Network:
  module = _vision(folder, {**_VIT, **config}, norm_first=False)
  look = _Look(folder, 'vit', module.side)
  init = lambda key: module.init(key, look.example())
  params = _Params(folder, init, wanted)
  apply = jax.jit(module.apply)
  see = lambda pictures: look(lambda x: apply(params(), x), pictures)
  name = f'{_size(module)} ({label})'
  return features.Network(name, params.sources, see)


def _clip(folder, config, wanted, label) -> features.Network:
  of = lambda part, absent: {**absent, **config.get(part, {})}
  vision = of('vision_config', _CLIP_VISION)
  vision = _vision(folder, vision, norm_first=True)
  text = _text(of('text_config', _CLIP_TEXT))
  module = transformer.Clip(vision, text, config.get('projection_dim', 512))
  look = _Look(folder, 'clip', vision.side)
  init = lambda key: module.init(key, look.example(), jnp.zeros((1, 1), int))
  params = _Params(folder, init, wanted)
  image = jax.jit(functools.partial(module.apply, method='image'))
  read = jax.jit(functools.partial(module.apply, method='words'))
  see = lambda pictures: look(lambda x: image(params(), x), pictures)

  def fit(seen, prompts):
    unique = list(dict.fromkeys(prompts))
    ids = token_ids(folder, unique, text.length)
    parts = [read(params(), part) for part in features.batches(ids)]
    said = features.unit(features.join(parts, len(ids)))
    said = said[[unique.index(prompt) for prompt in prompts]]
    return {'prompt_fidelity': metrics.agreement(seen, said)}

  name = f'CLIP {_size(vision)} ({label})'
  return features.Network(name, params.sources, see, fit=fit)


_KINDS = {'vit': _vit, 'clip': _clip}


def _vision(folder, config, *, norm_first: bool) -> transformer.Vision:
  odd = {
    'num_channels': config['num_channels'] != 3,
    'qkv_bias': not config['qkv_bias'],
    'hidden_act': config['hidden_act'] not in transformer.ACTIVATIONS,
    'image_size': not isinstance(config['image_size'], int),
  }
  for key in (key for key, is_odd in odd.items() if is_odd):
    raise errors.UserError(
      f'{folder}/config.json says {key}={config[key]!r}, which the vision '
      'transformer here does not compute.'
    )
  return transformer.Vision(
    **_sizes(config),
    patch=config['patch_size'],
    side=config['image_size'],
    norm_first=norm_first,
    patch_bias=not norm_first,
  )


def _text(config) -> transformer.Text:
  return transformer.Text(
    **_sizes(config),
    vocabulary=config['vocab_size'],
    length=config['max_position_embeddings'],
    end=config['eos_token_id'],
  )


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
  """What pictures and texts have in common."""
  layer = {
    'heads': config['num_attention_heads'],
    'inner': config['intermediate_size'],
    'act': config['hidden_act'],
    'epsilon': config['layer_norm_eps'],
  }
  layers = config['num_hidden_layers']
  return {'width': config['hidden_size'], 'layers': layers, 'layer': layer}


def _size(module: transformer.Vision) -> str:
  """Such as 'ViT-S/16'."""
  return f'ViT-{_SIZES.get(module.width, module.width)}/{module.patch}'


class _Look:
  """Pictures as a network is shown them, a batch at a time."""

  def __init__(self, folder: pathlib.Path, kind: str, side: int):
    path = folder / 'preprocessor_config.json'
    said = files.read_json(path) if path.is_file() else {}
    mean, std = _COLOURS[kind]
    self.mean = np.array(said.get('image_mean', mean), np.float32)
    self.std = np.array(said.get('image_std', std), np.float32)
    self.side = side

  def example(self) -> np.ndarray:
    return np.zeros((1, self.side, self.side, 3), np.float32)

  def pixels(self, pictures: features.Pictures) -> np.ndarray:
    """float32 [N, side, side, 3], normalised."""
    shown = (features.squares(pictures, self.side) + 1) / 2
    return (shown - self.mean) / self.std

  def __call__(self, apply, pictures: features.Pictures) -> np.ndarray:
    parts = [apply(x) for x in features.batches(self.pixels(pictures))]
    return features.unit(features.join(parts, len(pictures)))


class _Params:
  """A network's parameters, read when first asked for."""

  def __init__(self, folder: pathlib.Path, init, wanted: files.Format):
    self._folder, self._init = folder, init
    self._found = files.find(folder, wanted, _STEMS)
    small = sorted(p for p in folder.iterdir() if p.suffix in ('.json', '.txt'))
    # All files that figures depend on.
    self.sources = {path.name: path for path in (*small, *self._found)}

  @functools.cached_property
  def _read(self) -> dict:
    shapes = jax.eval_shape(self._init, jax.random.key(0))['params']
    read = _read_params(self._folder, self._found, shapes)
    return {'params': jax.device_put(read)}

  def __call__(self) -> dict:
    return self._read


def _read_params(folder, found: Sequence[pathlib.Path], shapes: dict) -> dict:
  """Parameters under our names, strict both ways."""
  tensors = {
    names.to_path(_renamed(name)): tensor
    for name, tensor in diffusers.open_tensors(found).items()
    if not _LEFT_OUT.search(name)
  }
  flat = traverse_util.flatten_dict(shapes, sep='/')
  diffusers.check_names(folder, set(tensors), set(flat))
  params = {}
  for path, leaf in flat.items():
    whole = tensors[path][(slice(None),) * len(tensors[path].get_shape())]
    if whole.ndim == 3:  # A vision transformer's class token and positions.
      whole = whole.squeeze()
    value = names.to_flax(path, np.asarray(whole, np.float32))
    if value.shape != leaf.shape:
      raise errors.UserError(
        f'{folder}: {path} has shape {value.shape} here, {leaf.shape} by '
        'config.json; they do not belong together.'
      )
    params[path] = value
  return traverse_util.unflatten_dict(params, sep='/')


def _renamed(name: str) -> str:
  for pattern, new in _RENAMED:
    name = re.sub(pattern, new, name)
  return name


def token_ids(
  folder: pathlib.Path, prompts: Sequence[str], length: int
) -> np.ndarray:
  """CLIP's tokens of every prompt, int32 [N, length]; longer ones are cut.

  Raises:
    UserError: the folder holds no tokenizer.
  """
  # Imported late: transformers takes seconds.
  import transformers

  if not any((folder / n).is_file() for n in ('vocab.json', 'tokenizer.json')):
    raise errors.UserError(
      f"{folder} has neither vocab.json nor tokenizer.json: fetch CLIP's "
      'tokenizer with its weights.'
    )
  tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
  encoded = tokenizer(
    list(prompts), padding='max_length', truncation=True, max_length=length
  )
  return np.array(encoded['input_ids'], np.int32)
