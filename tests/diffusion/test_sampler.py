"""Samplers against the optimal denoiser of Gaussian data.

For data x_0 ~ N(m, s²) the best guess of the clean image, the probability-flow
solution and the true reverse process all have closed forms:

    E[x_0 | x_t] = m + s² alpha (x_t − alpha m) / V_t,  V_t = alpha² s² + sigma²
    x_s = alpha_s m + (x_t − alpha_t m) sqrt(V_s / V_t)
    p(x_s | x_t) = N(posterior mean of E[x_0 | x_t],
                     posterior variance + (alpha_s c)² s² sigma² / V_t)
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import process, sampler
from dbflax.diffusion import schedule as schedule_lib

DDPM = schedule_lib.squaredcos_cap_v2(1000)
COSINE = schedule_lib.Cosine(1000)
MEAN, STD = 0.4, 0.25


def _total(schedule, t):
  """V_t, the variance of x_t."""
  alpha2, sigma2 = schedule.variances(t)
  return alpha2 * STD**2 + sigma2


def _optimal(schedule):
  def denoise(x, t):
    t = process.per_image(t, x)
    alpha = schedule.alpha(t)
    gain = STD**2 * alpha / _total(schedule, t)
    return sampler.Denoised(MEAN + gain * (x - alpha * MEAN))

  return denoise


def _flow(schedule, x, t, s):
  """The probability-flow solution from time t to s."""
  ratio = jnp.sqrt(_total(schedule, s) / _total(schedule, t))
  return schedule.alpha(s) * MEAN + (x - schedule.alpha(t) * MEAN) * ratio


def _start(count=20_000):
  return jax.random.normal(jax.random.key(0), (count, 1, 1, 1))


def _noise(shape, seed=1):
  key = jax.random.key(seed)
  return lambda i: jax.random.normal(jax.random.fold_in(key, i), shape)


def _no_noise(i):
  raise AssertionError('a deterministic sampler drew noise')


@pytest.mark.parametrize('name', sampler.SAMPLERS)
def test_many_steps_draw_from_the_data(name):
  x = _start()
  times = sampler.grid(250, 1000, 'trailing')
  found = sampler.SAMPLERS[name](
    DDPM, _optimal(DDPM), x, _noise(x.shape), times
  )
  # Four standard errors of 20,000 samples, and the discretisation.
  assert abs(found.mean() - MEAN) < 0.01
  assert abs(found.std() - STD) < 0.01


def test_ddim_with_eta_one_draws_from_the_data():
  x = _start()
  times = sampler.grid(250, 1000, 'trailing')
  found = sampler.ddim(DDPM, _optimal(DDPM), x, _noise(x.shape), times, eta=1.0)
  assert abs(found.mean() - MEAN) < 0.01
  assert abs(found.std() - STD) < 0.01


def _with_variance(schedule, times):
  """The optimal denoiser that also knows the reverse variance, as a logit."""
  mean = _optimal(schedule)

  def denoise(x, t):
    s = jnp.asarray(times)[jnp.argmax(jnp.asarray(times) == t[0]) + 1]
    s = jnp.full_like(t, s)
    _, smallest, largest = process.posterior(schedule, x, x, t, s)
    t, s = process.per_image(t, x), process.per_image(s, x)
    c = -jnp.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    uncertain = STD**2 * schedule.sigma(t) ** 2 / _total(schedule, t)
    variance = jnp.exp(smallest) + (schedule.alpha(s) * c) ** 2 * uncertain
    frac = (jnp.log(variance) - smallest) / (largest - smallest)
    return mean(x, t.ravel())._replace(variance_logit=2 * frac - 1)

  return denoise


def test_a_learned_variance_makes_four_steps_exact():
  """The true reverse process of Gaussian data is Gaussian at any step."""
  x = _start()
  times = np.array([999, 600, 200, 30, 0, -1], np.float32)
  noise = _noise(x.shape)
  exact = sampler.ancestral(DDPM, _with_variance(DDPM, times), x, noise, times)
  assert abs(exact.mean() - MEAN) < 0.01
  assert abs(exact.std() - STD) < 0.01
  # Without it the same few steps lose variance: the logit is really used.
  small = sampler.ancestral(DDPM, _optimal(DDPM), x, noise, times)
  assert small.std() < STD - 0.03


@pytest.mark.parametrize('name', ['ddim', 'dpmpp_2m'])
def test_deterministic_samplers_follow_the_flow(name):
  """No noise enters, and x_T alone decides the image: it is the flow's."""
  x = _start(64)
  times = sampler.grid(200, 1000, 'trailing')
  noise = _noise(x.shape)

  @jax.jit  # One program for both, since two need not round alike.
  def run(scale):
    scaled = lambda i: scale * noise(i)
    return sampler.SAMPLERS[name](DDPM, _optimal(DDPM), x, scaled, times)

  found, again = run(0.0), run(1.0)
  np.testing.assert_array_equal(found, again)
  exact = _flow(DDPM, x, jnp.float32(999), jnp.float32(-1))
  np.testing.assert_allclose(found, exact, atol=0.02)


def _error(run, steps):
  """Largest distance from the flow, on a grid even in log SNR."""
  first, last = jnp.float32(900), jnp.float32(50)
  grid = jnp.linspace(COSINE.log_snr(first), COSINE.log_snr(last), steps + 1)
  times = np.asarray(COSINE.timestep(grid))
  x = _start(16)
  found = run(COSINE, _optimal(COSINE), x, lambda i: jnp.zeros_like(x), times)
  exact = _flow(COSINE, x, jnp.float32(times[0]), jnp.float32(times[-1]))
  return float(jnp.abs(found - exact).max())


@pytest.mark.parametrize(
  ('name', 'options', 'order'),
  [
    ('ddim', {}, 1),
    ('dpmpp_2m', {}, 2),
    ('dpmpp_2m', {'solver_type': 'heun'}, 2),
    ('dpmpp_2m', {'order': 1}, 1),
  ],
)
def test_the_error_falls_at_the_order_of_the_sampler(name, options, order):
  # More steps, and the second order would meet the rounding of float32.
  steps = np.array([64, 96, 128])
  run = functools.partial(sampler.SAMPLERS[name], **options)
  errors = np.log([_error(run, n) for n in steps])
  rates = -np.diff(errors) / np.diff(np.log(steps))
  np.testing.assert_allclose(rates, order, atol=0.2)


def test_dpmpp_of_one_step_is_ddim():
  """Both solve the first order exactly alike."""
  x = _start(16)
  times = np.array([700, 300], np.float32)
  run = lambda f: f(DDPM, _optimal(DDPM), x, lambda i: jnp.zeros_like(x), times)
  np.testing.assert_allclose(
    run(sampler.ddim), run(sampler.dpmpp_2m), atol=1e-5
  )


@pytest.mark.parametrize('name', sampler.SAMPLERS)
def test_a_denoiser_that_knows_the_image_gets_it(name):
  """All samplers end on the last x_0, to the last bit of noise."""
  image = jax.random.normal(jax.random.key(3), (2, 4, 4, 3))
  denoise = lambda x, t: sampler.Denoised(image)
  x = _start(96).reshape(image.shape)
  found = sampler.SAMPLERS[name](
    DDPM, denoise, x, _noise(x.shape), sampler.grid(7, 1000, 'trailing')
  )
  np.testing.assert_allclose(found, image, atol=1e-5)


@pytest.mark.parametrize('spacing', ['leading', 'trailing', 'linspace'])
@pytest.mark.parametrize('steps', [1, 7, 50, 1000])
def test_a_grid_falls_to_the_clean_image(spacing, steps):
  times = sampler.grid(steps, 1000, spacing)
  assert times.shape == (steps + 1,)
  assert (np.diff(times) < 0).all()
  assert times[0] <= 999
  assert times[-1] == -1


def test_trailing_begins_at_pure_noise():
  assert sampler.grid(9, 1000, 'trailing')[0] == 999
  assert sampler.grid(9, 1000, 'leading')[-2] == 0
