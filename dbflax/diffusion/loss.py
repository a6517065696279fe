"""The training loss of one batch, per image.

    L = w(t) ‖prediction − target‖² + vlb            (DreamBooth eq. 1, IDDPM)

The variational term trains the learned variance only: it sees the mean
through a stop-gradient, as in Improved DDPM (arXiv 2102.09672, section 3.1).
"""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float

from dbflax.diffusion import process

Image = Float[Array, 'B H W C']
PerImage = Float[Array, ' B']

WEIGHTINGS = ('simple', 'min_snr')


def weight(schedule, kind: str, weighting: str, t: PerImage) -> PerImage:
  """w(t): 1, or min(snr, 5) on x_0 in the units of `kind` (2303.09556)."""
  if weighting not in WEIGHTINGS:
    raise ValueError(f'weighting {weighting!r} is not one of {WEIGHTINGS}')
  if weighting == 'simple':
    return jnp.ones_like(t)
  snr = jnp.exp(schedule.log_snr(t))
  units = {'epsilon': snr, 'v_prediction': snr + 1, 'sample': 1.0}[kind]
  return jnp.minimum(snr, 5.0) / units


def mse(a: Image, b: Image) -> PerImage:
  return jnp.square(a - b).mean(axis=tuple(range(1, a.ndim)))


def variational(
  schedule, x0: Image, x_t: Image, t: PerImage, x0_hat: Image, logit: Image
) -> PerImage:
  """KL(q(x_{t−1} | x_t, x_0) ‖ p) in bits per dimension; NLL at t = 0."""
  true_mean, _, largest = process.posterior(schedule, x0, x_t, t, t - 1)
  # At t = 0 the posterior has no variance; IDDPM lends it that of t = 1.
  t1 = jnp.maximum(t, 1)
  _, smallest, _ = process.posterior(schedule, x0, x_t, t1, t1 - 1)
  mean, _, _ = process.posterior(schedule, x0_hat, x_t, t, t - 1)
  mean = jax.lax.stop_gradient(mean)
  logvar = process.log_variance(logit, smallest, largest)
  kl = 0.5 * (
    logvar
    - smallest
    + jnp.exp(smallest - logvar)
    + jnp.square(true_mean - mean) * jnp.exp(-logvar)
    - 1
  )
  nll = -_discretized_log_likelihood(x0, mean, 0.5 * logvar)
  bits = jnp.where(process.per_image(t, x0) < 1, nll, kl) / jnp.log(2.0)
  return bits.mean(axis=tuple(range(1, x0.ndim)))


def _discretized_log_likelihood(x: Image, mean: Image, log_scale: Image):
  """log p(x) of images quantised to 256 levels in [−1, 1] under a Gaussian."""
  inv = jnp.exp(-log_scale)
  upper = jsp.stats.norm.cdf(inv * (x - mean + 1 / 255))
  lower = jsp.stats.norm.cdf(inv * (x - mean - 1 / 255))
  upper = jnp.where(x > 0.999, 1.0, upper)
  lower = jnp.where(x < -0.999, 0.0, lower)
  return jnp.log(jnp.maximum(upper - lower, 1e-12))


def denoising(
  schedule,
  kind: str,
  weighting: str,
  output: Float[Array, 'B H W 2C'],
  x0: Image,
  eps: Image,
  t: PerImage,
) -> dict[str, PerImage]:
  """Loss parts of a network's output: 'mse' (weighted) and 'vlb'.

  `output` has C channels (no learned variance: 'vlb' is zero) or 2C.
  """
  channels = x0.shape[-1]
  prediction = output[..., :channels]
  error = mse(prediction, process.target(schedule, kind, x0, eps, t))
  parts = {'mse': weight(schedule, kind, weighting, t) * error}
  if output.shape[-1] == channels:
    return {**parts, 'vlb': jnp.zeros_like(error)}
  x_t = process.add_noise(schedule, x0, eps, t)
  x0_hat = process.to_x0(schedule, kind, prediction, x_t, t)
  logit = output[..., channels:]
  return {
    **parts,
    'vlb': variational(schedule, x0, x_t, t, x0_hat, logit),
  }
