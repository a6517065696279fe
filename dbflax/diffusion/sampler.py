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


SPACINGS = ('leading', 'trailing', 'linspace')


def grid(
  num_steps: int,
  schedule_steps: int,
  spacing: str = 'leading',
  offset: int = 0,
  used: int | None = None,
) -> np.ndarray:
  """Times of `num_steps` steps, falling, with −1 at the end: [num_steps + 1].

  'leading' (diffusers' default, IF): multiples of T // n, plus `offset`.
  'trailing' begins at T − 1, better for few steps. 'linspace' spans
  0 … T − 1. Only the first `used` of the T `schedule_steps` are gone through.
  """
  t, n = schedule_steps if used is None else used, num_steps
  times = {
    'leading': lambda: np.arange(n)[::-1] * (t // n) + offset,
    'trailing': lambda: np.round(np.arange(t, 0, -schedule_steps / n))[:n] - 1,
    'linspace': lambda: np.linspace(0, t - 1, n)[::-1].round(),
  }[spacing]()
  return np.append(times, -1).astype(np.float32)


def karras(num_steps: int, schedule, rho: float = 7.0) -> np.ndarray:
  """Times whose sigma / alpha is spaced as EDM's (2206.00364, eq. 5).

  From T − 1 down to 0, most of them fractional, and −1: [num_steps + 1].
  """
  ends = np.array([schedule.num_steps - 1, 0], np.float32)
  first, last = np.exp(-np.asarray(schedule.log_snr(ends), np.float64) / 2)
  ramp = np.linspace(first ** (1 / rho), last ** (1 / rho), num_steps)
  times = np.asarray(schedule.timestep(-2 * rho * np.log(ramp)))
  times = np.clip(times, 0, schedule.num_steps - 1)
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
    x = jnp.sqrt(alpha2) * x0 + direction
    # A compiler cannot know that var is 0, and would draw for nothing.
    return x + jnp.sqrt(var) * noise(i) if eta else x

  return _scan(step, x, times)


def dpmpp_2m(
  schedule,
  denoise: Denoiser,
  x: Image,
  noise: Noise,
  times,
  order: int = 2,
  solver_type: str = 'midpoint',
  first_order_end: bool = False,
) -> Image:
  """DPM-Solver++(2M) (2211.01095, algorithm 2), deterministic.

    lam = log(alpha / sigma),  h = lam_s − lam_t,  phi = 1 − e^−h
    x_s = sigma_s / sigma_t x_t + alpha_s (phi x_0 + w dx_0 / dlam)

  with w = h phi / 2 (midpoint, the paper's) or h − phi (heun: the integral of
  the slope, exactly). The first step is of first order, w = 0; so is a step to
  the clean image, and the last one if `first_order_end`.
  """
  del noise
  half = lambda t: 0.5 * schedule.log_snr(t)
  seconds = np.full(len(times) - 1, order == 2)
  seconds[0] = False
  seconds[-1] &= not first_order_end and times[-1] >= 0

  def step(carry, t, s, i):
    x, x0_before, h_before = carry
    x0 = denoise(x, jnp.full(x.shape[:1], t)).x0
    h = half(s) - half(t)
    phi = -jnp.expm1(-h)
    w = {'midpoint': h * phi / 2, 'heun': h - phi}[solver_type]
    w = jnp.where(jnp.asarray(seconds)[i], w, 0.0)
    d = phi * x0 + w * (x0 - x0_before) / h_before
    x = schedule.sigma(s) / schedule.sigma(t) * x + schedule.alpha(s) * d
    return x, x0, h

  carry = (x, jnp.zeros_like(x), jnp.ones(()))
  return _scan(step, carry, times)[0]


SAMPLERS = {'ancestral': ancestral, 'ddim': ddim, 'dpmpp_2m': dpmpp_2m}
