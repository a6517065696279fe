"""Truths of the U-Net that need no reference implementation."""

import collections

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
  # Not a shift or a gain: the norms take those away.
  other = np.flip(inputs[number], axis=-1).copy()
  changed = apply(*_change(inputs, number, other))
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
  assert np.linalg.norm(found - exact) <= 2e-2 * np.linalg.norm(exact)


def _grads(remat, inputs):
  """parameters → the gradients of some loss."""
  unet = unet_lib.from_config(_config(), remat=remat)
  return jax.grad(
    lambda p: jnp.square(unet.apply({'params': p}, *inputs)).sum()
  )


@pytest.fixture(scope='module')
def plain_grads(inputs, params, quick):
  return quick(_grads('none', inputs), params)(params)


@pytest.mark.parametrize('word', ['blocks', 'dots'])
def test_rematerialisation_leaves_the_gradients(
  inputs, params, quick, plain_grads, word
):
  plain = plain_grads
  remat = quick(_grads(word, inputs), params)(params)
  largest = max(np.abs(g).max() for g in jax.tree.leaves(plain))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-6 * largest
    ),
    plain,
    remat,
  )


def _primitives(jaxpr):
  """Names of all operations, those of inner programs too."""
  for eqn in jaxpr.eqns:
    yield eqn.primitive.name
    for value in eqn.params.values():
      inner = getattr(value, 'jaxpr', value)
      if hasattr(inner, 'eqns'):
        yield from _primitives(inner)


def test_what_is_recomputed_follows_the_word(inputs, params):
  """'dots' repeats the cheap work between products, 'blocks' those too."""
  none, blocks, dots = (
    collections.Counter(
      _primitives(jax.make_jaxpr(_grads(word, inputs))(params).jaxpr)
    )
    for word in ('none', 'blocks', 'dots')
  )
  conv, dot = 'conv_general_dilated', 'dot_general'
  assert 0 < none[conv] == dots[conv] < blocks[conv]
  # Attention's own two products have a batch, and are repeated.
  assert none[dot] < dots[dot] < blocks[dot]
  assert none['rsqrt'] < dots['rsqrt'] == blocks['rsqrt']


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
    ('encoder_hid_dim_type', 'image_proj'),
    ('encoder_hid_dim', None),
    ('sample_size', None),
    ('num_class_embeds', 10),
    ('dropout', 0.1),
    ('addition_embed_type', 'text_time'),
    ('cross_attention_norm', None),
    ('down_block_types', ['CrossAttnDownBlock2D', 'DownBlock2D']),
    ('up_block_types', ['UpBlock2D', 'UpBlock2D']),
    ('class_embed_type', 'projection'),
    ('act_fn', 'tanh'),
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


def test_an_absent_kind_of_text_projection_is_the_one_there_is():
  """As in diffusers, if the text has a size of its own."""
  ours = unet_lib.from_config(_config(encoder_hid_dim_type=None))
  assert ours == unet_lib.from_config(_config())


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
