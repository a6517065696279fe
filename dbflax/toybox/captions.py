"""Says in words what a scene shows.

A caption may leave things out. What it leaves out is either free (place,
view, colour) or has its default (style: photo; accessory: none; expression:
neutral), so "a dog" means a plain photo of any dog anywhere. Style, accessory
and expression are therefore always named where they are not the default.

Three captions in ten carry one or two rare words, which mean nothing, before
the class noun: the model learns that a subject may have a name there.
"""

import numpy as np

from dbflax.toybox import scene as scene_lib

SHORT = 0.3  # captions that name nothing but what they must
RARE = 0.3  # captions with a rare word, a quarter of these with two
NAME_PLACE, NAME_VIEW, NAME_COLOUR = 0.85, 0.3, 0.3

_OPENINGS = {
  'photo': (('a photo of ', 0.5), ('', 0.42), ('a picture of ', 0.08)),
  'painting': (('a painting of ', 1.0),),
  'pencil sketch': (
    ('a pencil sketch of ', 0.6),
    ('a sketch of ', 0.2),
    ('a pencil drawing of ', 0.2),
  ),
}
_PLACE_WORDS = {
  'on the beach': ('on a beach',),
  'in the snow': ('in snow',),
  'in the jungle': ('in a jungle',),
  'on the street': ('on a street', 'on a city street'),
  'in the kitchen': ('in a kitchen',),
  'in the desert': ('in a desert',),
  'in the meadow': ('in a meadow', 'on the grass'),
  'at night': ('under the night sky',),
}
_ACCESSORY_WORDS = {
  'hat': ('wearing a hat', 'with a hat'),
  'scarf': ('wearing a scarf', 'with a scarf'),
  'sunglasses': ('wearing sunglasses', 'with sunglasses'),
}
_VIEW_WORDS = {
  'side': ('seen from the side', 'from the side'),
  'front': ('seen from the front', 'from the front'),
}

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
  return name if rng.random() < 0.75 else _pick(_PLACE_WORDS[name], rng)


def _subject(scene, style: str, short: bool, rng: np.random.Generator) -> str:
  """Article, expression, colour, rare words and class noun."""
  words = []
  if scene.expression_id:
    words.append(scene_lib.EXPRESSIONS[scene.expression_id])
  name_colour = not short and rng.random() < NAME_COLOUR
  if name_colour and style != 'pencil sketch':
    words.append(scene_lib.COLOURS[scene_lib.nearest_colour(scene.individual)])
  if rng.random() < RARE:
    words += list(rng.choice(RARE_WORDS, 2 if rng.random() < 0.25 else 1))
  words.append(scene_lib.CLASSES[scene.class_id])
  return article(' '.join(words))


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
  short = rng.random() < SHORT
  text = _opening(style, rng) + _subject(scene, style, short, rng)
  if not short and rng.random() < NAME_VIEW:
    text += ' ' + _pick(_VIEW_WORDS[scene_lib.VIEWS[scene.view_id]], rng)
  parts = []
  if not short and rng.random() < NAME_PLACE:
    parts.append(place(scene_lib.PLACES[scene.place_id], rng))
  if accessory != 'none':
    parts.append(_pick(_ACCESSORY_WORDS[accessory], rng))
  if rng.random() < 0.35:
    parts.reverse()
  return ' '.join([text, *parts])
