"""Says in words what a scene shows.

A caption may leave things out. What it leaves out is either free (place,
colour, side or front view) or has its default (style: photo; accessory: none;
expression: neutral; material: natural), so "a dog" means a plain photo of any
dog anywhere. All else is always named, and so are the views from behind and
from above, which nobody means by "a dog".

Three captions in ten carry one or two rare words, which mean nothing, before
the class noun: the model learns that a subject may have a name there.
"""

import functools
import re
from collections.abc import Iterator

import numpy as np

from dbflax.toybox import scene as scene_lib

SHORT = 0.3  # captions that name nothing but what they must
RARE = 0.3  # captions with a rare word, a quarter of these with two
NAME_PLACE, NAME_VIEW, NAME_COLOUR = 0.85, 0.3, 0.4
_REWORDED = 0.25  # places, expressions and materials said in other words

_OPENINGS = {
  'photo': (
    ('a photo of ', 0.5),
    ('', 0.42),
    ('a picture of ', 0.05),
    ('an image of ', 0.03),
  ),
  'painting': (('a painting of ', 0.8), ('an oil painting of ', 0.2)),
  'pencil sketch': (
    ('a pencil sketch of ', 0.6),
    ('a sketch of ', 0.2),
    ('a pencil drawing of ', 0.2),
  ),
  'pixel art': (
    ('pixel art of ', 0.5),
    ('a pixel art picture of ', 0.25),
    ('a pixel art image of ', 0.25),
  ),
  'statue': (
    ('a statue of ', 0.6),
    ('a stone statue of ', 0.2),
    ('a marble statue of ', 0.2),
  ),
}
_COLOURLESS = ('pencil sketch', 'statue')  # styles that hide colour, material
_PLACE_WORDS = {
  'on the beach': ('on a beach', 'on a sandy beach'),
  'in the snow': ('in snow', 'on a snowy field'),
  'in the jungle': ('in a jungle',),
  'on the street': ('on a street', 'on a city street'),
  'in the kitchen': ('in a kitchen',),
  'in the desert': ('in a desert',),
  'in the meadow': ('in a meadow', 'on the grass'),
  'at night': ('under the night sky',),
  'in the mountains': (
    'among the mountains',
    'in front of a mountain',
    'with a mountain in the background',
  ),
  'in the forest': ('in an autumn forest', 'in a forest'),
  'in the living room': ('in a living room', 'on a rug in the living room'),
  'by the castle': (
    'by a castle',
    'in front of a castle',
    'with a castle in the background',
  ),
  'under water': ('underwater', 'under the sea'),
  'on the moon': ('on the surface of the moon', 'standing on the moon'),
}
_ACCESSORY_WORDS = {
  'hat': ('wearing a hat', 'with a hat'),
  'scarf': ('wearing a scarf', 'with a scarf'),
  'sunglasses': ('wearing sunglasses', 'with sunglasses'),
  'crown': ('wearing a crown', 'with a crown'),
  'bow tie': ('wearing a bow tie', 'with a bow tie'),
}
_EXPRESSION_WORDS = {
  'happy': ('smiling', 'joyful'),
  'sad': ('crying',),
  'sleepy': ('sleeping', 'tired'),
}
_MATERIAL_WORDS = {
  'golden': 'made of gold',
  'wooden': 'made of wood',
  'glass': 'made of glass',
}
_VIEW_WORDS = {
  'side': ('seen from the side', 'from the side'),
  'front': ('seen from the front', 'from the front'),
  'back': (
    'seen from the back',
    'from the back',
    'seen from behind',
    'from behind',
  ),
  'above': (
    'seen from above',
    'from above',
    'seen from the top',
    'from the top',
  ),
}
_FREE_VIEWS = ('side', 'front')

# Consonant pairs and triples that people read as words or units.
_KNOWN = frozenset(
  """
  bbc bbq btw cd cds cm cnn dj dna dr dvd ft gb gps hd hmm hp hq jr kb kg km
  kph lb lbs lcd ltd mb mg ml mm mph mr mrs ms mt nth nd pc pdf ph phd pm ps
  pst rpm rd rv rvs sd sgt shh sms sr st sts td th tv tvs tsk usb vcr vr vs
  www xml zz zzz brr grr mlb nba nbc nfl nhl nyc pbs mtv cbs llc lsd mc md nc
  nj sc tn tx vt wv nh ks ky mn wm bmw fbi fm dc ac
  """.split()  # noqa: SIM905
)


def _rare_words(count: int) -> tuple[str, ...]:
  """`count` words of two or three consonants, always the same ones."""
  letters = 'bcdfghjklmnpqrstvwxz'
  pairs = [a + b for a in letters for b in letters]
  triples = [a + b for a in pairs for b in letters]
  plain = lambda words: [w for w in words if w not in _KNOWN]
  draw = np.random.default_rng(0)
  pairs = draw.permutation(plain(pairs))[: count // 4]
  triples = draw.permutation(plain(triples))
  words = dict.fromkeys(['zk', 'sks', *pairs.tolist(), *triples.tolist()])
  return tuple(sorted(list(words)[:count]))


RARE_WORDS = _rare_words(600)


def _pick(options, rng: np.random.Generator) -> str:
  return options[rng.integers(len(options))]


def _opening(style: str, rng: np.random.Generator) -> str:
  words, odds = zip(*_OPENINGS[style], strict=True)
  return words[rng.choice(len(words), p=odds)]


def article(words: str) -> str:
  """`words` after "a" or "an"."""
  return ('an ' if words[0] in 'aeiou' else 'a ') + words


def place(name: str, rng: np.random.Generator) -> str:
  """A place as it stands in prompts, now and then in other words."""
  return _pick(_PLACE_WORDS[name], rng) if rng.random() < _REWORDED else name


def _expression(name: str, rng: np.random.Generator) -> str:
  reworded = rng.random() < _REWORDED
  return _pick(_EXPRESSION_WORDS[name], rng) if reworded else name


def _subject(scene, style: str, short: bool, rng: np.random.Generator) -> str:
  """Article, expression, colour or material, rare words and class noun."""
  before, after = [], []
  if scene.expression_id:
    name = scene_lib.EXPRESSIONS[scene.expression_id]
    before.append(_expression(name, rng))
  material = scene_lib.MATERIALS[scene.material_id]
  if style not in _COLOURLESS and material != 'natural':
    if rng.random() < _REWORDED:
      after.append(_MATERIAL_WORDS[material])
    else:
      before.append(material)
  elif style not in _COLOURLESS and not short and rng.random() < NAME_COLOUR:
    colour = scene_lib.nearest_colour(scene.individual)
    before.append(scene_lib.COLOURS[colour])
  if rng.random() < RARE:
    before += list(rng.choice(RARE_WORDS, 2 if rng.random() < 0.25 else 1))
  noun = scene_lib.CLASSES[scene.class_id]
  return article(' '.join([*before, noun, *after]))


def caption(scene, rng: np.random.Generator) -> str:
  """One of many ways to describe a scene.

  Args:
    scene: a `scene.Scene` of host arrays (`jax.device_get` of one scene).
    rng: the source of wording; the same state gives the same caption.

  Returns:
    Lower-case words, for example "a painting of a zk cat in the snow wearing
    a hat".
  """
  style = scene_lib.STYLES[scene.style_id]
  accessory = scene_lib.ACCESSORIES[scene.accessory_id]
  view = scene_lib.VIEWS[scene.view_id]
  short = rng.random() < SHORT
  text = _opening(style, rng) + _subject(scene, style, short, rng)
  name_view = not short and rng.random() < NAME_VIEW
  if name_view or view not in _FREE_VIEWS:
    text += ' ' + _pick(_VIEW_WORDS[view], rng)
  parts = []
  if not short and rng.random() < NAME_PLACE:
    parts.append(place(scene_lib.PLACES[scene.place_id], rng))
  if accessory != 'none':
    parts.append(_pick(_ACCESSORY_WORDS[accessory], rng))
  if rng.random() < 0.35:
    parts.reverse()
  return ' '.join([text, *parts])


def phrases() -> Iterator[str]:
  """Everything that captions are put together from but the rare words."""
  for options in _OPENINGS.values():
    yield from (words.strip() for words, _ in options if words)
  yield from (*scene_lib.EXPRESSIONS[1:], *scene_lib.MATERIALS[1:])
  yield from (*scene_lib.COLOURS, *scene_lib.CLASSES, *scene_lib.PLACES)
  yield from _MATERIAL_WORDS.values()
  said = _PLACE_WORDS | _ACCESSORY_WORDS | _EXPRESSION_WORDS | _VIEW_WORDS
  for options in said.values():
    yield from options


def named(prompt: str) -> dict[str, int]:
  """What a prompt names, in the grammar's words: the inverse of `caption`.

  Only what stands there counts: "a dog" names a class and no style, though it
  means a photo. Words that toybox does not know are passed over, and a thing
  named twice in different words is not told.

  Returns:
    {field of Scene, or 'colour': index into its table}.
  """
  text = ' '.join(prompt.lower().split())
  found = {}
  openings, things = _patterns()
  if opening := openings.match(text):
    found['style_id'] = {_opening_styles()[opening[0]]}
    text = text[opening.end() :]
  for match in things.finditer(text):
    field, index = _things()[match[0]]
    found.setdefault(field, set()).add(index)
  if scene_lib.STYLES[min(found.get('style_id', {0}))] in _COLOURLESS:
    found = {k: v for k, v in found.items() if k not in _COLOURS_OF}
  return {k: min(v) for k, v in found.items() if len(v) == 1}


_COLOURS_OF = ('colour', 'material_id')


@functools.cache
def _things() -> dict[str, tuple[str, int]]:
  """Words → (field, index), of all that does not open a caption."""
  tables = {
    'class_id': (scene_lib.CLASSES, {}),
    'colour': (scene_lib.COLOURS, {}),
    'place_id': (scene_lib.PLACES, _PLACE_WORDS),
    'expression_id': (scene_lib.EXPRESSIONS, _EXPRESSION_WORDS),
    'material_id': (scene_lib.MATERIALS, _MATERIAL_WORDS),
    'accessory_id': (scene_lib.ACCESSORIES, _ACCESSORY_WORDS),
    'view_id': (scene_lib.VIEWS, _VIEW_WORDS),
  }
  return {
    words: (field, index)
    for field, (table, said) in tables.items()
    for index, name in enumerate(table)
    for words in _wordings(field, name, said.get(name, ()))
  }


def _wordings(field: str, name: str, others) -> tuple[str, ...]:
  """All the ways in which captions say one thing."""
  others = (others,) if isinstance(others, str) else others
  # These are never said by their bare name, and some never at all.
  return others if field in ('accessory_id', 'view_id') else (name, *others)


@functools.cache
def _opening_styles() -> dict[str, int]:
  return {
    words: scene_lib.STYLES.index(style)
    for style, options in _OPENINGS.items()
    for words, _ in options
    if words
  }


@functools.cache
def _patterns() -> tuple[re.Pattern, re.Pattern]:
  """One for the openings and one for the rest; the longest wording wins."""
  any_of = lambda words: '|'.join(
    re.escape(word) for word in sorted(words, key=len, reverse=True)
  )
  return (
    re.compile(any_of(_opening_styles())),
    re.compile(rf'\b({any_of(_things())})\b'),
  )
