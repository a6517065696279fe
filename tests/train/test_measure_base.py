"""Truths of what the base stage is measured with.

Pictures here are of one pixel row that says which scene it shows, so a perfect
reader exists, and one that errs in a known way.
"""

import jax
import numpy as np
import pytest

from dbflax.toybox import captions, held_out, oracle, scene
from dbflax.train import measure_base, measure_table

COUNT = 60


def render(scenes):
  ids = [getattr(scenes, name) for name in oracle.QUESTIONS]
  return np.stack(ids, axis=-1).astype(np.float32)


def read(pictures):
  logits = {
    name: np.eye(len(words))[pictures[:, i].astype(int)]
    for i, (name, words) in enumerate(oracle.QUESTIONS.items())
  }
  return oracle.Reading(logits, None, None)


def read_badly(pictures):
  """Errs about every third picture, in all questions."""
  reading = read(pictures)
  wrong = pictures.sum(-1).astype(int) % 3 == 0
  err = lambda x: np.where(wrong[:, None], np.roll(x, 1, axis=-1), x)
  return reading._replace(logits=jax.tree.map(err, reading.logits))


@pytest.fixture(scope='module')
def worlds():
  """{held_out: the scenes that `measure` asks for}."""
  return {
    apart: measure_base.draw_scenes(jax.random.key(1), COUNT, held_out=apart)
    for apart in (False, True)
  }


@pytest.fixture
def known(worlds, monkeypatch):
  """Lets `measure` ask for the scenes of `worlds`."""
  monkeypatch.setattr(
    measure_base,
    'draw_scenes',
    lambda key, count, *, held_out: worlds[held_out],
  )
  return worlds


def _measure(draw, reader, apart=False):
  return measure_base.measure(
    draw, render, reader, seed=0, count=COUNT, held_out=apart
  )


@pytest.mark.parametrize('apart', [False, True])
def test_real_renders_as_samples_are_as_right_as_the_oracle(known, apart):
  draw = lambda prompts, keys: render(known[apart])
  perfect = _measure(draw, read, apart)
  assert set(perfect['values'].values()) == {1.0}
  bad = _measure(draw, read_badly, apart)
  assert bad['values'] == bad['renders']
  assert 0.4 < bad['values']['class'] < 0.95


def test_samples_that_show_anything_are_right_by_chance(known):
  rng = np.random.default_rng(0)
  sizes = [len(words) for words in oracle.QUESTIONS.values()]
  draw = lambda prompts, keys: rng.integers(0, sizes, (COUNT, len(sizes)))
  measured = _measure(draw, read)
  assert measured['values']['class'] < 0.3
  assert measured['values']['place'] < 0.3
  assert measured['values']['style'] < 0.45
  assert measured['renders']['class'] == 1


def test_another_place_is_wrong_only_where_one_was_named(known):
  moved = lambda s: s._replace(place_id=(s.place_id + 1) % len(scene.PLACES))
  draw = lambda prompts, keys: render(moved(known[False]))
  measured = _measure(draw, read)
  assert measured['values']['place'] == 0
  others = {k: v for k, v in measured['values'].items() if k != 'place'}
  assert set(others.values()) == {1.0}
  assert 0 < measured['scored']['place'] < COUNT
  for name in ('class', 'accessory', 'style'):
    assert measured['scored'][name] == COUNT
  assert _measure(draw, read, apart=True)['scored']['place'] == COUNT


def test_any_place_is_right_where_none_was_named(known):
  scenes = known[False]
  _, told = measure_base.write_prompts(scenes, seed=0)
  other = (scenes.place_id + 1) % len(scene.PLACES)
  place = np.where(told['place_id'], scenes.place_id, other)
  drawn = render(scenes._replace(place_id=place))
  measured = _measure(lambda prompts, keys: drawn, read)
  assert set(measured['values'].values()) == {1.0}


def test_confusion_says_what_was_drawn_instead(known):
  dogs = lambda s: s._replace(class_id=np.zeros_like(s.class_id))
  draw = lambda prompts, keys: render(dogs(known[False]))
  measured = _measure(draw, read)
  asked = np.bincount(known[False].class_id, minlength=len(scene.CLASSES))
  assert measured['confusion'] == {
    noun: {'dog': n} if n else {}
    for noun, n in zip(scene.CLASSES, asked.tolist(), strict=True)
  }
  assert measured['by_class']['dog']['class'] == 1
  assert measured['by_class']['cat']['class'] == 0


def test_a_place_is_told_if_its_words_are_in_the_caption(worlds):
  texts, told = measure_base.write_prompts(worlds[False], seed=0)
  rng = np.random.default_rng(0)
  # Asked so often, the grammar has said every place in all its words.
  words = [
    {captions.place(name, rng) for _ in range(300)} for name in scene.PLACES
  ]
  named = [
    any(phrase in text for phrase in words[place])
    for text, place in zip(texts, worlds[False].place_id, strict=True)
  ]
  np.testing.assert_array_equal(told['place_id'], named)
  assert 0 < np.mean(named) < 1


def test_a_view_is_told_unless_it_may_be_another(worlds):
  texts, told = measure_base.write_prompts(worlds[False], seed=0)
  back = np.isin(worlds[False].view_id, [2, 3])  # Always named.
  assert told['view_id'][back].all()
  named = ['from the' in text for text in texts]
  np.testing.assert_array_equal(told['view_id'][~back], np.array(named)[~back])


def test_held_out_prompts_ask_for_held_out_combinations(worlds):
  s = worlds[True]
  assert held_out.combination(
    s.class_id, s.place_id, s.accessory_id, s.style_id
  ).all()
  _, told = measure_base.write_prompts(s, seed=0, with_place=True)
  for name in ('class_id', 'place_id', 'accessory_id', 'style_id'):
    assert told[name].all()


@pytest.fixture(scope='module')
def plain():
  return measure_base.plain(jax.random.key(0), 'cat', 30)


def test_plain_scenes_are_all_that_the_plain_caption_may_mean(plain):
  assert (plain.class_id == scene.CLASSES.index('cat')).all()
  for name in ('style_id', 'accessory_id', 'expression_id', 'material_id'):
    assert not getattr(plain, name).any()
  assert {scene.VIEWS[i] for i in plain.view_id} == {'side', 'front'}
  assert len(np.unique(plain.place_id)) > 5
  assert len(np.unique(plain.individual, axis=0)) == 30


def test_spread_is_the_mean_over_all_pairs():
  values = np.random.default_rng(0).normal(size=13).astype(np.float32)
  pictures = values[:, None, None, None]  # 78 pairs: two batches.
  distance = lambda a, b: np.abs(a - b).reshape(-1)
  pairs = np.abs(values[:, None] - values)[np.triu_indices(13, 1)]
  assert measure_base.spread(pictures, distance) == pytest.approx(pairs.mean())


def test_diversity_of_equal_samples_is_none_and_of_renders_all(
  plain, monkeypatch
):
  monkeypatch.setattr(measure_base, 'plain', lambda *args: plain)
  # Pictures that differ as the individuals' main colours do.
  look = lambda scenes: scenes.individual[:, scene.PRIMARY]
  record = lambda draw: measure_base.diversity(
    draw, look, lambda a, b: np.abs(a - b).sum(-1), seed=0, count=30
  )
  measured = lambda draw: record(draw)['values']['of renders']
  assert measured(lambda prompts, keys: np.ones((30, 3))) == 0
  assert measured(lambda prompts, keys: look(plain)) == 1
  half = lambda prompts, keys: look(plain) / 2
  assert measured(half) == pytest.approx(0.5)
  line = 'diversity: of renders | 0.500 | ≥ 0.850 missed'
  assert line in measure_table.table({'diversity': record(half)})
