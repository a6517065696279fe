"""Captions say what a scene shows and leave out only what may be free."""

import collections

import jax
import numpy as np
import pytest

from dbflax.toybox import captions
from dbflax.toybox import scene as scene_lib

COUNT = 3000
COLOURLESS = ('pencil sketch', 'statue')
# A word of these stands in a caption exactly where the scene has the value.
SIGNS = {
  'style_id': {
    'painting': 'painting',
    'pencil sketch': 'sketch|drawing',
    'pixel art': 'pixel art',
    'statue': 'statue',
  },
  'accessory_id': {
    word: word for word in scene_lib.ACCESSORIES if word != 'none'
  },
  'expression_id': {
    'happy': 'happy|smiling|joyful',
    'sad': 'sad|crying',
    'sleepy': 'sleepy|sleeping|tired',
  },
  'view_id': {
    'back': 'from the back|from behind',
    'above': 'from above|from the top',
  },
  'material_id': {
    'golden': 'golden|made of gold',
    'wooden': 'wooden|made of wood',
    'glass': 'glass',
  },
}
TABLES = {
  'style_id': scene_lib.STYLES,
  'accessory_id': scene_lib.ACCESSORIES,
  'expression_id': scene_lib.EXPRESSIONS,
  'view_id': scene_lib.VIEWS,
  'material_id': scene_lib.MATERIALS,
  'place_id': scene_lib.PLACES,
}
PLACE_SIGNS = dict(
  zip(
    scene_lib.PLACES,
    (
      *('beach', 'in snow|the snow|snowy', 'jungle', 'street', 'kitchen'),
      *('desert', 'meadow|grass', 'night', 'mountain|mountains', 'forest'),
      *('living room', 'castle', 'under water|underwater|sea', 'moon'),
    ),
    strict=True,
  )
)


def _says(text: str, sign: str) -> bool:
  """Whether one of the words or phrases stands in the text."""
  return any(f' {phrase} ' in f' {text} ' for phrase in sign.split('|'))


@pytest.fixture(scope='module')
def pairs():
  """(scene, caption) pairs of the pre-training world."""
  keys = jax.random.split(jax.random.key(0), COUNT)
  scenes = jax.device_get(jax.jit(jax.vmap(scene_lib.sample))(keys))
  rng = np.random.default_rng(0)
  each = [jax.tree.map(lambda f, i=i: f[i], scenes) for i in range(COUNT)]
  return [(scene, captions.caption(scene, rng)) for scene in each]


def test_class_noun_is_always_there(pairs):
  for scene, text in pairs:
    assert scene_lib.CLASSES[scene.class_id] in text.split()


@pytest.mark.parametrize('field', SIGNS)
def test_what_is_not_the_default_is_named(pairs, field):
  """Always; and what a scene has not is never named."""
  met = set()
  for scene, text in pairs:
    value = TABLES[field][getattr(scene, field)]
    met.add(value)
    for word, sign in SIGNS[field].items():
      assert _says(text, sign) == (word == value), text
  assert met >= set(SIGNS[field])


def test_side_and_front_are_named_in_part(pairs):
  for view in ('side', 'front'):
    sign = f'from the {view}'
    named = [
      _says(text, sign)
      for scene, text in pairs
      if scene_lib.VIEWS[scene.view_id] == view
    ]
    assert 0.1 < np.mean(named) < 0.4
    assert sum(_says(text, sign) for _, text in pairs) == sum(named)


def test_a_named_place_is_the_shown_one_and_each_has_other_words(pairs):
  spoken = collections.defaultdict(set)
  for scene, text in pairs:
    shown = scene_lib.PLACES[scene.place_id]
    said = [word for word, sign in PLACE_SIGNS.items() if _says(text, sign)]
    assert said in ([], [shown]), text
    if said:
      spoken[shown].add(_says(text, shown))
  assert spoken == {place: {True, False} for place in scene_lib.PLACES}


def test_a_named_colour_is_the_shown_one(pairs):
  named = 0
  for scene, text in pairs:
    shown = scene_lib.COLOURS[scene_lib.nearest_colour(scene.individual)]
    for word in set(text.split()) & set(scene_lib.COLOURS):
      named += 1
      assert word == shown
      assert scene_lib.MATERIALS[scene.material_id] == 'natural'
      assert scene_lib.STYLES[scene.style_id] not in COLOURLESS
  assert 0.1 < named / COUNT < 0.3


def test_prior_prompts_are_common(pairs):
  counts = collections.Counter(text for _, text in pairs)
  for noun in scene_lib.CLASSES:
    plain = counts[f'a {noun}'] + counts[f'a photo of a {noun}']
    others = [
      count
      for text, count in counts.items()
      if noun in text.split()
      and text not in (f'a {noun}', f'a photo of a {noun}')
    ]
    assert plain > max(0.002 * COUNT, *others)


def test_rare_words_stand_before_the_noun(pairs):
  rare, nouns = set(captions.RARE_WORDS), set(scene_lib.CLASSES)
  having = 0
  for _, text in pairs:
    words = text.split()
    at = [i for i, word in enumerate(words) if word in rare]
    having += bool(at)
    if at:
      assert words[at[-1] + 1] in nouns
      assert at == list(range(at[0], at[0] + len(at))) and len(at) <= 2
  assert 0.25 < having / COUNT < 0.35


def test_rare_words_are_short_and_mean_nothing(pairs):
  assert len(captions.RARE_WORDS) == len(set(captions.RARE_WORDS)) >= 500
  for word in captions.RARE_WORDS:
    assert len(word) in (2, 3) and not set(word) & set('aeiouy')
  with_meaning = {word for _, text in pairs for word in text.split()}
  assert 'tv' not in captions.RARE_WORDS and 'dog' in with_meaning


def test_every_caption_is_made_of_the_phrases(pairs):
  known = {word for phrase in captions.phrases() for word in phrase.split()}
  known |= set(captions.RARE_WORDS) | {'a', 'an'}
  said = {word for _, text in pairs for word in text.split()}
  assert said <= known


def test_articles_agree():
  assert captions.article('orange dog') == 'an orange dog'
  assert captions.article('red dog') == 'a red dog'


def test_captions_repeat_with_their_generator():
  scene = jax.device_get(scene_lib.sample(jax.random.key(1)))
  texts = [captions.caption(scene, np.random.default_rng(7)) for _ in range(2)]
  assert texts[0] == texts[1]


ALL_TABLES = {
  **TABLES,
  'class_id': scene_lib.CLASSES,
  'colour': scene_lib.COLOURS,
}


@pytest.mark.parametrize(
  ('prompt', 'words'),
  [
    ('a photo of a qsd dog on a beach', ('photo', 'dog', 'on the beach')),
    ('a painting of a qsd dog', ('painting', 'dog')),
    ('A pencil drawing of a cat', ('pencil sketch', 'cat')),
    ('a happy dog wearing a hat', ('happy', 'dog', 'hat')),
    ('a blue dog seen from behind', ('blue', 'dog', 'back')),
    ('a vase made of glass by a castle', ('vase', 'glass', 'by the castle')),
    ('a dog', ('dog',)),
    # No statue shows gold, and no word of toybox is a santa hat.
    ('a statue of a golden dog', ('statue', 'dog')),
    ('a dog wearing a santa hat', ('dog',)),
    # Two places are none.
    ('a dog on the beach in the snow', ('dog',)),
    ('the Eiffel Tower', ()),
  ],
)
def test_what_a_prompt_names(prompt, words):
  found = captions.named(prompt)
  said = [ALL_TABLES[field][index] for field, index in found.items()]
  assert sorted(said) == sorted(words)


def test_what_captions_name_is_what_scenes_show(pairs):
  """Names are true, and all that a caption cannot leave out is named."""
  for scene, text in pairs:
    found = captions.named(text)
    shown = {
      **{
        field: getattr(scene, field)
        for field in ALL_TABLES
        if field != 'colour'
      },
      'colour': scene_lib.nearest_colour(scene.individual),
    }
    assert all(shown[field] == index for field, index in found.items()), text
    for field in ('style_id', 'accessory_id', 'expression_id', 'material_id'):
      assert field in found or shown[field] == 0, text
    assert 'class_id' in found
    assert 'view_id' in found or shown['view_id'] < 2, text
