"""Truths of the noise schedules."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import schedule as schedule_lib

SCHEDULES = {
  'squaredcos': schedule_lib.squaredcos_cap_v2(1000),
  'linear': schedule_lib.linear(1000, 1e-4, 0.02),
  'short': schedule_lib.squaredcos_cap_v2(50),
  'cosine': schedule_lib.Cosine(1000),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request):
  return SCHEDULES[request.param]


def _times(schedule):
  """Whole and fractional times, some between the clean image and step 0."""
  last = schedule.num_steps - 1
  rng = np.random.default_rng(0)
  near_clean = [-0.999, -0.9, -0.5, -0.1, 0.0, 0.3]
  times = np.concatenate([near_clean, rng.uniform(0, last, 40), [last]])
  return np.sort(times).astype(np.float32)


def test_alpha_and_sigma_lie_on_the_unit_circle(schedule):
  t = _times(schedule)
  circle = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
  np.testing.assert_allclose(circle, 1, atol=1e-6)


def test_log_snr_falls(schedule):
  assert (np.diff(schedule.log_snr(_times(schedule))) < 0).all()


def test_minus_one_is_the_clean_image(schedule):
  t = jnp.float32(-1)
  assert schedule.alpha(t) == 1
  assert schedule.sigma(t) == 0
  assert schedule.log_snr(t) == np.inf
  assert schedule.timestep(jnp.inf) == -1


def test_timestep_inverts_log_snr(schedule):
  t = _times(schedule)
  found = schedule.timestep(schedule.log_snr(t))
  np.testing.assert_allclose(found, t, atol=2e-3)


def test_squaredcos_is_the_published_formula():
  """alpha²(t) of Improved DDPM, eq. 17, with betas capped at 0.999."""
  f = lambda u: np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
  u = np.arange(1001) / 1000
  betas = np.minimum(1 - f(u[1:]) / f(u[:-1]), 0.999)
  alpha2 = np.cumprod(1 - betas)
  found_alpha2, found_sigma2 = SCHEDULES['squaredcos'].variances(
    np.arange(1000, dtype=np.float32)
  )
  np.testing.assert_allclose(found_alpha2, alpha2, rtol=1e-4)
  np.testing.assert_allclose(found_sigma2, 1 - alpha2, rtol=1e-4)


def test_linear_is_ddpms_formula():
  betas = np.linspace(1e-4, 0.02, 1000)
  alpha2, _ = SCHEDULES['linear'].variances(np.arange(1000, dtype=np.float32))
  np.testing.assert_allclose(alpha2, np.cumprod(1 - betas), rtol=1e-5)


def test_cosine_is_imagens_formula():
  t = np.array([0, 10.5, 499, 900], np.float32)
  expected = [math.cos(math.pi / 2 * (x + 1) / 1000) for x in t]
  np.testing.assert_allclose(SCHEDULES['cosine'].alpha(t), expected, rtol=1e-5)


@pytest.mark.parametrize(
  ('level', 'sigma'),
  [(0, 0.0064), (1, 0.0094), (10, 0.027), (100, 0.169), (250, 0.393)],
)
def test_noise_levels_of_deepfloyd_if(level, sigma):
  """Measured on IF's image_noising_scheduler; two or three digits are known."""
  found = SCHEDULES['squaredcos'].sigma(jnp.float32(level))
  np.testing.assert_allclose(found, sigma, rtol=0.02)


def test_whole_times_are_those_of_the_table():
  """Down to the last one, whose alpha² is a thousandth of that before it."""
  schedule = SCHEDULES['squaredcos']
  alpha2, _ = schedule.variances(np.arange(1000, dtype=np.float32))
  expected = np.cumprod(1 - np.asarray(schedule.betas))
  np.testing.assert_allclose(alpha2, expected, rtol=2e-7)


def test_between_two_steps_lies_their_mean_variance(schedule):
  """A fractional time is between its neighbours, not at one of them."""
  t = jnp.float32(9.5)
  below, above = schedule.sigma(t - 0.5) ** 2, schedule.sigma(t + 0.5) ** 2
  np.testing.assert_allclose(
    schedule.sigma(t) ** 2, (below + above) / 2, rtol=0.01
  )


def test_from_config_reads_diffusers_fields():
  squaredcos = schedule_lib.from_config(
    {'beta_schedule': 'squaredcos_cap_v2', 'num_train_timesteps': 50}
  )
  assert squaredcos == SCHEDULES['short']
  assert schedule_lib.from_config({}) == SCHEDULES['linear']
  cosine = schedule_lib.from_config({'beta_schedule': 'cosine'})
  assert cosine == SCHEDULES['cosine']
