"""Truths of guidance and thresholding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import guidance, process
from dbflax.diffusion import schedule as schedule_lib


def _normal(seed, scale=1.0):
  return scale * jax.random.normal(jax.random.key(seed), (3, 8, 8, 3))


def test_scale_one_is_the_conditional_prediction():
  found = guidance.combine(_normal(0), _normal(1), 1.0)
  np.testing.assert_allclose(found, _normal(0), atol=1e-6)


def test_scale_zero_is_the_unconditional_prediction():
  found = guidance.combine(_normal(0), _normal(1), 0.0)
  np.testing.assert_array_equal(found, _normal(1))


def test_guidance_moves_away_from_the_unconditional():
  found = guidance.combine(_normal(0), _normal(1), 7.0)
  np.testing.assert_allclose(
    found - _normal(0), 6 * (_normal(0) - _normal(1)), rtol=1e-3, atol=1e-4
  )


def test_it_does_not_matter_in_which_units_guidance_is_done():
  """Guided v and guided eps stand for the same clean image."""
  schedule = schedule_lib.squaredcos_cap_v2(1000)
  t, x_t = jnp.array([50.0, 300.0, 600.0]), _normal(2)
  x0 = {}
  for kind in process.PREDICTIONS:
    predict = lambda x, kind=kind: process.target(
      schedule, kind, x, process.to_eps(schedule, x, x_t, t), t
    )
    guided = guidance.combine(predict(_normal(0)), predict(_normal(1)), 3.0)
    x0[kind] = process.to_x0(schedule, kind, guided, x_t, t)
  np.testing.assert_allclose(x0['epsilon'], x0['sample'], atol=1e-3)
  np.testing.assert_allclose(x0['v_prediction'], x0['sample'], atol=1e-3)


def test_threshold_leaves_an_image_in_range_alone():
  x = jnp.clip(_normal(0), -1, 1)
  found = guidance.dynamic_threshold(x, 0.95, 1.5)
  np.testing.assert_array_equal(found, x)


def test_thresholded_images_lie_in_range():
  found = guidance.dynamic_threshold(_normal(0, 4.0), 0.9, 100.0)
  assert jnp.abs(found).max() == 1


def test_below_the_quantile_threshold_only_scales():
  """5 % of the values saturate; the rest keep their ratios."""
  x = _normal(0, 2.0)
  found = guidance.dynamic_threshold(x, 0.95, 100.0)
  inside = np.asarray(jnp.abs(found) < 0.999)
  assert abs(inside.mean() - 0.95) < 0.01
  ratio = np.asarray(found / x)
  for image, mask in zip(ratio, inside, strict=True):
    np.testing.assert_allclose(image[mask], image[mask][0], rtol=1e-5)


def test_each_image_has_its_own_threshold():
  x = jnp.concatenate([_normal(0, 5.0)[:1], _normal(1, 0.2)[:1]])
  found = guidance.dynamic_threshold(x, 0.95, 100.0)
  np.testing.assert_array_equal(found[1], x[1])
  alone = guidance.dynamic_threshold(x[:1], 0.95, 100.0)
  np.testing.assert_allclose(found[:1], alone, rtol=1e-6)


def test_the_largest_threshold_is_kept():
  x = _normal(0, 10.0)
  found = guidance.dynamic_threshold(x, 0.95, 1.5)
  np.testing.assert_allclose(found, jnp.clip(x, -1.5, 1.5) / 1.5, rtol=1e-6)


def test_a_largest_value_of_one_is_clipping():
  x = _normal(0, 3.0)
  found = guidance.dynamic_threshold(x, 0.95, 1.0)
  np.testing.assert_array_equal(found, jnp.clip(x, -1, 1))


@pytest.mark.parametrize('quantile', [0.0, 0.1234, 0.5, 0.995, 1.0])
@pytest.mark.parametrize('round_to', [0.0, 0.5])
def test_the_threshold_is_the_quantile(quantile, round_to):
  """With and without values that are there many times, zero among them."""
  x = 1 + jnp.abs(_normal(0, 3.0))
  if round_to:
    x = jnp.round(_normal(0, 3.0) / round_to) * round_to
  found = guidance.dynamic_threshold(x, quantile, 100.0)
  expected = np.quantile(np.abs(x), quantile, axis=(1, 2, 3), keepdims=True)
  s = np.maximum(expected, 1)
  np.testing.assert_allclose(found, np.clip(x, -s, s) / s, rtol=1e-6)
