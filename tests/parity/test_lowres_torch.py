"""The lower image of a super-resolution stage against torch and diffusers."""

import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import lowres
from dbflax.diffusion import schedule as schedule_lib

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity


def _normal(seed, shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _torch(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def _numpy(x):
  return x.numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize(('low', 'high'), [(6, 24), (6, 6), (5, 33), (2, 8)])
def test_upsampling_equals_torch(low, high):
  x = _normal(5, (2, low, low, 3))
  expected = torch.nn.functional.interpolate(
    _torch(x), size=(high, high), mode='bilinear', align_corners=True
  )
  found = lowres.upsample(jnp.asarray(x), high)
  np.testing.assert_allclose(found, _numpy(expected), atol=1e-5)


@pytest.mark.parametrize('level', [0, 1, 10, 100, 250])
def test_conditioning_is_that_of_ifs_pipeline(level):
  """IFSuperResolutionPipeline: interpolate, add_noise at `noise_level`."""
  scheduler = diffusers.DDPMScheduler(beta_schedule='squaredcos_cap_v2')
  low, eps = _normal(6, (2, 6, 6, 3)), _normal(7, (2, 24, 24, 3))
  up = torch.nn.functional.interpolate(
    _torch(low), size=24, mode='bilinear', align_corners=True
  )
  expected = scheduler.add_noise(up, _torch(eps), torch.tensor([level] * 2))
  noised, label = lowres.condition(
    schedule_lib.squaredcos_cap_v2(1000),
    lowres.upsample(jnp.asarray(low), 24),
    eps,
    jnp.full(2, level / 1000),
  )
  np.testing.assert_allclose(noised, _numpy(expected), atol=1e-5)
  np.testing.assert_allclose(label, level, rtol=1e-6)
