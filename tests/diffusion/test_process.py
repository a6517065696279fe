"""Truths of the forward process and its posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import process
from dbflax.diffusion import schedule as schedule_lib

SCHEDULE = schedule_lib.squaredcos_cap_v2(1000)
T = jnp.array([0.0, 1.0, 10.5, 400.0, 900.0])


def _normal(seed):
  return jax.random.normal(jax.random.key(seed), (len(T), 3, 2, 3))


X0, EPS = _normal(0), _normal(1)
X_T = process.add_noise(SCHEDULE, X0, EPS, T)


def _alpha_bar(t):
  """The cumulative product of DDPM in float64, from the published formula."""
  f = lambda u: np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
  u = np.arange(1001) / 1000
  betas = np.minimum(1 - f(u[1:]) / f(u[:-1]), 0.999)
  return np.concatenate([[1.0], np.cumprod(1 - betas)])[np.asarray(t) + 1]


@pytest.mark.parametrize('kind', process.PREDICTIONS)
def test_a_perfect_prediction_gives_the_clean_image(kind):
  target = process.target(SCHEDULE, kind, X0, EPS, T)
  x0 = process.to_x0(SCHEDULE, kind, target, X_T, T)
  np.testing.assert_allclose(x0, X0, atol=2e-5)


def test_noise_is_found_again():
  eps = process.to_eps(SCHEDULE, X0, X_T, T)
  # At t = 0 sigma is 0.0064, so rounding in x_t counts 150-fold.
  np.testing.assert_allclose(eps, EPS, atol=1e-4)


def test_the_three_predictions_are_one_line():
  """v = alpha eps − sigma x_0, and x_t is the other axis of that rotation."""
  v = process.target(SCHEDULE, 'v_prediction', X0, EPS, T)
  np.testing.assert_allclose(
    jnp.square(v) + jnp.square(X_T),
    jnp.square(X0) + jnp.square(EPS),
    rtol=1e-4,
    atol=1e-4,
  )


def test_each_image_gets_its_own_time():
  alone = process.add_noise(SCHEDULE, X0[2:3], EPS[2:3], T[2:3])
  np.testing.assert_array_equal(X_T[2:3], alone)


def test_no_noise_is_added_at_minus_one():
  clean = process.add_noise(SCHEDULE, X0, EPS, jnp.full(len(T), -1.0))
  np.testing.assert_array_equal(clean, X0)


@pytest.mark.parametrize(
  ('t', 's'),
  [(1, 0), (2, 1), (300, 299), (999, 998), (300, 100), (999, 0), (40, 37)],
)
def test_posterior_is_that_of_the_textbook(t, s):
  """DDPM eq. 7; a jump is a step whose alpha is the product over it."""
  bar_t, bar_s = _alpha_bar(t), _alpha_bar(s)
  alpha, beta = bar_t / bar_s, 1 - bar_t / bar_s
  x0, x_t = (np.asarray(x[:1], np.float64) for x in (X0, X_T))
  mean = (np.sqrt(bar_s) * beta * x0 + np.sqrt(alpha) * (1 - bar_s) * x_t) / (
    1 - bar_t
  )
  variance = (1 - bar_s) / (1 - bar_t) * beta
  found = process.posterior(
    SCHEDULE, X0[:1], X_T[:1], jnp.array([t * 1.0]), jnp.array([s * 1.0])
  )
  np.testing.assert_allclose(found[0], mean, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found[1].item(), np.log(variance), atol=1e-3)
  np.testing.assert_allclose(found[2].item(), np.log(beta), atol=1e-3)


def test_the_last_posterior_is_the_clean_image():
  t = jnp.array([0.0, 3.0, 100.0, 500.0, 999.0])
  mean, smallest, _ = process.posterior(
    SCHEDULE, X0, X_T, t, jnp.full(len(T), -1.0)
  )
  np.testing.assert_allclose(mean, X0, atol=1e-6)
  assert (jnp.exp(smallest) <= 1e-19).all()


def test_posterior_and_forward_process_agree():
  """Marginalising q(x_s | x_t, x_0) over x_t gives q(x_s | x_0)."""
  t, s = jnp.array([600.0]), jnp.array([250.0])
  mean = lambda x_t: process.posterior(SCHEDULE, X0[:1], x_t, t, s)[0]
  at_mean = mean(SCHEDULE.alpha(t) * X0[:1])
  np.testing.assert_allclose(at_mean, SCHEDULE.alpha(s) * X0[:1], rtol=1e-5)
  slope = (mean(jnp.ones_like(X0[:1])) - mean(jnp.zeros_like(X0[:1])))[0, 0, 0]
  smallest = process.posterior(SCHEDULE, X0[:1], X_T[:1], t, s)[1]
  variance = (slope * SCHEDULE.sigma(t)) ** 2 + jnp.exp(smallest).ravel()
  np.testing.assert_allclose(
    variance, jnp.broadcast_to(SCHEDULE.sigma(s) ** 2, 3), rtol=1e-4
  )


def test_log_variance_spans_the_two_bounds():
  smallest, largest = jnp.float32(-5.0), jnp.float32(-3.0)
  logits = jnp.array([-1.0, 0.0, 1.0])
  found = process.log_variance(logits, smallest, largest)
  np.testing.assert_allclose(found, [-5, -4, -3])
