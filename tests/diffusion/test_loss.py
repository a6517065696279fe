"""Truths of the training loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import loss as loss_lib
from dbflax.diffusion import process
from dbflax.diffusion import schedule as schedule_lib

SCHEDULE = schedule_lib.squaredcos_cap_v2(1000)
T = jnp.array([0.0, 1.0, 5.0, 300.0, 700.0, 999.0])


def _images(seed, levels=256):
  """Images of whole 8-bit values, as photos are."""
  x = jax.random.randint(jax.random.key(seed), (len(T), 4, 4, 3), 0, levels)
  return x / 127.5 - 1


X0 = _images(0)
EPS = jax.random.normal(jax.random.key(1), X0.shape)


def _output(kind, error=0.0, logit=0.0):
  """A network's output: the perfect prediction plus `error`, and logits."""
  target = process.target(SCHEDULE, kind, X0, EPS, T)
  return jnp.concatenate([target + error, jnp.full(X0.shape, logit)], axis=-1)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _parts(output, kind='epsilon', weighting='simple'):
  return loss_lib.denoising(SCHEDULE, kind, weighting, output, X0, EPS, T)


@jax.jit
def _bits(x0, x_t, t, x0_hat, logit):
  return loss_lib.variational(SCHEDULE, x0, x_t, t, x0_hat, logit)


@pytest.mark.parametrize('kind', process.PREDICTIONS)
@pytest.mark.parametrize('weighting', loss_lib.WEIGHTINGS)
def test_a_perfect_prediction_has_no_error(kind, weighting):
  mse = _parts(_output(kind), kind, weighting)['mse']
  np.testing.assert_allclose(mse, jnp.zeros(len(T)), atol=1e-12)


def test_the_plain_error_is_the_mean_square():
  mse = _parts(_output('epsilon', error=0.3))['mse']
  np.testing.assert_allclose(mse, jnp.full(len(T), 0.09), rtol=1e-5)


@pytest.mark.parametrize('kind', process.PREDICTIONS)
def test_min_snr_weighs_the_clean_image_alike_in_all_units(kind):
  """w · (error in `kind`)² = min(snr, 5) · (error in x_0)²."""
  output = _output(kind, error=0.01)
  weighted = _parts(output, kind, 'min_snr')['mse']
  x_t = process.add_noise(SCHEDULE, X0, EPS, T)
  x0 = process.to_x0(SCHEDULE, kind, output[..., :3], x_t, T)
  clipped = jnp.minimum(jnp.exp(SCHEDULE.log_snr(T)), 5)
  expected = clipped * loss_lib.mse(x0, X0)
  # At t = 0 and 999 one of x_0 and eps drowns in the rounding of the other.
  inside = slice(1, -1)
  np.testing.assert_allclose(weighted[inside], expected[inside], rtol=0.02)


def test_min_snr_of_eps_is_that_of_the_paper():
  """min(snr, 5) / snr: 1 where noise is strong, small where it is weak."""
  w = loss_lib.weight(SCHEDULE, 'epsilon', 'min_snr', T)
  snr = np.exp(np.asarray(SCHEDULE.log_snr(T), np.float64))
  np.testing.assert_allclose(w, np.minimum(snr, 5) / snr, rtol=1e-4)
  assert w[0] < 0.01
  assert w[-1] == 1


def test_without_learned_variance_there_is_no_variational_term():
  vlb = _parts(_output('epsilon', error=0.5)[..., :3])['vlb']
  np.testing.assert_array_equal(vlb, jnp.zeros(len(T)))


@pytest.mark.parametrize('error', [0.0, 0.1, 2.0])
@pytest.mark.parametrize('logit', [-1.0, 0.0, 1.5])
def test_a_divergence_is_not_negative(error, logit):
  vlb = _parts(_output('epsilon', error, logit))['vlb']
  assert (vlb >= -1e-5).all()


def test_the_divergence_of_the_true_posterior_is_zero():
  """The right mean and logit −1 (the posterior's own variance), t > 0."""
  vlb = _parts(_output('epsilon', logit=-1.0))['vlb']
  np.testing.assert_allclose(vlb[1:], 0, atol=1e-4)


def test_the_divergence_is_that_of_two_gaussians():
  """The closed form in float64, in bits, for an error in x_0 at t = 300."""
  t, x_t = jnp.array([300.0]), X0[:1]
  logit = jnp.full_like(x_t, 0.4)
  found = _bits(X0[:1], x_t, t, X0[:1] + 0.2, logit)
  bar_t, bar_s = (
    np.float64(SCHEDULE.alpha(jnp.float32(i))) ** 2 for i in (300, 299)
  )
  beta = 1 - bar_t / bar_s
  true = (1 - bar_s) / (1 - bar_t) * beta
  model = true**0.3 * beta**0.7
  shift = np.sqrt(bar_s) * beta / (1 - bar_t) * 0.2
  nats = 0.5 * (np.log(model / true) + (true + shift**2) / model - 1)
  np.testing.assert_allclose(found[0], nats / np.log(2), rtol=2e-2)


def test_the_variational_term_trains_only_the_variance():
  def total(output):
    return _parts(output, 'v_prediction')['vlb'].sum()

  grad = jax.grad(total)(_output('v_prediction', error=0.1))
  assert not grad[..., :3].any()
  # Every time step has its say, t = 0 among them.
  assert (jnp.abs(grad[..., 3:]).max((1, 2, 3)) > 0).all()


def test_the_error_trains_only_the_prediction():
  total = lambda output: _parts(output)['mse'].sum()
  grad = jax.grad(total)(_output('epsilon', error=0.1))
  assert (jnp.abs(grad[..., :3]) > 0).all()
  assert not grad[..., 3:].any()


@pytest.mark.parametrize('logit', [-30.0, 30.0])
def test_loss_and_gradient_are_finite_at_both_ends(logit):
  kind = 'v_prediction'

  @jax.jit
  def total(output):
    return sum(value.sum() for value in _parts(output, kind).values())

  value, grad = jax.value_and_grad(total)(_output(kind, 3.0, logit))
  assert jnp.isfinite(value)
  assert jnp.isfinite(grad).all()


def test_the_likelihood_at_zero_counts_bits():
  """An 8-bit image takes at most 8 bits a channel under a flat model.

  A Gaussian on the right level costs next to nothing; one that is sure of a
  wrong level costs much, but is bounded by the floor of 1e-12.
  """
  t = jnp.zeros(len(T))
  x_t = process.add_noise(SCHEDULE, X0, EPS, t)
  logit = jnp.zeros_like(X0)
  cost = lambda x0: _bits(X0, x_t, t, x0, logit)
  right, wrong = cost(X0), cost(-X0)
  assert (right >= 0).all()
  assert (right < 3).all()
  assert (wrong > 8).all()
  assert (wrong < np.log2(1e12) + 1).all()


def test_probabilities_of_all_levels_sum_to_one():
  """Bits at t = 0 are those of a distribution over the 256 levels."""
  levels = (jnp.arange(256) / 127.5 - 1).reshape(256, 1, 1, 1)
  mean = jnp.full_like(levels, 0.31)
  bits = _bits(levels, levels, jnp.zeros(256), mean, jnp.ones_like(levels))
  np.testing.assert_allclose((2.0**-bits).sum(), 1, atol=1e-3)


def test_an_unknown_weighting_is_refused():
  with pytest.raises(ValueError, match='min_snr'):
    loss_lib.weight(SCHEDULE, 'epsilon', 'snr', jnp.ones(2))
