"""Schedules, times and fields of scheduler_config.json against diffusers."""

import inspect
import json
import typing

import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import errors
from dbflax.diffusion import guidance, process
from dbflax.diffusion import schedule as schedule_lib
from dbflax.diffusion import scheduler as scheduler_lib

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = [
  pytest.mark.parity,
  # Of diffusers, with a recent numpy.
  pytest.mark.filterwarnings('ignore:__array__ implementation'),
]

SHAPE = (2, 6, 6, 3)
CLASSES = {
  sampler: getattr(diffusers, name)
  for name, sampler in scheduler_lib.CLASSES.items()
}


def _normal(seed):
  return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def _torch(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def _numpy(x):
  return x.numpy().transpose(0, 2, 3, 1)


def _ours(reference):
  """Our scheduler, from the file that diffusers would save."""
  return scheduler_lib.from_config(json.loads(reference.to_json_string()))


@pytest.mark.parametrize('name', CLASSES)
@pytest.mark.parametrize('spacing', ['leading', 'trailing', 'linspace'])
def test_grids_equal_diffusers(name, spacing):
  reference = CLASSES[name](**{'timestep_spacing': spacing})
  scheduler = _ours(reference)
  for steps in (1, 7, 32, 50, 100, 333):
    reference.set_timesteps(steps)
    found = scheduler.times(steps)[:-1]
    np.testing.assert_array_equal(found, reference.timesteps.numpy())


@pytest.mark.parametrize('name', CLASSES)
def test_every_field_and_its_default_is_that_of_diffusers(name):
  """A field left out means what it means in the class of the file."""
  scheduler = CLASSES[name]()
  full = _ours(scheduler)
  bare = scheduler_lib.from_config({'_class_name': CLASSES[name].__name__})
  np.testing.assert_array_equal(bare.times(20), full.times(20))
  unsaid = {'timestep_spacing': None, 'variance_type': None}
  assert {**vars(bare), **unsaid} == {**vars(full), **unsaid}
  assert bare.variance_type is None
  assert full.variance_type in (None, 'fixed_small')


def _choices(annotation):
  """The texts of the Literals in an annotation; of a bool, what is not off."""
  if annotation is bool:
    return (True,)
  if typing.get_origin(annotation) is typing.Literal:
    return typing.get_args(annotation)
  return sum(map(_choices, typing.get_args(annotation)), ())


@pytest.mark.parametrize('name', CLASSES)
def test_every_choice_of_diffusers_is_computed_or_refused(name):
  refused = set()
  for field, parameter in inspect.signature(CLASSES[name]).parameters.items():
    for choice in _choices(parameter.annotation):
      config = {'_class_name': CLASSES[name].__name__, field: choice}
      try:
        scheduler = scheduler_lib.from_config(config)
      except errors.UserError as error:
        assert f'{field} is {choice!r}' in str(error)
        refused.add((field, choice))
      else:
        assert getattr(scheduler, field, choice) == choice
  assert ('rescale_betas_zero_snr', True) in refused
  for field, choice in refused:
    assert field in (
      *('rescale_betas_zero_snr', 'beta_schedule', 'variance_type'),
      *('prediction_type', 'algorithm_type'),
    ) or field.startswith('use_'), (field, choice)


@pytest.mark.parametrize('kind', ['squaredcos_cap_v2', 'linear'])
def test_variances_equal_diffusers(kind):
  reference = diffusers.DDPMScheduler(beta_schedule=kind)
  times = np.arange(1000, dtype=np.float32)
  alpha2, sigma2 = _ours(reference).schedule.variances(times)
  # diffusers multiplies its alphas up in float32.
  expected = reference.alphas_cumprod.numpy()
  np.testing.assert_allclose(alpha2, expected, rtol=2e-5)
  np.testing.assert_allclose(sigma2, 1 - expected, rtol=1e-3)


def test_noised_images_and_targets_equal_diffusers():
  reference = diffusers.DDPMScheduler(beta_schedule='squaredcos_cap_v2')
  schedule = schedule_lib.squaredcos_cap_v2(1000)
  x0, eps = _normal(0), _normal(1)
  t = torch.tensor([3, 870])
  times = jnp.asarray(t.numpy(), jnp.float32)
  noised = reference.add_noise(_torch(x0), _torch(eps), t)
  found = process.add_noise(schedule, x0, eps, times)
  np.testing.assert_allclose(found, _numpy(noised), atol=1e-5)
  v = reference.get_velocity(_torch(x0), _torch(eps), t)
  found = process.target(schedule, 'v_prediction', x0, eps, times)
  np.testing.assert_allclose(found, _numpy(v), atol=1e-5)


@pytest.mark.parametrize('largest', [1.0, 1.5, 50.0])
def test_thresholding_equals_diffusers(largest):
  reference = diffusers.DDIMScheduler(
    thresholding=True,
    dynamic_thresholding_ratio=0.95,
    sample_max_value=largest,
  )
  x = 3 * _normal(4)
  expected = _numpy(reference._threshold_sample(_torch(x)))
  found = guidance.dynamic_threshold(jnp.asarray(x), 0.95, largest)
  np.testing.assert_allclose(found, expected, atol=1e-6)
