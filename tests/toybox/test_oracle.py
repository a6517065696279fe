"""Truths of the oracle's network, its files and how it is measured."""

import json

import jax
import numpy as np
import pytest

from dbflax import errors
from dbflax.toybox import held_out, oracle_check, scene
from dbflax.toybox import oracle as oracle_lib

NETWORK = oracle_lib.Network((8, 16), (1, 1), features=16, embedding=8)


@pytest.fixture(scope='module')
def oracle(random_params):
  shapes = jax.eval_shape(
    lambda key: oracle_lib.init(NETWORK, key), jax.random.key(0)
  )
  return oracle_lib.Oracle(NETWORK, random_params(shapes))


@pytest.fixture(scope='module')
def pictures():
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, (3, 64, 64, 3)).astype(np.float32)


def test_every_question_has_an_answer_for_every_word(oracle, pictures):
  reading = oracle_lib.read(oracle, pictures)
  shapes = {name: logits.shape for name, logits in reading.logits.items()}
  questions = oracle_lib.QUESTIONS.items()
  assert shapes == {name: (3, len(words)) for name, words in questions}
  assert reading.numbers.shape == (3, scene.INDIVIDUAL)
  lengths = np.linalg.norm(reading.identity, axis=-1)
  np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_a_picture_is_read_alike_in_any_company(oracle, pictures):
  many = np.tile(pictures, (25, 1, 1, 1))  # More than one batch.
  reading = oracle_lib.read(oracle, many)
  for part in jax.tree.leaves(jax.tree.map(lambda x: x[66:69], reading)):
    assert np.isfinite(part).all()
  alone = oracle_lib.read(oracle, pictures)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[66:69], b, atol=1e-5),
    reading,
    alone,
  )


def test_a_larger_picture_is_read_as_its_average(oracle, pictures):
  large = pictures.repeat(4, axis=1).repeat(4, axis=2)
  small, enlarged = (oracle_lib.read(oracle, x) for x in (pictures, large))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), small, enlarged
  )


@pytest.mark.parametrize('shape', [(1, 96, 96, 3), (1, 64, 128, 3)])
def test_other_sizes_are_refused(oracle, shape):
  with pytest.raises(ValueError, match='multiple'):
    oracle_lib.read(oracle, np.zeros(shape, np.float32))


def test_what_is_saved_is_loaded(oracle, pictures, tmp_path):
  oracle_lib.save(tmp_path / 'oracle', oracle)
  loaded = oracle_lib.load(tmp_path / 'oracle')
  assert loaded.network == oracle.network
  # Weights are kept in half precision.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
    loaded.params,
    oracle.params,
  )


def test_an_oracle_of_another_world_is_refused(oracle, tmp_path):
  folder = tmp_path / 'oracle'
  oracle_lib.save(folder, oracle)
  config = json.loads((folder / 'config.json').read_text())
  config['words']['place_id'].append('on the roof')
  (folder / 'config.json').write_text(json.dumps(config))
  with pytest.raises(errors.UserError, match=r'place_id.*toybox\.py:oracle'):
    oracle_lib.load(folder)


def test_right_answers_are_the_truth():
  keys = jax.random.split(jax.random.key(0), 5)
  scenes = jax.jit(jax.vmap(scene.sample))(keys)
  logits = {
    name: np.eye(len(words))[np.asarray(getattr(scenes, name))]
    for name, words in oracle_lib.QUESTIONS.items()
  }
  logits['class_id'] = np.roll(logits['class_id'], 1, axis=-1)
  right = oracle_lib.right(oracle_lib.Reading(logits, None, None), scenes)
  assert not right.pop('class_id').any()
  assert all(values.all() for values in right.values())


def test_portraits_are_of_unseen_individuals_in_scenes_of_their_own():
  count, photos = 2, 3
  shown = oracle_check.portraits(jax.random.key(1), count, photos)
  total = len(scene.CLASSES) * count
  numbers = np.asarray(shown.individual).reshape(total, photos, -1)
  assert (numbers == numbers[:, :1]).all()
  assert len(np.unique(numbers[:, 0], axis=0)) == total
  assert len(np.unique(shown.mood, axis=0)) == total * photos
  assert jax.vmap(scene.held_out)(shown).all()
  views = {scene.VIEWS[i] for i in np.unique(shown.view_id)}
  assert views == {'side', 'front'}
  assert not np.any(shown.style_id) and not np.any(shown.material_id)


def test_guessing_measures_as_guessing(oracle, monkeypatch):
  # Random pictures show nothing, so nothing needs to be drawn.
  noise = lambda scenes: jax.random.uniform(
    jax.random.key(0), (len(scenes.class_id), 64, 64, 3), minval=-1
  )
  # The compiled function and not what it calls: others would meet its trace.
  monkeypatch.setattr(oracle_check, '_render', noise)
  measured = oracle_check.measure(
    oracle, seed=0, scenes=50, individuals=2, photos=2
  )
  assert set(measured) == {*oracle_lib.QUESTIONS, 'identity'}
  assert measured['class_id'] < 0.4 and measured['place_id'] < 0.4
  assert 0.2 < measured['identity'] < 0.8


def test_questions_are_asked_about_held_out_scenes():
  keys = jax.random.split(jax.random.key(2), 20)
  asked = oracle_check._held_out(keys)
  assert jax.vmap(scene.held_out)(asked).all()
  fields = (asked.class_id, asked.place_id, asked.accessory_id, asked.style_id)
  assert held_out.combination(*fields).all()
