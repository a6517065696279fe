"""What a scheduler_config.json means, and what of it is refused."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import errors
from dbflax.diffusion import sampler as sampler_lib
from dbflax.diffusion import schedule as schedule_lib
from dbflax.diffusion import scheduler as scheduler_lib

# DeepFloyd IF's first stage.
IF = {
  '_class_name': 'DDPMScheduler',
  '_diffusers_version': '0.15.0',
  'num_train_timesteps': 1000,
  'beta_schedule': 'squaredcos_cap_v2',
  'beta_start': 0.0001,
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
SOLVER = {**IF, '_class_name': 'DPMSolverMultistepScheduler'}
STABLE_DIFFUSION = {
  **IF,
  '_class_name': 'DDIMScheduler',
  'steps_offset': 1,
  'set_alpha_to_one': False,
}


def _read(config, **changes):
  return scheduler_lib.from_config({**config, **changes})


def test_ifs_file_is_read():
  found = _read(IF)
  assert found.schedule == schedule_lib.squaredcos_cap_v2(1000)
  assert found.sampler == 'ancestral'
  for field, value in IF.items():
    assert getattr(found, field, value) == value


@pytest.mark.parametrize(
  ('name', 'sampler'), [*scheduler_lib.CLASSES.items(), (None, 'ancestral')]
)
def test_the_class_says_which_sampler(name, sampler):
  assert sampler in sampler_lib.SAMPLERS
  config = {'_class_name': name} if name else {}
  assert scheduler_lib.from_config(config).sampler == sampler


@pytest.mark.parametrize(
  ('field', 'value', 'computed'),
  [
    ('_class_name', 'EulerDiscreteScheduler', 'DDPMScheduler'),
    ('beta_schedule', 'scaled_linear', 'squaredcos_cap_v2'),
    ('trained_betas', [0.1, 0.2], 'None'),
    ('rescale_betas_zero_snr', True, 'False'),
    ('prediction_type', 'flow_prediction', 'v_prediction'),
    ('variance_type', 'learned', 'learned_range'),
    ('variance_type', 'fixed_large_log', 'fixed_large'),
    ('timestep_spacing', 'log', 'trailing'),
    ('algorithm_type', 'sde-dpmsolver++', 'dpmsolver'),
    ('solver_order', 3, '1 or 2'),
    ('solver_type', 'bh1', 'heun'),
    ('final_sigmas_type', 'one', 'sigma_min'),
    ('use_lu_lambdas', True, 'False'),
    ('use_flow_sigmas', True, 'False'),
    ('thresholding', 'yes', 'True'),
    ('sample_max_value', 0.5, '1.0 … inf'),
    ('dynamic_thresholding_ratio', 95, '0.0 … 1.0'),
    ('num_train_timesteps', '1000', 'whole numbers in 1'),
    ('num_train_timesteps', 1000.5, 'whole numbers in 1'),
    ('steps_offset', -1, 'whole numbers in 0'),
    ('lambda_min_clipped', math.nan, 'numbers in -inf … 0.0'),
    ('lambda_min_clipped', 1.0, 'numbers in -inf … 0.0'),
    ('sigma_max', 80.0, 'no field of DDPMScheduler'),
  ],
)
def test_what_is_not_computed_is_refused_in_one_line(field, value, computed):
  with pytest.raises(errors.UserError) as caught:
    _read(IF, **{field: value})
  message = str(caught.value)
  assert f'{field} is {value!r}' in message
  assert computed in message
  assert '\n' not in message


def test_fields_without_a_meaning_pass():
  saved = {'_use_default_values': ['x'], 'flow_shift': 3.0, **IF}
  assert _read(saved, time_shift_type='exponential') == _read(IF)
  assert _read(IF, use_karras_sigmas=None).times(9)[0] == _read(IF).times(9)[0]


def test_another_sampler_reads_the_same_file():
  found = _read(IF)
  assert found.using('scheduler') is found
  for name in sampler_lib.SAMPLERS:
    other = found.using(name)
    assert dataclasses.replace(other, sampler='ancestral') == found
  assert _read(IF).using('dpmpp_2m') == _read(SOLVER)


def test_a_file_without_a_spacing_gets_that_of_the_sampler():
  """diffusers: 'leading', but 'linspace' for DPM-Solver."""
  leading = [800, 600, 400, 200, 0, -1]
  for name in ('ancestral', 'ddim'):
    np.testing.assert_array_equal(_read(IF).using(name).times(5), leading)
  solver = [999, 799, 599, 400, 200, -1]
  np.testing.assert_array_equal(_read(SOLVER).times(5), solver)
  # Said, it holds for all; DPM-Solver still leaves time 0 out.
  said = _read(SOLVER, timestep_spacing='leading').times(4)
  np.testing.assert_array_equal(said, [800, 600, 400, 200, -1])


def test_the_offset_moves_leading_times_only():
  plain, moved = _read(IF), _read(IF, steps_offset=1)
  expected = plain.times(10)[:-1] + 1
  np.testing.assert_array_equal(moved.times(10)[:-1], expected)
  for spacing in ('trailing', 'linspace'):
    plain = _read(IF, timestep_spacing=spacing)
    moved = _read(IF, timestep_spacing=spacing, steps_offset=1)
    np.testing.assert_array_equal(moved.times(10), plain.times(10))


def test_where_the_last_step_leads():
  """To the clean image, or to the least noise of the schedule."""
  assert _read(STABLE_DIFFUSION).times(10)[-2:].tolist() == [1, 0]
  assert _read(STABLE_DIFFUSION).using('ancestral').times(10)[-1] == -1
  least = _read(SOLVER, final_sigmas_type='sigma_min')
  assert least.times(10)[-1] == 0
  assert least.using('ddim').times(10)[-1] == -1


@pytest.mark.parametrize(
  ('config', 'steps'),
  [
    (IF, 1001),
    ({**IF, 'steps_offset': 1}, 1000),
    ({**SOLVER, 'timestep_spacing': 'leading'}, 1000),
    ({**SOLVER, 'use_karras_sigmas': True}, 900),
  ],
)
def test_more_steps_than_times_are_refused(config, steps):
  with pytest.raises(errors.UserError, match=f'{steps} steps.*take fewer'):
    _read(config).times(steps)


def test_the_least_lambda_cuts_the_noisiest_times_off():
  """lambda = log(alpha / sigma) of every time is above it."""
  cut = _read(SOLVER, lambda_min_clipped=-5.1)
  times = cut.times(20)
  assert times[0] < 999
  lam = 0.5 * np.asarray(cut.schedule.log_snr(times[:-1]))
  assert (lam >= -5.1).all()
  assert 0.5 * cut.schedule.log_snr(jnp.float32(times[0] + 1)) < -5.1


@pytest.mark.parametrize('kind', ['squaredcos_cap_v2', 'linear'])
def test_karras_times_are_even_in_the_seventh_root_of_sigma(kind):
  found = _read(SOLVER, use_karras_sigmas=True, beta_schedule=kind)
  times = found.times(12)
  np.testing.assert_allclose(times[[0, -2, -1]], [999, 0, -1], atol=1e-3)
  assert times[0] <= 999
  assert times[-2] >= 0
  log_snr = np.asarray(found.schedule.log_snr(times[:-1]), np.float64)
  roots = np.exp(-log_snr / 14)
  # Times near the end of a schedule are as fine as float32 lets them be.
  np.testing.assert_allclose(
    np.diff(roots), np.diff(roots).mean(), rtol=2e-2, atol=1e-4
  )


def test_karras_times_need_a_largest_sigma():
  with pytest.raises(errors.UserError, match="'cosine' ends at alpha 0"):
    _read(SOLVER, use_karras_sigmas=True, beta_schedule='cosine')


def _denoised(scheduler, value=3.0, logit=0.4):
  """What is made of a prediction of x_0 that is `value` everywhere."""
  x = jnp.zeros((2, 4, 4, 3))
  output = jnp.concatenate([x + value, x + logit], axis=-1)
  scheduler = dataclasses.replace(scheduler, prediction_type='sample')
  return scheduler.denoised(output, x, jnp.full(2, 500.0))


def test_x0_is_thresholded_or_clipped_or_left():
  value = lambda scheduler: float(_denoised(scheduler).x0[0, 0, 0, 0])
  assert value(_read(IF)) == 1
  plain = {**IF, 'thresholding': False}
  assert value(_read(plain, clip_sample_range=2.0)) == 2
  assert value(_read(plain, clip_sample=False)) == 3
  # DPM-Solver knows no clip_sample, as in diffusers.
  assert value(_read(plain).using('dpmpp_2m')) == 3
  assert value(_read(SOLVER)) == 1


@pytest.mark.parametrize(
  ('kind', 'expected'),
  [
    ('learned_range', 0.4),
    ('fixed_large', 1.0),
    ('fixed_small', None),
    ('fixed_small_log', None),
    (None, None),
  ],
)
def test_the_variance_is_learned_or_fixed(kind, expected):
  """As a place between the smallest (−1, or none) and the largest (1)."""
  found = _denoised(_read(IF, variance_type=kind)).variance_logit
  if expected is None:
    assert found is None
  else:
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def _run(scheduler, steps, x):
  """A smooth made-up network, sampled."""

  def denoise(x, t):
    output = jnp.sin(2 * x) - 0.0005 * t[:, None, None, None]
    return scheduler.denoised(jnp.concatenate([output, x], -1), x, t)

  key = jax.random.key(1)
  noise = lambda i: jax.random.normal(jax.random.fold_in(key, i), x.shape)
  return np.asarray(scheduler.run(denoise, x, noise, scheduler.times(steps)))


def _start():
  return jax.random.normal(jax.random.key(0), (2, 4, 4, 3))


# A first-order end can only be seen where the last step keeps some noise.
LEAST = {
  **SOLVER,
  'prediction_type': 'sample',
  'final_sigmas_type': 'sigma_min',
}


@pytest.mark.parametrize(('steps', 'differs'), [(14, True), (15, False)])
def test_lower_order_final_is_for_fewer_than_fifteen_steps(steps, differs):
  low, high = (
    _run(_read(LEAST, lower_order_final=low), steps, _start())
    for low in (True, False)
  )
  assert (np.abs(low - high).max() > 1e-5) == differs


def test_euler_at_final_is_for_any_number_of_steps():
  euler = _run(_read(LEAST, euler_at_final=True), 15, _start())
  other = _run(_read(LEAST), 15, _start())
  assert np.abs(euler - other).max() > 1e-5


def test_the_first_order_is_ddim():
  """DPM-Solver++(1) and DDIM are one formula."""
  first = _read(LEAST, solver_order=1, timestep_spacing='trailing')
  last = {'set_alpha_to_one': False, 'clip_sample': False}
  ddim = _read(LEAST, timestep_spacing='trailing', **last).using('ddim')
  found, expected = (_run(s, 9, _start()) for s in (first, ddim))
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_solvers_settings_reach_it():
  """Each gives an image of its own."""
  images = [
    _run(_read(LEAST, **options), 9, _start())
    for options in (
      {},
      {'solver_order': 1},
      {'solver_type': 'heun'},
      {'use_karras_sigmas': True},
    )
  ]
  for i, one in enumerate(images):
    for other in images[:i]:
      assert np.abs(one - other).max() > 1e-4
