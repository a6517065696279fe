"""Truths of the oracle as a judge of pictures."""

import numpy as np
import pytest

from dbflax.data import images
from dbflax.evaluate import metrics, toybox
from dbflax.toybox import (
  oracle,
  scene,
)


def _reading(**answers):
  """What a sure oracle says of pictures: words by field."""
  [count] = {len(words) for words in answers.values()}
  logits = {
    field: np.eye(len(table))[
      [table.index(w) for w in answers.get(field, [table[0]] * count)]
    ]
    for field, table in oracle.QUESTIONS.items()
  }
  numbers = np.zeros((count, scene.INDIVIDUAL), np.float32)
  for row, colour in zip(numbers, answers.get('colour', ()), strict=False):
    row[scene.PRIMARY] = scene.COLOUR_TABLE[colour]
  return oracle.Reading(logits, numbers, None)


def test_only_what_a_prompt_names_is_asked_for():
  reading = _reading(
    class_id=['dog', 'cat', 'dog', 'dog'],
    place_id=['on the beach', 'on the beach', 'in the snow', 'in the snow'],
    colour=['red', 'blue', 'blue', 'red'],
  )
  found = toybox.answers(
    reading,
    ['a dog on the beach', 'a dog on the beach', 'a blue dog', 'something'],
  )
  nan = np.nan
  expected = {
    'prompt_fidelity': [1, 0.5, 1, nan],
    'prompt_fidelity/class': [1, 0, 1, nan],
    'prompt_fidelity/place': [1, 1, nan, nan],
    'prompt_fidelity/colour': [nan, nan, 1, nan],
    'prompt_fidelity/style': [nan] * 4,
  }
  for name, values in expected.items():
    np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.fixture(scope='module')
def network():
  return toybox.network()


@pytest.fixture(scope='module')
def photos():
  """{name: its photos} of the embedded subjects, uint8."""
  folder = oracle.FOLDER.parent / 'subjects'
  load = lambda name: [
    images.load(p) for p in images.list_photos(folder / name)
  ]
  return {name: load(name) for name in ('dog', 'teapot')}


def test_photos_fit_their_class_and_are_nearer_to_themselves(network, photos):
  seen = {name: network.embed(shown) for name, shown in photos.items()}
  across = metrics.similarity(seen['dog'], seen['teapot'])
  for name, vectors in seen.items():
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)
    assert metrics.self_similarity(vectors) > across + 0.3
    other = 'cat' if name == 'dog' else 'clock'
    said = [f'a photo of a {noun}' for noun in (name, other)]
    right, wrong = (
      network.fit(network.look(photos[name]), [text] * len(photos[name]))
      for text in said
    )
    assert right['prompt_fidelity/class'].mean() >= 0.8
    assert wrong['prompt_fidelity/class'].mean() <= 0.2
