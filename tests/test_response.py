"""The response to a text is the change that it makes, as training weighs it."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dog
from dbflax import job as job_lib
from dbflax import pretrained, response, workdir
from dbflax.diffusion import loss
from dbflax.text import identifiers

LENGTH, WIDTH = 3, 4


@pytest.fixture(scope='module')
def model():
  return pretrained.load(pretrained.ASSETS / 'tiny', ('stage_1',))


@pytest.fixture
def tiny(model):
  return model.stages['stage_1']


def saying(stage, answer):
  """The stage with a network that answers `answer(text)` everywhere."""

  def apply(params, x_t, t, text, label):
    said = answer(text) * params['params']['scale']
    # Its variance changes too, which is no prediction.
    return jnp.ones((*x_t.shape[:3], 6)) * said[:, None, None, None]

  return dataclasses.replace(stage, unet=types.SimpleNamespace(apply=apply))


def texts(*values):
  return [np.full((LENGTH, WIDTH), value, np.float32) for value in values]


def respond(stage, others, weighting='simple'):
  images = np.zeros((2, 8, 8, 3), np.float32)
  params = {'scale': jnp.float32(2)}
  plain, *rest = texts(1.0, *others)
  return response.of_texts(
    stage, weighting, params, images, rest, plain, seed=0
  )


def test_it_is_the_change_of_the_prediction(tiny):
  stage = saying(tiny, lambda text: text.mean(axis=(1, 2)))
  found = respond(stage, (1.0, 1.5, 0.0))
  np.testing.assert_allclose(found, [0, 1, 2], atol=1e-6)


def test_a_time_counts_as_training_weighs_it(tiny):
  stage = saying(tiny, lambda text: text.mean(axis=(1, 2)))
  steps = stage.schedule.num_steps
  times = jnp.floor((jnp.arange(8) + 0.5) * steps / 8)
  kind = stage.prediction_type
  weights = loss.weight(stage.schedule, kind, 'min_snr', times)
  [found] = respond(stage, (1.5,), 'min_snr')
  assert found == pytest.approx(float(jnp.sqrt(weights.mean())), rel=1e-5)
  assert abs(found - 1) > 0.1


def test_others_do_not_change_it(model, tiny):
  draw = np.random.default_rng(0).normal
  # The embedded ones answer the same to all.
  shapes = pretrained.abstract_params(model, 'stage_1')
  params = jax.tree.map(lambda leaf: draw(size=leaf.shape) / 8, shapes)
  images = draw(size=(2, 16, 16, 3)).astype(np.float32)
  plain, one, other = draw(size=(3, LENGTH, tiny.unet.encoder_hid_dim))
  of = lambda *texts: response.of_texts(
    tiny, 'simple', params, images, texts, plain, seed=0
  )
  alone = of(one)
  both = of(other, one)
  assert both[1] == alone[0] > 0
  assert both[0] != both[1]


@pytest.mark.slow
def test_the_embedded_base_responds_to_some_words_more(tmp_path):
  config = dog.get_config()
  config.cascade.stages = ('stage_1',)
  job = job_lib.start(config, workdir.Workdir(tmp_path))
  words = ('xz9nhro5r', 'svv', 'qsd', 'hzz')
  found = response.of_identifiers(
    job, [identifiers.Identifier(word, ()) for word in words]
  )
  # Caption cleaning deletes the first; docs/tuning.md has the others.
  np.testing.assert_allclose(found, [0, 0.00155, 0.00258, 0.00462], rtol=0.03)
