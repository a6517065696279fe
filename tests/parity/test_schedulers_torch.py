"""Schedules, grids, samplers and upsampling against diffusers and torch."""

import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import guidance, lowres, process, sampler
from dbflax.diffusion import schedule as schedule_lib

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity

# What DeepFloyd IF publishes, but for the thresholding.
CONFIG = {
  'num_train_timesteps': 1000,
  'beta_schedule': 'squaredcos_cap_v2',
  'prediction_type': 'epsilon',
}
SCHEDULE = schedule_lib.from_config(CONFIG)
SHAPE = (2, 6, 6, 3)


def _normal(seed, shape=SHAPE):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _torch(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def _numpy(x):
  return x.numpy().transpose(0, 2, 3, 1)


def _eps(x, t):
  """A made-up network, in numpy, jax or torch: smooth in image and time."""
  return 0.8 * x + 0.1 * x * x - 0.0002 * t


@pytest.mark.parametrize('kind', ['squaredcos_cap_v2', 'linear'])
def test_variances_equal_diffusers(kind):
  scheduler = diffusers.DDPMScheduler(beta_schedule=kind)
  schedule = schedule_lib.from_config(dict(scheduler.config))
  alpha2, _ = schedule.variances(np.arange(1000, dtype=np.float32))
  # diffusers multiplies its alphas up in float32.
  np.testing.assert_allclose(
    alpha2, scheduler.alphas_cumprod.numpy(), rtol=1e-3, atol=1e-6
  )


def test_noised_images_and_targets_equal_diffusers():
  scheduler = diffusers.DDPMScheduler(**CONFIG)
  x0, eps = _normal(0), _normal(1)
  t = torch.tensor([3, 870])
  times = jnp.asarray(t.numpy(), jnp.float32)
  noised = scheduler.add_noise(_torch(x0), _torch(eps), t)
  found = process.add_noise(SCHEDULE, x0, eps, times)
  np.testing.assert_allclose(found, _numpy(noised), atol=1e-5)
  v = scheduler.get_velocity(_torch(x0), _torch(eps), t)
  found = process.target(SCHEDULE, 'v_prediction', x0, eps, times)
  np.testing.assert_allclose(found, _numpy(v), atol=1e-5)


@pytest.mark.parametrize('spacing', ['leading', 'trailing', 'linspace'])
@pytest.mark.parametrize('steps', [1, 7, 32, 50, 100, 333])
def test_grids_equal_diffusers(spacing, steps):
  scheduler = diffusers.DDPMScheduler(**CONFIG, timestep_spacing=spacing)
  scheduler.set_timesteps(steps)
  found = sampler.grid(steps, 1000, spacing)
  np.testing.assert_array_equal(found[:-1], scheduler.timesteps.numpy())


def _denoiser(thresholding, learned):
  """The made-up network with thresholding, as a sampler wants it."""

  def denoise(x, t):
    eps = _eps(x, process.per_image(t, x))
    x0 = process.to_x0(SCHEDULE, 'epsilon', eps, x, t)
    if thresholding:
      x0 = guidance.dynamic_threshold(x0, 0.95, 1.5)
    return sampler.Denoised(x0, 0.3 * x if learned else None)

  return denoise


@pytest.mark.parametrize(
  ('variance', 'thresholding'),
  [('fixed_small', False), ('learned_range', False), ('learned_range', True)],
)
def test_ancestral_sampling_equals_ddpm(variance, thresholding):
  """Ten jumps of IF's scheduler, with the same noise on both sides."""
  scheduler = diffusers.DDPMScheduler(
    **CONFIG,
    variance_type=variance,
    timestep_spacing='leading',
    thresholding=thresholding,
    dynamic_thresholding_ratio=0.95,
    sample_max_value=1.5,
    clip_sample=False,
  )
  scheduler.set_timesteps(10)
  learned = variance == 'learned_range'
  noises = [
    torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(i))
    for i in range(10)
  ]
  x = _torch(_normal(2))
  for i, t in enumerate(scheduler.timesteps):
    output = _eps(x, float(t))
    output = torch.cat([output, 0.3 * x], dim=1) if learned else output
    generator = torch.Generator().manual_seed(i)
    x = scheduler.step(output, t, x, generator=generator).prev_sample
  fresh = jnp.stack([_numpy(n) for n in noises])
  found = sampler.ancestral(
    SCHEDULE,
    _denoiser(thresholding, learned),
    _normal(2),
    lambda i: fresh[i],
    sampler.grid(10, 1000, 'leading'),
  )
  scale = np.abs(x.numpy()).max()
  np.testing.assert_allclose(found, _numpy(x), atol=2e-3 * scale)


def _run_torch(scheduler, steps):
  scheduler.set_timesteps(steps)
  x = _torch(_normal(2))
  for t in scheduler.timesteps:
    x = scheduler.step(_eps(x, float(t)), t, x).prev_sample
  return np.append(scheduler.timesteps.numpy(), -1).astype('f'), _numpy(x)


@pytest.mark.parametrize(
  ('name', 'scheduler'),
  [
    (
      'ddim',
      lambda: diffusers.DDIMScheduler(
        **CONFIG, clip_sample=False, timestep_spacing='leading'
      ),
    ),
    (
      'dpmpp_2m',
      lambda: diffusers.DPMSolverMultistepScheduler(
        **CONFIG, timestep_spacing='leading', final_sigmas_type='zero'
      ),
    ),
  ],
)
def test_deterministic_samplers_equal_diffusers(name, scheduler):
  times, expected = _run_torch(scheduler(), 12)
  found = sampler.SAMPLERS[name](
    SCHEDULE,
    _denoiser(thresholding=False, learned=False),
    _normal(2),
    lambda i: jnp.zeros(SHAPE),
    times,
  )
  scale = np.abs(expected).max()
  np.testing.assert_allclose(found, expected, atol=2e-3 * scale)


@pytest.mark.parametrize('largest', [1.0, 1.5, 50.0])
def test_thresholding_equals_diffusers(largest):
  scheduler = diffusers.DDPMScheduler(
    **CONFIG,
    thresholding=True,
    dynamic_thresholding_ratio=0.95,
    sample_max_value=largest,
  )
  x = 3 * _normal(4)
  expected = _numpy(scheduler._threshold_sample(_torch(x)))
  found = guidance.dynamic_threshold(jnp.asarray(x), 0.95, largest)
  np.testing.assert_allclose(found, expected, atol=1e-5)


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
  scheduler = diffusers.DDPMScheduler(**CONFIG)
  low, eps = _normal(6, (2, 6, 6, 3)), _normal(7, (2, 24, 24, 3))
  up = torch.nn.functional.interpolate(
    _torch(low), size=24, mode='bilinear', align_corners=True
  )
  expected = scheduler.add_noise(up, _torch(eps), torch.tensor([level] * 2))
  noised, label = lowres.condition(
    SCHEDULE,
    lowres.upsample(jnp.asarray(low), 24),
    eps,
    jnp.full(2, level / 1000),
  )
  np.testing.assert_allclose(noised, _numpy(expected), atol=1e-5)
  np.testing.assert_allclose(label, level, rtol=1e-6)
