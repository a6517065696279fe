"""The forward process, its posterior, and the three ways to predict.

    x_t = alpha x_0 + sigma eps              v = alpha eps − sigma x_0
    x_0 = (x_t − sigma eps) / alpha  = alpha x_t − sigma v
    q(x_s | x_t, x_0) = N(alpha_s ((1 − c) x_t / alpha_t + c x_0), sigma_s² c),
    c = 1 − exp(log_snr_t − log_snr_s),  s < t       (VDM, arXiv 2107.00630)

Times are [B] and broadcast over the image axes.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax.diffusion import schedule as schedule_lib

Image = Float[Array, 'B H W C']
Time = Float[Array, ' B']

PREDICTIONS = ('epsilon', 'v_prediction', 'sample')


def per_image(t: Time, x: Image) -> Float[Array, 'B 1 1 1']:
  """A value per image, shaped to multiply images."""
  return t.reshape((-1,) + (1,) * (x.ndim - 1))


def add_noise(
  schedule: schedule_lib.Schedule, x0: Image, eps: Image, t: Time
) -> Image:
  alpha2, sigma2 = schedule.variances(per_image(t, x0))
  return jnp.sqrt(alpha2) * x0 + jnp.sqrt(sigma2) * eps


def target(schedule, kind: str, x0: Image, eps: Image, t: Time) -> Image:
  """What a network of this prediction type should answer."""
  if kind == 'epsilon':
    return eps
  if kind == 'sample':
    return x0
  alpha2, sigma2 = schedule.variances(per_image(t, x0))
  return jnp.sqrt(alpha2) * eps - jnp.sqrt(sigma2) * x0


def to_x0(schedule, kind: str, prediction: Image, x_t: Image, t: Time) -> Image:
  """The clean image that a prediction stands for."""
  if kind == 'sample':
    return prediction
  alpha2, sigma2 = schedule.variances(per_image(t, x_t))
  alpha, sigma = jnp.sqrt(alpha2), jnp.sqrt(sigma2)
  if kind == 'epsilon':
    return (x_t - sigma * prediction) / alpha
  return alpha * x_t - sigma * prediction


def to_eps(schedule, x0: Image, x_t: Image, t: Time) -> Image:
  """The noise that leads from x_0 to x_t; t must not be −1."""
  alpha2, sigma2 = schedule.variances(per_image(t, x_t))
  return (x_t - jnp.sqrt(alpha2) * x0) / jnp.sqrt(sigma2)


def posterior(
  schedule, x0: Image, x_t: Image, t: Time, s: Time
) -> tuple[Image, Float[Array, 'B 1 1 1'], Float[Array, 'B 1 1 1']]:
  """(mean, log of the smallest, log of the largest variance) of x_s.

  The smallest is the posterior's own (beta tilde), the largest is that of
  q(x_t | x_s) (beta); a learned variance lies between (Improved DDPM).
  """
  t, s = per_image(t, x_t), per_image(s, x_t)
  ratio = jnp.exp(schedule.log_snr(t) - schedule.log_snr(s))
  c = -jnp.expm1(schedule.log_snr(t) - schedule.log_snr(s))
  mean = schedule.alpha(s) * (ratio * x_t / schedule.alpha(t) + c * x0)
  smallest = jnp.square(schedule.sigma(s)) * c
  largest = jnp.square(schedule.sigma(t)) * c
  log = lambda v: jnp.log(jnp.maximum(v, 1e-20))
  return mean, log(smallest), log(largest)


def log_variance(logit: Image, smallest, largest) -> Image:
  """learned_range: −1 … 1 moves between the two log variances."""
  frac = (logit + 1) / 2
  return frac * largest + (1 - frac) * smallest
