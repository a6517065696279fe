"""Truths of what a super-resolution stage is given of the lower image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import lowres
from dbflax.diffusion import schedule as schedule_lib

SCHEDULE = schedule_lib.squaredcos_cap_v2(1000)


def _low(batch=3, size=8):
  return jax.random.normal(jax.random.key(0), (batch, size, size, 3))


def _ramp(size):
  """y, x and a product of both, from −1 to 1 at the aligned corners."""
  at = jnp.linspace(-1, 1, size)
  y, x = jnp.meshgrid(at, at, indexing='ij')
  return jnp.stack([y, x, y * x], axis=-1)[None]


@pytest.mark.parametrize(('low', 'high'), [(4, 16), (8, 31), (5, 5), (2, 7)])
def test_ramps_are_exact(low, high):
  """Bilinear interpolation with aligned corners knows no error on them."""
  found = lowres.upsample(_ramp(low), high)
  np.testing.assert_allclose(found, _ramp(high), atol=1e-6)


def test_the_corners_are_kept():
  low = _low()
  high = lowres.upsample(low, 32)
  corners = lambda x: x[:, :: x.shape[1] - 1, :: x.shape[2] - 1]
  np.testing.assert_allclose(corners(high), corners(low), atol=1e-6)


def test_an_image_of_one_pixel_becomes_that_colour():
  found = lowres.upsample(_low(size=1), 4)
  np.testing.assert_allclose(
    found, jnp.broadcast_to(_low(size=1), (3, 4, 4, 3)), atol=1e-6
  )


@pytest.mark.parametrize('corner', [(0, 0), (3, 17), (20, 20)])
def test_a_window_is_the_crop_of_the_whole(corner):
  y, x = corner
  whole = lowres.upsample(_low(), 32)
  found = lowres.upsample(_low(), 32, (y, x, 12))
  np.testing.assert_allclose(found, whole[:, y : y + 12, x : x + 12], atol=1e-5)


def test_each_image_has_its_own_window():
  y, x = jnp.array([0, 5, 20]), jnp.array([13, 0, 7])
  whole = lowres.upsample(_low(), 32)
  found = jax.jit(lambda y, x: lowres.upsample(_low(), 32, (y, x, 12)))(y, x)
  for i in range(3):
    crop = whole[i, y[i] : y[i] + 12, x[i] : x[i] + 12]
    np.testing.assert_allclose(found[i], crop, atol=1e-5)


def test_the_label_is_the_level_in_schedule_steps():
  level = jnp.array([0.0, 1e-5, 1e-3, 0.25, 1.0])
  label = lowres.label(SCHEDULE, level)
  np.testing.assert_allclose(label, [0, 0.01, 1, 250, 1000], rtol=1e-6)


def test_noise_is_continuous_in_the_level():
  """Levels between two schedule steps differ: nothing is rounded."""
  up, eps = jnp.zeros((50, 2, 2, 3)), jnp.ones((50, 2, 2, 3))
  level = jnp.linspace(0.0, 0.004, 50)
  sigma = lowres.condition(SCHEDULE, up, eps, level)[0][:, 0, 0, 0]
  assert (jnp.diff(sigma) > 0).all()
  assert jnp.diff(sigma).max() < 3 * (sigma[-1] - sigma[0]) / 49


def test_the_network_is_told_the_noise_that_was_added():
  up, eps = jnp.ones((4, 2, 2, 3)), jnp.full((4, 2, 2, 3), 0.5)
  noised, label = lowres.condition(
    SCHEDULE, up, eps, jnp.array([0.0, 0.0105, 0.1, 0.4])
  )
  expected = SCHEDULE.alpha(label) + 0.5 * SCHEDULE.sigma(label)
  np.testing.assert_allclose(noised[:, 0, 0, 0], expected, rtol=1e-6)


def test_level_one_is_noise_alone():
  up, eps = jnp.ones((1, 2, 2, 3)), jnp.full((1, 2, 2, 3), 0.5)
  noised, _ = lowres.condition(SCHEDULE, up, eps, jnp.ones(1))
  np.testing.assert_allclose(noised, eps, atol=1e-3)
