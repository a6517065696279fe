"""Truths of the U-Net that need no reference implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import toybox
from dbflax import errors
from dbflax.models import unet as unet_lib


def _config(stage='stage_2', **changes):
  architecture = toybox.get_config('tiny').architecture.to_dict()
  return {**architecture[f'{stage}/unet/config'], **changes}


@pytest.fixture(scope='module')
def inputs():
  """(x, t, text, noise level) of two images."""
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  return (
    normal(2, 8, 8, 6),
    np.array([5.0, 800.0], np.float32),
    normal(2, 4, 96),
    np.array([0.5, 300.0], np.float32),
  )


@pytest.fixture(scope='module')
def params(inputs, random_params):
  unet = unet_lib.from_config(_config())
  shapes = jax.eval_shape(unet.init, jax.random.key(0), *inputs)
  return random_params(shapes['params'])


@pytest.fixture(scope='module')
def apply(inputs, params, quick):
  """apply(inputs), compiled once."""
  unet = unet_lib.from_config(_config())
  compiled = quick(unet.apply, {'params': params}, *inputs)
  return lambda *args: np.asarray(compiled({'params': params}, *args))


def _change(inputs, number, value):
  return (*inputs[:number], value, *inputs[number + 1 :])


def test_images_do_not_see_each_other(apply, inputs):
  both = apply(*inputs)
  swapped = apply(*(a[::-1].copy() for a in inputs))
  np.testing.assert_allclose(swapped[::-1], both, atol=1e-5)


@pytest.mark.parametrize('number', range(4))
def test_every_input_matters(apply, inputs, number):
  """Image and conditioning channels, time, text and a fractional level."""
  changed = apply(*_change(inputs, number, inputs[number] + np.float32(0.2)))
  assert np.abs(changed - apply(*inputs)).max() > 1e-5


def test_the_last_three_channels_matter(apply, inputs):
  x = inputs[0].copy()
  x[..., 3:] = 0
  changed = apply(*_change(inputs, 0, x))
  assert np.abs(changed - apply(*inputs)).max() > 1e-3


def test_bfloat16_is_close(apply, inputs, params, quick):
  unet = unet_lib.from_config(_config(), dtype=jnp.bfloat16)
  args = ({'params': params}, *inputs)
  found, exact = quick(unet.apply, *args)(*args), apply(*inputs)
  assert found.dtype == jnp.float32
  assert np.abs(found - exact).max() <= 2e-2 * np.abs(exact).max()


def test_rematerialisation_leaves_the_gradients(inputs, params, quick):
  def grads(remat):
    unet = unet_lib.from_config(_config(), remat=remat)
    loss = lambda p: jnp.square(unet.apply({'params': p}, *inputs)).sum()
    return quick(jax.grad(loss), params)(params)

  def assert_equal(a, b):
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max() + 1e-6)

  jax.tree.map(assert_equal, grads(False), grads(True))


def test_fresh_weights_predict_zero(inputs):
  """conv_out starts at zero, and each residual block as identity."""
  unet = unet_lib.from_config(_config())
  shapes = jax.eval_shape(unet.init, jax.random.key(0), *inputs)['params']
  zeros = _zero_initialised(unet, inputs)
  assert {'conv_out', 'conv2'} <= zeros
  assert shapes['conv_out']['kernel'].shape[-1] == 6


def _zero_initialised(unet, inputs) -> set[str]:
  """Names of the modules whose kernel is a constant zero at the start."""
  found = set()
  jaxpr = jax.make_jaxpr(lambda k: unet.init(k, *inputs)['params'])
  variables = jax.eval_shape(unet.init, jax.random.key(0), *inputs)['params']
  paths = jax.tree_util.tree_leaves_with_path(variables)
  traced = jaxpr(jax.random.key(0))
  for (path, _), value in zip(paths, traced.jaxpr.outvars, strict=True):
    made = [e for e in traced.eqns if value in e.outvars]
    if path[-1].key == 'kernel' and made[0].primitive.name != 'random_bits':
      found |= {path[-2].key} if _constant(made[0]) else set()
  return found


def _constant(equation) -> bool:
  return equation.primitive.name == 'broadcast_in_dim'


def test_layers_per_block_may_be_one_number():
  ours = unet_lib.from_config(_config(layers_per_block=2))
  assert ours.layers_per_block == (2, 2)


def test_fields_of_no_meaning_here_are_passed_over():
  config = _config(_diffusers_version='0.19.0', sample_size=48)
  assert unet_lib.from_config(config).sample_size == 48


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('mid_block_type', 'UNetMidBlock2DCrossAttn'),
    ('resnet_time_scale_shift', 'default'),
    ('encoder_hid_dim_type', None),
    ('addition_embed_type', 'text_time'),
    ('cross_attention_norm', None),
    ('down_block_types', ['CrossAttnDownBlock2D', 'DownBlock2D']),
    ('up_block_types', ['UpBlock2D', 'UpBlock2D']),
    ('class_embed_type', 'projection'),
    ('act_fn', 'tanh'),
    ('mid_block_only_cross_attention', False),
    ('flip_sin_to_cos', False),
    ('freq_shift', 1),
    ('center_input_sample', True),
    ('class_embeddings_concat', True),
    ('attention_head_dim', [8, 16]),
  ],
)
def test_what_this_u_net_is_not_is_refused(field, value):
  shown = value[0] if field.endswith('block_types') else field
  with pytest.raises(errors.UserError, match=shown):
    unet_lib.from_config(_config(**{field: value}))


def test_what_diffusers_writes_for_this_u_net_is_read():
  """Its config.json spells out the defaults of every field."""
  defaults = {
    'center_input_sample': False,
    'flip_sin_to_cos': True,
    'freq_shift': 0,
    'mid_block_only_cross_attention': None,
    'class_embeddings_concat': False,
    'conv_in_kernel': 3,
    'dual_cross_attention': False,
    'time_embedding_type': 'positional',
    'transformer_layers_per_block': 1,
    'dropout': 0.0,
  }
  ours = unet_lib.from_config(_config(**defaults))
  assert ours == unet_lib.from_config(_config())
