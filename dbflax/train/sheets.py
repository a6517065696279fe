"""Contact sheets: what the base stage draws, beneath real renders.

A sheet shows one class. The first pair of rows goes through all places, the
second through styles, things to wear, views and more; of each pair, the upper
row renders individuals that pre-training never shows, the lower is sampled.
"""

from typing import NamedTuple

import jax
import numpy as np

from dbflax import rng
from dbflax.data import images
from dbflax.toybox import captions, scene
from dbflax.train import drawing

COLUMNS = len(scene.PLACES)


class Case(NamedTuple):
  """A prompt and the fields of a scene that it asks for."""

  prompt: str
  fields: dict[str, int]


def cases(noun: str) -> list[Case]:
  """Two rows of COLUMNS cases for a class."""
  subject = captions.article(noun)
  photo = f'a photo of {subject}'
  places = [
    Case(f'{photo} {place}', {'place_id': i})
    for i, place in enumerate(scene.PLACES)
  ]
  return [*places, *_variations(noun, subject, photo)[:COLUMNS]]


def _variations(noun: str, subject: str, photo: str) -> list[Case]:
  """Everything but places; the most telling first. Each is somewhere else."""
  # "pixel art" is no countable thing.
  opening = lambda style: (
    style if style == 'pixel art' else captions.article(style)
  )
  found = [
    (f'{opening(style)} of {subject}', 'style_id', scene.STYLES.index(style))
    for style in scene.STYLES[1:]
  ]
  for i, name in enumerate(scene.ACCESSORIES[1:], 1):
    worn = name if name == 'sunglasses' else captions.article(name)
    found.append((f'{photo} wearing {worn}', 'accessory_id', i))
  for view in ('the front', 'the back', 'above'):
    i = scene.VIEWS.index(view.removeprefix('the '))
    found.append((f'{photo} seen from {view}', 'view_id', i))
  if noun in scene.ANIMALS:
    adjectives = (('happy', 'expression_id', scene.EXPRESSIONS),)
  else:
    adjectives = (('glass', 'material_id', scene.MATERIALS),)
  for word, field, words in (
    ('golden', 'material_id', scene.MATERIALS),
    *adjectives,
  ):
    prompt = f'a photo of {captions.article(f"{word} {noun}")}'
    found.append((prompt, field, words.index(word)))
  return [
    Case(prompt, {'place_id': place, field: value})
    for place, (prompt, field, value) in enumerate(found)
  ]


def held_out_scenes(noun: str, shown: list[Case], key) -> scene.Scene:
  """A scene for each case, of an individual that pre-training never shows."""
  class_id = scene.CLASSES.index(noun)
  names = ('place_id', 'style_id', 'accessory_id', 'view_id')
  names += ('expression_id', 'material_id')
  fields = {
    name: np.array([case.fields.get(name, 0) for case in shown], np.int32)
    for name in names
  }

  def one(key, fields):
    who = scene.individual(rng.key(key, 'individual'), class_id, held_out=True)
    return scene.staged(
      rng.key(key, 'staging'), individual=who, class_id=class_id, **fields
    )

  keys = jax.random.split(key, len(shown))
  return jax.tree.map(np.asarray, jax.vmap(one)(keys, fields))


def draw(
  draw: drawing.Draw, render: drawing.Render, *, seed: int
) -> dict[str, np.ndarray]:
  """{class: its sheet, uint8 [H, W, 3]}."""
  shown = {noun: cases(noun) for noun in scene.CLASSES}
  prompts = [case.prompt for row in shown.values() for case in row]
  samples = draw(prompts, drawing.keys(seed, 'sheets', len(prompts)))
  root, made = jax.random.key(seed), {}
  for n, (noun, row) in enumerate(shown.items()):
    real = render(held_out_scenes(noun, row, rng.key(root, 'sheets', n)))
    drawn = samples[n * len(row) : (n + 1) * len(row)]
    # [pair, row of the pair, column, …]
    pairs = [x.reshape(-1, COLUMNS, *x.shape[1:]) for x in (real, drawn)]
    tiles = np.stack(pairs, axis=1).reshape(-1, *real.shape[1:])
    made[noun] = images.grid(images.to_uint8(tiles), COLUMNS)
  return made
