"""Samplers: x_T → x_0 in one `lax.scan`, against any denoiser.

A denoiser is a function of arrays, `denoise(x_t, t) → Denoised`, with x_t
[B, H, W, C] and t [B]. It has guidance and thresholding inside; a sampler
knows no network. Times run down a grid that ends at −1, the clean image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax.diffusion import process

Image = Float[Array, 'B H W C']


class Denoised(NamedTuple):
  """What a denoiser answers."""

  x0: Image
  variance_logit: Image | None = None  # learned_range, −1 … 1


Denoiser = Callable[[Image, Float[Array, ' B']], Denoised]
# Fresh standard noise, in the shape of x, for a step (a traced int).
Noise = Callable[[Array], Image]


def grid(num_steps: int, schedule_steps: int, spacing: str = 'leading'):
  """Times of `num_steps` steps, falling, with −1 at the end: [num_steps + 1].

  'leading' (diffusers' default, IF): multiples of T // n. 'trailing' begins
  at T − 1, better for few steps. 'linspace' spans 0 … T − 1.
  """
  t, n = schedule_steps, num_steps
  times = {
    'leading': lambda: np.arange(n)[::-1] * (t // n),
    'trailing': lambda: np.round(np.arange(t, 0, -t / n))[:n] - 1,
    'linspace': lambda: np.linspace(0, t - 1, n)[::-1].round(),
  }[spacing]()
  return np.append(times, -1).astype(np.float32)


def _scan(step, carry, times):
  """Runs step(carry, t, s, i) over neighbouring times."""
  pairs = (times[:-1], times[1:], np.arange(len(times) - 1))
  body = lambda carry, pair: (step(carry, *map(jnp.asarray, pair)), None)
  return jax.lax.scan(body, carry, pairs)[0]


def ancestral(
  schedule, denoise: Denoiser, x: Image, noise: Noise, times
) -> Image:
  """DDPM's reverse process, with the learned variance where there is one."""

  def step(x, t, s, i):
    t, s = (jnp.full(x.shape[:1], v) for v in (t, s))
    out = denoise(x, t)
    mean, smallest, largest = process.posterior(schedule, out.x0, x, t, s)
    logvar = smallest
    if out.variance_logit is not None:
      logvar = process.log_variance(out.variance_logit, smallest, largest)
    # The last step lands on the clean image and adds nothing.
    std = jnp.where(process.per_image(s, x) < 0, 0.0, jnp.exp(0.5 * logvar))
    return mean + std * noise(i)

  return _scan(step, x, times)


def ddim(
  schedule, denoise: Denoiser, x: Image, noise: Noise, times, eta: float = 0.0
) -> Image:
  """DDIM (2010.02502, eq. 12); eta 0 is deterministic, 1 is DDPM."""

  def step(x, t, s, i):
    t, s = (jnp.full(x.shape[:1], v) for v in (t, s))
    x0 = denoise(x, t).x0
    eps = process.to_eps(schedule, x0, x, t)
    _, smallest, _ = process.posterior(schedule, x0, x, t, s)
    at_end = process.per_image(s, x) < 0
    var = jnp.where(at_end, 0.0, eta**2 * jnp.exp(smallest))
    alpha2, sigma2 = schedule.variances(process.per_image(s, x))
    direction = jnp.sqrt(jnp.maximum(sigma2 - var, 0)) * eps
    return jnp.sqrt(alpha2) * x0 + direction + jnp.sqrt(var) * noise(i)

  return _scan(step, x, times)


def dpmpp_2m(
  schedule, denoise: Denoiser, x: Image, noise: Noise, times
) -> Image:
  """DPM-Solver++(2M) (2211.01095, algorithm 2), deterministic.

  lam = log(alpha / sigma); the first step and the last are of first order.
  """
  del noise
  half = lambda t: 0.5 * schedule.log_snr(t)

  def step(carry, t, s, i):
    x, x0_before, h_before = carry
    x0 = denoise(x, jnp.full(x.shape[:1], t)).x0
    h = half(s) - half(t)
    second_order = (i > 0) & (s >= 0)
    slope = jnp.where(second_order, h / (2 * h_before), 0.0)
    d = jnp.where(second_order, x0 + slope * (x0 - x0_before), x0)
    ratio = schedule.sigma(s) / schedule.sigma(t)
    x = ratio * x - schedule.alpha(s) * jnp.expm1(-h) * d
    return x, x0, h

  carry = (x, jnp.zeros_like(x), jnp.ones(()))
  return _scan(step, carry, times)[0]


SAMPLERS = {'ancestral': ancestral, 'ddim': ddim, 'dpmpp_2m': dpmpp_2m}
