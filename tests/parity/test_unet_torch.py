"""The U-Net against diffusers' UNet2DConditionModel, random weights.

The two are given the same weights through `weights.names`, so these tests
prove the names and layouts too. Between them the four configurations hold
every kind of block, with and without resampling, under both settings of
`resnet_skip_time_act`.
"""

import copy
import functools
import json
import pathlib

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.models import unet as unet_lib
from dbflax.weights import names

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity

_SMALL = json.loads(
  pathlib.Path(__file__).with_name('small_unets.json').read_text()
)
_BASE, _SUPER = _SMALL['base'], _SMALL['super_resolution']
_ATTENTIVE = {
  'down_block_types': ['SimpleCrossAttnDownBlock2D'] * 2,
  'up_block_types': ['SimpleCrossAttnUpBlock2D'] * 2,
}
# The shapes of the three stages, small. (config, image size, text length)
CONFIGS = {
  'IF-I': ({**_BASE, **_ATTENTIVE}, (16, 16), 77),
  'IF-I, residual levels': (_BASE, (8, 8), 5),
  'IF-II': (
    {**_BASE, **_SUPER, 'layers_per_block': [1, 2]},
    (8, 8),
    7,
  ),
  # Text attention only, but for the middle; another activation, not square.
  'IF-III': (
    {
      **_BASE,
      **_SUPER,
      **_ATTENTIVE,
      'only_cross_attention': True,
      'mid_block_only_cross_attention': False,
      'act_fn': 'silu',
    },
    (8, 12),
    3,
  ),
}


@functools.cache
def _pair(name):
  """(torch's model, ours, parameters), at the scale torch initialises them.

  Gains and biases are moved away from one and zero.
  """
  config = CONFIGS[name][0]
  torch.manual_seed(0)
  model = diffusers.UNet2DConditionModel(**config).eval()
  with torch.no_grad():
    for parameter in model.parameters():
      if parameter.ndim == 1:
        parameter.add_(torch.randn_like(parameter) * 0.1)
  return model, unet_lib.from_config(dict(model.config)), _to_flax(model)


def _to_flax(model, tensor=lambda parameter: parameter.detach()):
  flat = {}
  for name, parameter in model.named_parameters():
    path = names.to_path(name)
    flat[path] = names.to_flax(path, tensor(parameter).numpy())
  return flax.traverse_util.unflatten_dict(flat, sep='/')


def _inputs(name, size=None, length=None):
  config, default_size, default_length = CONFIGS[name]
  h, w = size or default_size
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  level = config.get('class_embed_type')
  return (
    normal(2, h, w, config['in_channels']),
    # Times and noise levels may be fractional.
    np.array([3.0, 700.5], np.float32),
    normal(2, length or default_length, config['encoder_hid_dim']),
    np.array([0.01, 250.0], np.float32) if level else None,
  )


def _run_torch(model, inputs):
  """(output as NHWC, input that takes a gradient)."""
  x, t, text, level = (None if a is None else torch.tensor(a) for a in inputs)
  x, text = (a.to(model.dtype) for a in (x, text))
  x = x.permute(0, 3, 1, 2).contiguous().requires_grad_()
  text.requires_grad_()
  output = model(x, t, text, class_labels=level).sample
  return output.permute(0, 2, 3, 1), x, text


def _assert_close(found, expected, tolerance=1e-4, name=''):
  """Within a tolerance of the largest value."""
  scale = np.abs(expected).max()
  assert scale > 0, name
  error = np.abs(np.asarray(found) - expected).max() / scale
  assert error <= tolerance, f'{name}: {error:.2g}'


@pytest.mark.parametrize('name', CONFIGS)
def test_outputs_and_gradients_equal_diffusers(name, quick):
  """Of a linear function of the output: to the inputs and every weight."""
  model, unet, params = _pair(name)
  inputs = _inputs(name)
  weights = np.random.default_rng(1).normal(size=(*inputs[0].shape[:3], 6))
  weights = weights.astype(np.float32)
  expected, x, text = _run_torch(model, inputs)
  model.zero_grad()
  (expected * torch.tensor(weights)).sum().backward()

  def objective(params, x, text):
    output = unet.apply({'params': params}, x, inputs[1], text, inputs[3])
    return (output * weights).sum(), output

  args = (params, inputs[0], inputs[2])
  grad = jax.value_and_grad(objective, argnums=(0, 1, 2), has_aux=True)
  (_, output), grads = quick(grad, *args)(*args)
  _assert_close(output, expected.detach().numpy(), name='output')
  _assert_close(grads[1], x.grad.permute(0, 2, 3, 1).numpy(), name='image')
  _assert_close(grads[2], text.grad.numpy(), name='text')
  _assert_gradients(model, grads[0])


def _assert_gradients(model, grads):
  theirs = _to_flax(model, lambda parameter: parameter.grad)
  flatten = functools.partial(flax.traverse_util.flatten_dict, sep='/')
  theirs, ours = flatten(theirs), flatten(grads)
  assert theirs.keys() == ours.keys()
  # Keys may all move alike, so their bias has no gradient but rounding.
  largest = max(np.abs(g).max() for g in theirs.values())
  for path, expected in theirs.items():
    scale = max(np.abs(expected).max(), 1e-3 * largest)
    error = np.abs(np.asarray(ours[path]) - expected).max() / scale
    assert error <= 1e-4, f'{path}: {error:.2g}'


@pytest.mark.parametrize(
  ('name', 'size', 'length'),
  [
    ('IF-I', (8, 8), 1),
    ('IF-I, residual levels', (24, 16), 77),
    ('IF-II', (16, 8), 20),
    ('IF-II', (32, 32), 77),
    ('IF-III', (16, 16), 128),
  ],
)
def test_other_sizes_and_text_lengths_equal_diffusers(
  name, size, length, quick
):
  model, unet, params = _pair(name)
  inputs = _inputs(name, size, length)
  expected = _run_torch(model, inputs)[0].detach().numpy()
  args = ({'params': params}, *inputs)
  output = quick(unet.apply, *args)(*args)
  _assert_close(output, expected)


@pytest.mark.parametrize('name', CONFIGS)
def test_bfloat16_is_near_diffusers_in_float32(name, quick):
  """As near as diffusers' own bfloat16, whose roundings fall elsewhere.

  Float32 is the truth; single pixels may be further off than the root mean
  square.
  """
  model, unet, params = _pair(name)
  inputs = _inputs(name)
  expected = _run_torch(model, inputs)[0].detach().numpy()
  distance = lambda x: np.linalg.norm(x - expected) / np.linalg.norm(expected)
  args = ({'params': params}, *inputs)
  found = distance(quick(unet.clone(dtype=jnp.bfloat16).apply, *args)(*args))
  assert 0 < found <= 2e-2, f'{found:.2g}'
  rounded = copy.deepcopy(model).to(torch.bfloat16)
  theirs = distance(_run_torch(rounded, inputs)[0].detach().float().numpy())
  assert found <= 1.25 * theirs, f'{found:.2g}, diffusers {theirs:.2g}'


@pytest.mark.parametrize('name', CONFIGS)
def test_all_parameters_have_a_torch_name(name):
  model, unet, params = _pair(name)
  shapes = jax.eval_shape(unet.init, jax.random.key(0), *_inputs(name))
  ours = jax.tree.map(jnp.shape, shapes['params'])
  assert ours == jax.tree.map(jnp.shape, params)
  torch_names = set(model.state_dict())
  flat = flax.traverse_util.flatten_dict(ours, sep='/')
  assert {names.to_name(path) for path in flat} == torch_names
