"""Captions say what a scene shows and leave out only what may be free."""

import collections

import jax
import numpy as np
import pytest

from dbflax.toybox import captions
from dbflax.toybox import scene as scene_lib

COUNT = 3000


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


def test_what_is_not_the_default_is_named(pairs):
  for scene, text in pairs:
    accessory = scene_lib.ACCESSORIES[scene.accessory_id]
    expression = scene_lib.EXPRESSIONS[scene.expression_id]
    assert (accessory in text.split()) == (accessory != 'none')
    assert (expression in text.split()) == (expression != 'neutral')
    drawn = {'painting': 'painting', 'pencil sketch': 'sketch|drawing'}
    words = drawn.get(scene_lib.STYLES[scene.style_id], '').split('|')
    for word in ('painting', 'sketch', 'drawing'):
      assert word not in text.split() or word in words
    assert words == [''] or any(word in text.split() for word in words)


def test_a_named_colour_is_the_shown_one(pairs):
  named = 0
  for scene, text in pairs:
    shown = scene_lib.COLOURS[scene_lib.nearest_colour(scene.individual)]
    for word in set(text.split()) & set(scene_lib.COLOURS):
      named += 1
      assert word == shown
  assert 0.1 < named / COUNT < 0.3


def test_prior_prompts_are_common(pairs):
  counts = collections.Counter(text for _, text in pairs)
  for noun in scene_lib.CLASSES:
    plain = counts[f'a {noun}'] + counts[f'a photo of a {noun}']
    assert plain > 0.004 * COUNT


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


def test_articles_agree():
  assert captions.article('orange dog') == 'an orange dog'
  assert captions.article('red dog') == 'a red dog'


def test_captions_repeat_with_their_generator():
  scene = jax.device_get(scene_lib.sample(jax.random.key(1)))
  texts = [captions.caption(scene, np.random.default_rng(7)) for _ in range(2)]
  assert texts[0] == texts[1]
