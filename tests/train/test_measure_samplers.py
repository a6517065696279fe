"""What is measured of samplers, on pictures of a single number: their class."""

import time

import numpy as np
import pytest

from dbflax.toybox import oracle, scene
from dbflax.train import measure_samplers

COUNT = 2
CHOICES = (('ancestral', 8), ('ddim', 4))


@pytest.fixture(autouse=True)
def truth(monkeypatch):
  """Plain scenes of every class; to sample some compiles for minutes."""
  plain = [np.zeros(COUNT * len(scene.CLASSES), int)] * len(scene.Scene._fields)
  class_id = np.repeat(np.arange(len(scene.CLASSES)), COUNT)
  scenes = scene.Scene(*plain)._replace(class_id=class_id)
  monkeypatch.setattr(measure_samplers, '_plain', lambda key, count: scenes)


def render(scenes):
  return np.asarray(scenes.class_id, np.float32)[:, None]


def read(pictures):
  """Sees the class, and all else as plain."""
  seen = {name: np.zeros(len(pictures), int) for name in oracle.QUESTIONS}
  seen['class_id'] = pictures[:, 0].astype(int)
  logits = {n: np.eye(len(oracle.QUESTIONS[n]))[v] for n, v in seen.items()}
  return oracle.Reading(logits, None, None)


def number(prompt):
  return scene.CLASSES.index(prompt.removeprefix('a photo of a '))


def draw_by(sampler, steps):
  """'ancestral' draws what is asked for; 'ddim' dogs, and takes its time."""

  def draw(prompts, keys):
    if sampler == 'ancestral':
      return np.array([[number(prompt)] for prompt in prompts], np.float32)
    time.sleep(0.01 * len(prompts))
    return np.full((len(prompts), 1), scene.CLASSES.index('dog'), np.float32)

  return draw


def measured(distance=None):
  return measure_samplers.measure(
    draw_by, render, read, distance, seed=0, count=COUNT, choices=CHOICES
  )['values']


def test_each_choice_is_right_as_often_as_it_is():
  values = measured()
  assert values['ancestral 8: right'] == 1
  assert values['ddim 4: right'] == pytest.approx(1 / len(scene.CLASSES))


def test_seconds_are_of_one_picture():
  values = measured()
  # Of all of them it would be twenty times as long.
  assert 0.01 <= values['ddim 4: seconds'] < 0.2
  assert values['ancestral 8: seconds'] < values['ddim 4: seconds']


def test_diversity_is_within_a_class_and_against_renders():
  apart = lambda one, other: 1 + 0 * (one - other)[:, 0]
  assert measured(apart)['ddim 4: diversity'] == 1
  # Pictures of one class are alike here, so renders are, too.
  of_classes = lambda one, other: 1 + abs(one - other)[:, 0]
  assert measured(of_classes)['ancestral 8: diversity'] == 1


def test_without_lpips_there_is_no_diversity():
  assert measured()['ancestral 8: diversity'] is None
