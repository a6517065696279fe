"""Truths of stages and cascades, on the tiny cascade."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import cascade
from dbflax.diffusion import lowres, sampler, scheduler


def _normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def fake_network(monkeypatch):
  """network(x, text) → prediction −1 … and a variance logit; calls counted.

  The answer depends on the text alone, so that guidance can be read off it.
  """
  calls = []

  def network(stage, params, x_t, t, text, conditioning):
    calls.append((x_t.shape, t.shape, conditioning))
    value = text.mean((1, 2))[:, None, None, None]
    return jnp.concatenate([value + 0 * x_t, 10 * value + 0 * x_t], -1)

  monkeypatch.setattr(cascade, 'network', network)
  return calls


def _denoise(stage, scale, conditioning=None):
  """A denoiser whose conditional answer is 0.2 and unconditional 0.1."""
  text, null = jnp.full((2, 4, 8), 0.2), jnp.full((4, 8), 0.1)
  denoise = cascade.denoiser(stage, {}, text, null, scale, conditioning)
  return denoise(jnp.zeros((2, 4, 4, 3)), jnp.full(2, 500.0))


@pytest.fixture
def v_stage(tiny):
  """A base stage that predicts v and has learned its variance."""
  stage = tiny.stages['stage_1']
  scheduler = dataclasses.replace(
    stage.scheduler,
    prediction_type='v_prediction',
    variance_type='learned_range',
  )
  return dataclasses.replace(stage, scheduler=scheduler)


def _v_to_x0(stage, v):
  """x_0 of a v prediction where x_t is zero."""
  return -stage.schedule.sigma(jnp.float32(500)) * v


def test_guidance_one_runs_the_network_once(v_stage, fake_network):
  found = _denoise(v_stage, 1)
  assert [shape[0] for shape, *_ in fake_network] == [2]
  np.testing.assert_allclose(found.x0, _v_to_x0(v_stage, 0.2), rtol=1e-5)


@pytest.mark.parametrize('scale', [0.0, 3.0, 7.0])
def test_guidance_moves_the_prediction_and_not_the_variance(
  v_stage, fake_network, scale
):
  """DeepFloyd IF: the variance is the conditional branch's own."""
  found = _denoise(v_stage, scale)
  guided = 0.1 + scale * 0.1
  np.testing.assert_allclose(found.x0, _v_to_x0(v_stage, guided), rtol=1e-4)
  np.testing.assert_allclose(found.variance_logit, 2.0, rtol=1e-5)


def test_both_branches_see_the_same_conditioning(tiny, fake_network):
  stage = tiny.stages['stage_2']
  given = cascade.Conditioning(_normal(0, 2, 4, 4, 3), jnp.array([1.0, 9.0]))
  _denoise(stage, 3.0, given)
  seen = fake_network[0][2]
  np.testing.assert_array_equal(seen.image[::2], seen.image[1::2])
  np.testing.assert_array_equal(seen.label, [1, 1, 9, 9])


def test_a_wild_prediction_is_thresholded(tiny, fake_network):
  for stage in tiny.stages.values():
    conditioning = None
    if stage.is_super_resolution:
      conditioning = cascade.Conditioning(jnp.zeros((2, 4, 4, 3)), jnp.ones(2))
    found = _denoise(stage, 1000.0, conditioning)
    assert jnp.abs(found.x0).max() <= 1.0001


@pytest.fixture(scope='module')
def sr(tiny, random_params, quick):
  """network(x, t, text, Conditioning) of stage 2, compiled once."""
  stage = tiny.stages['stage_2']
  shapes = jax.eval_shape(
    lambda k: cascade.init_stage(stage, k), jax.random.key(0)
  )
  params = random_params(shapes)

  def network(params, x, t, text, image, label):
    given = cascade.Conditioning(image, label)
    return cascade.network(stage, params, x, t, text, given)

  compiled = quick(network, params, *_sr_inputs())
  return lambda *args: np.asarray(compiled(params, *args))


def _sr_inputs():
  levels = np.array([0.01, 250], np.float32)
  return (
    *(_normal(0, 2, 8, 8, 3), np.array([10, 900], np.float32)),
    *(_normal(1, 2, 4, 96), _normal(2, 2, 8, 8, 3), levels),
  )


@pytest.mark.parametrize('number', [0, 1, 3, 4])
def test_super_resolution_depends_on_image_time_low_image_and_level(sr, number):
  inputs = list(_sr_inputs())
  before = sr(*inputs)
  inputs[number] = inputs[number] * np.float32(1.5) + np.float32(0.3)
  after = sr(*inputs)
  assert (np.abs(after - before).max((1, 2, 3)) > 1e-4).all()


def test_the_conditioning_comes_after_the_noised_image(sr):
  """Channels 0–2 are x_t, as in IF's weights: they may not be swapped."""
  x, t, text, image, label = _sr_inputs()
  swapped = sr(image, t, text, x, label)
  assert np.abs(swapped - sr(x, t, text, image, label)).max() > 1e-3


def test_condition_is_that_of_lowres(tiny):
  stage, low = tiny.stages['stage_2'], _normal(0, 2, 16, 16, 3)
  eps, level = _normal(1, 2, 32, 32, 3), jnp.array([0.0, 0.2])
  found = cascade.condition(stage, low, eps, level)
  image, label = lowres.condition(
    stage.lowres_schedule, lowres.upsample(low, 32), eps, level
  )
  np.testing.assert_array_equal(found.image, image)
  np.testing.assert_array_equal(found.label, label)


def test_an_image_is_the_same_in_any_batch():
  """Its noise depends on its own key only."""
  keys = jax.random.split(jax.random.key(0), 4)
  noise = lambda keys: cascade.image_noise(keys, (3, 3, 3), 'steps')(5)
  np.testing.assert_array_equal(noise(keys)[2:], noise(keys[2:]))
  streams = [
    cascade.image_noise(keys, (3,), name)(step)
    for name, step in (('steps', 0), ('steps', 1), ('start', 0))
  ]
  assert len({float(s[0, 0]) for s in streams}) == 3


def test_denoiser_grid_and_sampler_fit_each_other(v_stage, fake_network):
  """v = 0 means standing still; a DDIM step turns by cos of its angle."""
  stage = v_stage
  text, null = jnp.zeros((2, 4, 8)), jnp.zeros((4, 8))
  denoise = cascade.denoiser(stage, {}, text, null, 1.0)
  x = 0.1 * _normal(0, 2, 16, 16, 3)
  times = sampler.grid(20, 1000, 'trailing')
  found = sampler.ddim(stage.schedule, denoise, x, lambda i: 0 * x, times)
  angle = np.arctan2(stage.schedule.sigma(times), stage.schedule.alpha(times))
  expected = x * np.prod(np.cos(np.diff(angle)))
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sampler_scheduler_is_the_one_of_the_file(tiny, fake_network):
  config = {'_class_name': 'DPMSolverMultistepScheduler'}
  stage = dataclasses.replace(
    tiny.stages['stage_1'], scheduler=scheduler.from_config(config)
  )
  keys = jax.random.split(jax.random.key(0), 2)

  def draw(name):
    sample = cascade.make_sampler(stage, cascade.Sampling(name, 3))
    return sample({}, jnp.full((2, 4, 8), 0.2), jnp.zeros((4, 8)), keys)

  np.testing.assert_array_equal(draw('scheduler'), draw('dpmpp_2m'))
  assert jnp.abs(draw('scheduler') - draw('ddim')).max() > 1e-3
