"""Noise schedules: x_t = alpha(t) x_0 + sigma(t) eps, alpha² + sigma² = 1.

Time counts schedule steps, as the networks are told it: t = 0 … T − 1, and
t = −1 is the clean image (alpha 1, sigma 0). Fractional times are legal, so
the same functions serve a continuous noise level. Everything else follows:

    log_snr(t) = log(alpha² / sigma²),   falling in t
    timestep(log_snr) inverts it

`from_config` reads the fields of a diffusers `scheduler_config.json`.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Time = Float[Array, '*B']


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Common part; subclasses give `variances` and `timestep`."""

  num_steps: int

  def variances(self, t: Time) -> tuple[Time, Time]:
    """(alpha², sigma²) at t in [−1, T − 1]."""
    raise NotImplementedError

  def timestep(self, log_snr: Time) -> Time:
    """The t in [−1, T − 1] at which `log_snr` is reached."""
    raise NotImplementedError

  def alpha(self, t: Time) -> Time:
    return jnp.sqrt(self.variances(t)[0])

  def sigma(self, t: Time) -> Time:
    return jnp.sqrt(self.variances(t)[1])

  def log_snr(self, t: Time) -> Time:
    """log(alpha² / sigma²); +inf at t = −1."""
    alpha2, sigma2 = self.variances(t)
    return jnp.log(alpha2) - jnp.log(sigma2)


@dataclasses.dataclass(frozen=True)
class Discrete(Schedule):
  """DDPM's schedule of `num_steps` betas, linear in alpha² between steps."""

  betas: tuple[float, ...] = ()

  def _table(self):
    """alpha² and sigma² at t = −1, 0, …, T − 1, computed in float64."""
    log_alpha2 = np.cumsum(np.log1p(-np.asarray(self.betas, np.float64)))
    log_alpha2 = np.concatenate([[0.0], log_alpha2])
    # −expm1 keeps sigma² exact where alpha² is close to one.
    return np.exp(log_alpha2), -np.expm1(log_alpha2)

  def variances(self, t: Time) -> tuple[Time, Time]:
    at = jnp.asarray(t, jnp.float32) + 1
    low = jnp.clip(jnp.floor(at), 0, self.num_steps - 1)
    frac = jnp.clip(at - low, 0, 1)
    low = low.astype(jnp.int32)
    # Exact at both ends: a + frac (b − a) would lose alpha² at the last step,
    # which is a thousandth of that before it.
    between = lambda table: (1 - frac) * table[low] + frac * table[low + 1]
    alpha2, sigma2 = (jnp.asarray(v, jnp.float32) for v in self._table())
    return between(alpha2), between(sigma2)

  def timestep(self, log_snr: Time) -> Time:
    alpha2, sigma2 = self._table()
    with np.errstate(divide='ignore'):
      table = (np.log(alpha2) - np.log(sigma2)).astype(np.float32)
    x = jnp.asarray(log_snr, jnp.float32)
    hi = jnp.clip(jnp.searchsorted(-table, -x), 1, self.num_steps)
    # Exact inverse: both are linear between steps, and the smaller of the two
    # is the one that float32 holds to full precision.
    along = lambda table, value: (
      (value - table[hi - 1]) / (table[hi] - table[hi - 1])
    )
    alpha2, sigma2 = (jnp.asarray(v, jnp.float32) for v in (alpha2, sigma2))
    frac = jnp.where(
      x > 0,
      along(sigma2, jax.nn.sigmoid(-x)),
      along(alpha2, jax.nn.sigmoid(x)),
    )
    frac = jnp.clip(frac, 0, 1)
    return hi.astype(jnp.float32) - 2 + frac


@dataclasses.dataclass(frozen=True)
class Cosine(Schedule):
  """Imagen's continuous cosine: alpha = cos(π/2 u), u = (t + 1) / T."""

  def variances(self, t: Time) -> tuple[Time, Time]:
    angle = jnp.pi / 2 * (jnp.asarray(t, jnp.float32) + 1) / self.num_steps
    return jnp.square(jnp.cos(angle)), jnp.square(jnp.sin(angle))

  def timestep(self, log_snr: Time) -> Time:
    angle = jnp.arctan(jnp.exp(-jnp.asarray(log_snr, jnp.float32) / 2))
    return angle * 2 / jnp.pi * self.num_steps - 1


def squaredcos_cap_v2(num_steps: int, max_beta: float = 0.999) -> Discrete:
  """The schedule of Improved DDPM and IF: alpha² ∝ cos²((u + .008)/1.008)."""
  alpha2 = lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
  betas = tuple(
    min(1 - alpha2((i + 1) / num_steps) / alpha2(i / num_steps), max_beta)
    for i in range(num_steps)
  )
  return Discrete(num_steps, betas)


def linear(num_steps: int, start: float, end: float) -> Discrete:
  return Discrete(num_steps, tuple(np.linspace(start, end, num_steps).tolist()))


_KINDS = {
  'squaredcos_cap_v2': lambda steps, start, end: squaredcos_cap_v2(steps),
  'linear': linear,
  # Ours, for training from scratch.
  'cosine': lambda steps, start, end: Cosine(steps),
}
KINDS = tuple(_KINDS)


def from_config(config: dict) -> Schedule:
  """The schedule of a `scheduler_config.json` whose kind is one of `KINDS`."""
  return _KINDS[config.get('beta_schedule', 'linear')](
    config.get('num_train_timesteps', 1000),
    config.get('beta_start', 1e-4),
    config.get('beta_end', 0.02),
  )
