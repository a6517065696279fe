"""How good a pre-trained toybox cascade is: numbers and contact sheets.

    python -m dbflax.main --mode=pretrain --config=configs/toybox.py:measure

Prints the fidelity of each super-resolution stage against bicubic enlargement,
on scenes of individuals that pre-training never shows, and draws two sheets:
`sheet.png`, every class in every place by the base stage, beneath each a real
render; `enlarged.png`, (low, bicubic, drawn, real) of a few scenes.
"""

import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import cascade, rng
from dbflax.data import images
from dbflax.text import embed
from dbflax.toybox import scene, stream

Image = Float[Array, 'B H W C']


def run(config, folder: pathlib.Path, out: pathlib.Path) -> None:
  """Measures the cascade in `folder`; writes sheets to `out`, prints rows."""
  model = cascade.load(folder)
  options = config.measure
  encoder = jax.device_put(cascade.load_params(model, 'text_encoder'))
  encode = lambda prompts: embed.embed(
    model.encoder,
    encoder,
    model.tokenizer,
    prompts,
    max_length=config.max_length,
  )
  sheet = _sheet(model, encode, config.seed, options.stage_1.to_dict())
  images.save_png(out / 'sheet.png', sheet)
  rows = []
  for name, below in (('stage_2', 'stage_1'), ('stage_3', 'stage_2')):
    drawn = _enlarge(
      model, name, below, encode, config.seed, options[name].to_dict()
    )
    rows.append(drawn)
    print(
      f'{name}: PSNR {psnr(drawn["drawn"], drawn["real"]):.2f} dB, '
      f'bicubic {psnr(drawn["bicubic"], drawn["real"]):.2f} dB, '
      f'{len(drawn["real"])} scenes'
    )
  tiles = [_tile(row[key][:4], 256) for row in rows for key in row]
  images.save_png(out / 'enlarged.png', images.grid(np.concatenate(tiles), 4))


def psnr(a: Image, b: Image) -> float:
  """Peak signal-to-noise ratio in dB of images in [-1, 1]."""
  return float(-10 * np.log10(np.mean(np.square((a - b) / 2))))


def _sheet(model, encode: Callable, seed: int, options: dict) -> np.ndarray:
  """Classes × places: a row of samples, and beneath it a row of renders."""
  stage = model.stages['stage_1']
  sampler = cascade.make_sampler(stage, cascade.Sampling(**options))
  params = jax.device_put(cascade.load_params(model, 'stage_1'))
  places = range(len(scene.PLACES))
  root = jax.random.key(seed)
  draw_keys = jax.vmap(lambda i: rng.key(root, 'sheet', i))
  rows = []
  for number, noun in enumerate(scene.CLASSES):
    texts = [f'a photo of a {noun} {scene.PLACES[p]}' for p in places]
    *text, null_text = encode([*texts, ''])
    keys = draw_keys(number * len(places) + np.arange(len(places)))
    rows.append(sampler(params, np.stack(text), null_text, keys))
    scenes = _held_out(keys, np.full(len(places), number), np.array(places))
    rows.append(stream.images(scenes, stage.resolution))
  tiles = images.to_uint8(np.concatenate(rows))
  return images.grid(tiles, len(scene.PLACES))


def _held_out(keys, class_ids, place_ids) -> scene.Scene:
  """Scenes of individuals that pre-training never shows."""

  def one(key, class_id, place_id):
    individual = scene.individual(
      rng.key(key, 'individual'), class_id, held_out=True
    )
    return scene.staged(
      rng.key(key, 'staging'),
      individual=individual,
      class_id=class_id,
      place_id=place_id,
    )

  return jax.vmap(one)(keys, class_ids, place_ids)


def _enlarge(
  model, name: str, below: str, encode: Callable, seed: int, options: dict
) -> dict[str, Image]:
  """{'low', 'bicubic', 'drawn', 'real'} of held-out scenes."""
  count = options.pop('count')
  stage, resolution = model.stages[name], model.stages[below].resolution
  root = jax.random.key(seed)
  keys = jax.vmap(lambda i: rng.key(root, name, i))(np.arange(count))
  class_ids = np.arange(count) % len(scene.CLASSES)
  scenes = _held_out(keys, class_ids, np.arange(count) % len(scene.PLACES))
  low = stream.images(scenes, resolution)
  texts = [f'a photo of a {scene.CLASSES[i]}' for i in class_ids]
  *text, null_text = encode([*texts, ''])
  sampler = cascade.make_sampler(stage, cascade.Sampling(**options))
  params = jax.device_put(cascade.load_params(model, name))
  # One at a time: a picture of 1024 pixels is large.
  drawn = [
    sampler(params, text[i][None], null_text, keys[i : i + 1], low[i : i + 1])
    for i in range(count)
  ]
  shape = (count, stage.resolution, stage.resolution, 3)
  bicubic = jnp.clip(jax.image.resize(low, shape, 'cubic'), -1, 1)
  return {
    'low': np.asarray(low),
    'bicubic': np.asarray(bicubic),
    'drawn': np.concatenate(drawn),
    'real': np.asarray(stream.images(scenes, stage.resolution)),
  }


def _tile(pictures: Image, side: int) -> np.ndarray:
  """uint8 tiles of one size: the middle, or pixels shown larger."""
  height = pictures.shape[1]
  if height <= side:
    scale = side // height
    pictures = pictures.repeat(scale, axis=1).repeat(scale, axis=2)
  else:
    corner = (height - side) // 2
    cut = slice(corner, corner + side)
    pictures = pictures[:, cut, cut]
  return images.to_uint8(np.asarray(pictures))
