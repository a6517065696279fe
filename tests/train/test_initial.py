"""A super-resolution stage starts as the enlargement of its lower image."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import toybox
from dbflax import cascade, errors, pretrained
from dbflax.models import unet as unet_lib
from dbflax.train import initial


def fresh(stage):
  """Parameters to start from, as pre-training makes them."""
  return jax.jit(functools.partial(initial.parameters, stage))(
    jax.random.key(0)
  )


@pytest.fixture(scope='module')
def enlarged():
  """(output, lower image, its noisy neighbour's output) of a fresh stage_2."""
  stage = pretrained.load('tiny', ('stage_2',)).stages['stage_2']
  params = fresh(stage)
  normal = lambda seed, *shape: jax.random.normal(jax.random.key(seed), shape)
  # As smooth and as bright as pictures are.
  low = jax.image.resize(normal(1, 2, 4, 4, 3), (2, 32, 32, 3), 'cubic') * 0.4
  text = normal(2, 2, 5, stage.unet.encoder_hid_dim)
  given = cascade.Conditioning(low, jnp.zeros(2))
  run = jax.jit(lambda x, t: cascade.network(stage, params, x, t, text, given))
  first = run(normal(3, 2, 32, 32, 3), jnp.array([10.0, 990.0]))
  other = run(normal(4, 2, 32, 32, 3), jnp.array([500.0, 700.0]))
  return np.asarray(first), np.asarray(low), np.asarray(other)


def test_the_prediction_is_the_enlarged_lower_image(enlarged):
  output, low, _ = enlarged
  error = np.square(output[..., :3] - low).mean() / np.square(low).mean()
  assert error < 0.02


def test_noise_and_time_do_not_matter_yet(enlarged):
  output, _, other = enlarged
  np.testing.assert_allclose(output[..., :3], other[..., :3], atol=0.05)


def test_the_variance_starts_in_the_middle(enlarged):
  output, _, _ = enlarged
  np.testing.assert_array_equal(output[..., 3:], 0)


def test_the_base_starts_at_zero():
  stage = pretrained.load('tiny', ('stage_1',)).stages['stage_1']
  params = fresh(stage)
  assert not np.any(params['conv_out']['kernel'])


def test_a_level_too_narrow_is_refused():
  files = toybox.get_config('tiny').architecture.to_dict()
  config = files['stage_2/unet/config'] | {'norm_num_groups': 2}
  stage = pretrained.load('tiny', ('stage_2',)).stages['stage_2']
  stage = dataclasses.replace(stage, unet=unet_lib.from_config(config))
  with pytest.raises(errors.UserError, match='8 channels in one norm group'):
    fresh(stage)
