"""Samplers against diffusers' DDPM, DDIM and DPM-Solver++.

Both sides read the same `scheduler_config.json`, see the same made-up network
and the same noise. diffusers multiplies its alphas up in float32, which costs
it 5e-4 of 1 − alpha² at time 0; to compare what is done with the alphas, it is
given the exact ones (`_exact`). What is left is rounding: the largest
difference measured is 4.4e-6 of the largest value, in one step or in fifty.
"""

import inspect
import json

import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.diffusion import process
from dbflax.diffusion import scheduler as scheduler_lib

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = [
  pytest.mark.parity,
  # Of diffusers, with a recent numpy.
  pytest.mark.filterwarnings('ignore:__array__ implementation'),
]

SHAPE = (2, 6, 6, 3)
RTOL = 1e-5
PREDICTIONS = process.PREDICTIONS
CLASSES = {
  sampler: getattr(diffusers, name)
  for name, sampler in scheduler_lib.CLASSES.items()
}
# What DeepFloyd IF publishes for its first stage.
IF = {
  'num_train_timesteps': 1000,
  'beta_schedule': 'squaredcos_cap_v2',
  'beta_start': 1e-4,
  'beta_end': 0.02,
  'trained_betas': None,
  'prediction_type': 'epsilon',
  'variance_type': 'learned_range',
  'thresholding': True,
  'dynamic_thresholding_ratio': 0.95,
  'sample_max_value': 1.5,
  'clip_sample': True,
  'clip_sample_range': 1.0,
}


def _normal(seed, shape=SHAPE):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _torch(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def _numpy(x):
  return x.numpy().transpose(0, 2, 3, 1)


def _network(x, t):
  """A made-up network, in jax or torch: smooth in image and time."""
  return 0.9 * x - 0.3 * x / (1 + abs(x)) - 0.0002 * t


def _logit(x):
  """Its learned variance, −2 … 2: beyond the range, as networks may be."""
  return 2 * x / (1 + abs(x))


def _assert_close(found, expected, rtol=RTOL):
  largest = np.abs(expected).max()
  np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * largest)


def _ours(reference):
  """Our scheduler, from the file that diffusers would save."""
  return scheduler_lib.from_config(json.loads(reference.to_json_string()))


def _reference(name, options):
  """diffusers' scheduler of that name: IF's but for the options, exact."""
  known = inspect.signature(CLASSES[name]).parameters
  config = {k: v for k, v in {**IF, **options}.items() if k in known}
  reference = CLASSES[name](**config)
  _exact(reference, _ours(reference).schedule)
  return reference


def _exact(reference, schedule):
  """Gives diffusers the alphas in float64, before `set_timesteps`."""
  alpha2 = torch.tensor(np.cumprod(1 - np.asarray(schedule.betas)))
  reference.alphas_cumprod = alpha2
  reference.lambda_t = 0.5 * torch.log(alpha2 / (1 - alpha2))
  if not reference.config.get('set_alpha_to_one', True):
    reference.final_alpha_cumprod = alpha2[0]


def _step(reference, t, x, seed):
  """diffusers' step, with the noise of `seed` where it wants any."""
  output, options = _network(x, float(t)), {}
  if isinstance(reference, CLASSES['ancestral']):
    options['generator'] = torch.Generator().manual_seed(seed)
    if reference.config.variance_type == 'learned_range':
      output = torch.cat([output, _logit(x)], dim=1)
  if isinstance(reference, CLASSES['ddim']):
    # As in DeepFloyd's own code; it matters only where x_0 is clipped.
    options['use_clipped_model_output'] = True
  return reference.step(output, t, x, **options)


def _noise(seed):
  generator = torch.Generator().manual_seed(seed)
  return _numpy(torch.randn(2, 3, 6, 6, generator=generator))


def _trajectory(reference, first=0, count=None):
  """diffusers' `count` steps from time number `first` on."""
  if isinstance(reference, CLASSES['dpmpp_2m']):
    reference.set_begin_index(first)
  x = _torch(_normal(2))
  for i, t in enumerate(reference.timesteps[first:][:count]):
    x = _step(reference, t, x, i).prev_sample
  return _numpy(x)


def _our_trajectory(scheduler, times, told):
  """Ours; `told` [N] are the times that the network hears of."""

  def denoise(x, t):
    heard = jnp.asarray(told)[jnp.argmin(jnp.abs(times[:-1] - t[0]))]
    output = jnp.concatenate([_network(x, heard), _logit(x)], axis=-1)
    return scheduler.denoised(output, x, t)

  fresh = jnp.stack([_noise(i) for i in range(len(told))])
  return scheduler.run(denoise, _normal(2), lambda i: fresh[i], times)


def _compare(reference, steps, scheduler=None, rtol=RTOL):
  """Runs both, on the same times, and compares times and images."""
  scheduler = scheduler or _ours(reference)
  reference.set_timesteps(steps)
  times = scheduler.times(steps)
  np.testing.assert_array_equal(times[:-1], reference.timesteps.numpy())
  found = _our_trajectory(scheduler, times, times[:-1])
  _assert_close(found, _trajectory(reference), rtol)


CASES = [
  # Published, and with another prediction.
  *((name, 10, {}) for name in CLASSES),
  *((name, 12, {'prediction_type': 'sample'}) for name in CLASSES),
  *((name, 12, {'prediction_type': 'v_prediction'}) for name in CLASSES),
  # The clean image as it is predicted, clipped, or kept in stage II's range.
  *(
    (name, 10, {'thresholding': False, 'clip_sample': clip, **extra})
    for name in ('ancestral', 'ddim')
    for clip, extra in ((False, {}), (True, {'clip_sample_range': 0.7}))
  ),
  ('dpmpp_2m', 10, {'thresholding': False}),
  *((name, 10, {'sample_max_value': 1.0}) for name in CLASSES),
  # The variance.
  ('ancestral', 10, {'variance_type': 'fixed_small'}),
  ('ancestral', 10, {'variance_type': 'fixed_small_log'}),
  ('ancestral', 10, {'variance_type': 'fixed_large'}),
  # The times. DDIMScheduler steps by T // n wherever its grid goes on, so
  # that it is only right where that is the next time.
  ('ancestral', 50, {'timestep_spacing': 'linspace'}),
  *((name, 10, {'timestep_spacing': 'leading'}) for name in CLASSES),
  ('ddim', 10, {'timestep_spacing': 'trailing'}),
  ('ddim', 10, {'steps_offset': 1}),
  ('ddim', 10, {'steps_offset': 1, 'set_alpha_to_one': False}),
  ('ddim', 10, {'set_alpha_to_one': False}),
  ('dpmpp_2m', 12, {'timestep_spacing': 'trailing'}),
  ('dpmpp_2m', 12, {'timestep_spacing': 'leading', 'steps_offset': 1}),
  ('dpmpp_2m', 12, {'lambda_min_clipped': -5.1}),
  *(
    ('dpmpp_2m', 12, {'lambda_min_clipped': -5.1, 'timestep_spacing': spacing})
    for spacing in ('trailing', 'leading')
  ),
  ('ddim', 10, {'beta_schedule': 'linear'}),
  # The solver, below and above the 15 steps of lower_order_final.
  *(
    ('dpmpp_2m', steps, {'final_sigmas_type': final, **options})
    for steps in (6, 20)
    for final, options in (
      ('zero', {}),
      ('zero', {'solver_type': 'heun'}),
      ('zero', {'solver_order': 1}),
      ('sigma_min', {}),
      ('sigma_min', {'lower_order_final': False}),
      ('sigma_min', {'euler_at_final': True}),
      ('sigma_min', {'lower_order_final': False, 'solver_type': 'heun'}),
    )
  ),
]


@pytest.mark.parametrize(('name', 'steps', 'options'), CASES, ids=str)
def test_trajectories_equal_diffusers(name, steps, options):
  _compare(_reference(name, options), steps)


@pytest.mark.parametrize('variance', ['fixed_large', 'learned_range'])
def test_a_step_to_the_clean_image_adds_no_noise(variance):
  """diffusers adds some unless it starts at time 0; the rest is the same."""
  options = {'timestep_spacing': 'trailing', 'variance_type': variance}
  reference = _reference('ancestral', options)
  scheduler = _ours(reference)
  reference.set_timesteps(10)
  times = scheduler.times(10)
  before = _trajectory(reference, count=9)
  _assert_close(_our_trajectory(scheduler, times[:-1], times[:-2]), before)
  last = _step(reference, reference.timesteps[-1], _torch(_normal(2)), 0)
  found = _our_trajectory(scheduler, times[-2:], times[-2:-1])
  _assert_close(found, _numpy(last.pred_original_sample))
  assert (last.prev_sample != last.pred_original_sample).any()


@pytest.mark.parametrize('name', CLASSES)
def test_published_schedulers_equal_diffusers_as_it_ships(name):
  """Its alphas in float32 cost it 8e-6 on IF's own settings."""
  file = {'_class_name': 'DDPMScheduler', '_diffusers_version': '0.15.0', **IF}
  published = diffusers.DDPMScheduler.from_config(file)
  swapped = CLASSES[name].from_config(published.config)
  named = scheduler_lib.from_config(file).using(name)
  for scheduler in (named, _ours(swapped)):
    assert scheduler.sampler == name
    _compare(swapped, 20, scheduler, rtol=2e-5)


@pytest.mark.parametrize(
  ('name', 'options'),
  [
    *((n, {'prediction_type': k}) for n in CLASSES for k in PREDICTIONS),
    *((n, {'thresholding': False, 'clip_sample': False}) for n in CLASSES),
    ('ancestral', {'variance_type': 'fixed_small'}),
    ('dpmpp_2m', {'solver_type': 'heun'}),
    ('dpmpp_2m', {'solver_order': 1}),
  ],
  ids=str,
)
def test_one_step_equals_diffusers(name, options):
  """From an image of its own at the first, a middle and the last time.

  DPM-Solver takes two, the second of which is of second order.
  """
  reference = _reference(name, {**options, 'lower_order_final': False})
  scheduler, count = _ours(reference), 2 if name == 'dpmpp_2m' else 1
  times = scheduler.times(20)
  for first in (0, 9, 20 - count):
    reference.set_timesteps(20)
    expected = _trajectory(reference, first, count)
    some = times[first : first + count + 1]
    _assert_close(_our_trajectory(scheduler, some, some[:-1]), expected)


@pytest.mark.parametrize(
  ('steps', 'options'),
  [
    (8, {}),
    (25, {}),
    (8, {'solver_type': 'heun'}),
    (25, {'final_sigmas_type': 'sigma_min'}),
    (25, {'beta_schedule': 'linear'}),
  ],
)
def test_karras_times_equal_diffusers(steps, options):
  """The network hears of diffusers' whole times; we tell it the fractions."""
  reference = _reference('dpmpp_2m', {'use_karras_sigmas': True, **options})
  scheduler = _ours(reference)
  reference.set_timesteps(steps)
  times = scheduler.times(steps)
  told = reference.timesteps.numpy()
  assert (np.abs(times[:-1] - told) <= 1).all()
  log_snr = np.asarray(scheduler.schedule.log_snr(times), np.float64)
  sigmas = torch.tensor(np.exp(-log_snr / 2).astype(np.float32))
  # Between steps 998 and 999 IF's alpha² falls a thousandfold, and float32
  # resolves a time there to 6e-5 steps: sigmas of several hundred and more
  # are met to a hundredth, the others to rounding.
  large = reference.sigmas > 600
  assert torch.allclose(sigmas, reference.sigmas, rtol=0.02)
  assert torch.allclose(
    sigmas[~large], reference.sigmas[~large], rtol=1e-4, atol=1e-7
  )
  reference.sigmas = sigmas
  _assert_close(_our_trajectory(scheduler, times, told), _trajectory(reference))
