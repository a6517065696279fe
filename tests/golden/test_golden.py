"""Our code against files that torch, diffusers and transformers wrote.

The parity tests say more, but need those libraries; these run everywhere.
write.py makes the files anew.
"""

import json
import math
import pathlib

import flax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import pretrained
from dbflax.diffusion import guidance, lowres, process, sampler
from dbflax.diffusion import schedule as schedule_lib
from dbflax.models import unet as unet_lib
from dbflax.text import t5
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.weights import names

FOLDER = pathlib.Path(__file__).parent


def _golden(name):
  """(arrays of a file, its configuration or None)."""
  with np.load(FOLDER / f'{name}.npz') as file:
    arrays = dict(file)
  config = arrays.get('config')
  return arrays, None if config is None else json.loads(str(config))


def _params(golden):
  """The weights of a file (write.py says how they lie) as our parameters."""
  flat, weights = {}, golden['weights']
  for name, shape, scale, offset in json.loads(str(golden['tensors'])):
    steps, weights = np.split(weights, [math.prod(shape)])
    value = steps.astype(np.float32) * np.float32(scale) + np.float32(offset)
    path = names.to_path(name)
    flat[path] = names.to_flax(path, value.reshape(shape))
  assert not weights.size
  return {'params': flax.traverse_util.unflatten_dict(flat, sep='/')}


def _assert_close(found, expected, tolerance):
  """Within a tolerance of the largest value."""
  assert found.shape == expected.shape
  error = np.abs(found - expected).max() / np.abs(expected).max()
  assert error <= tolerance, f'{error:.2g}'


@pytest.mark.parametrize('name', ['unet_base', 'unet_256', 'unet_1024'])
def test_unet(name, quick):
  golden, config = _golden(name)
  unet = unet_lib.from_config(config)
  args = [_params(golden)] + [golden[k] for k in ('x', 't', 'text', 'level')]
  _assert_close(quick(unet.apply, *args)(*args), golden['output'], 1e-4)


def test_text_encoder(quick):
  golden, config = _golden('t5')
  args = _params(golden), golden['ids'], golden['mask']
  found = quick(t5.from_config(config).apply, *args)(*args)
  _assert_close(found, golden['states'], 1e-4)


def test_tokenizer():
  golden, _ = _golden('tokenizer')
  spiece = pretrained.ASSETS / 'toybox/tokenizer/spiece.model'
  tokenizer = tokenizer_lib.Tokenizer(spiece)
  assert tokenizer.fingerprint == golden['fingerprint'], (
    'the embedded vocabulary is another one; run tests/golden/write.py'
  )
  length = golden['ids'].shape[1]
  ids, mask = tokenizer.ids(golden['prompts'].tolist(), max_length=length)
  np.testing.assert_array_equal(ids, golden['ids'])
  np.testing.assert_array_equal(mask, golden['mask'])


def test_upsampling():
  golden, _ = _golden('upsampling')
  found = lowres.upsample(jnp.asarray(golden['low']), golden['high'].shape[1])
  _assert_close(found, golden['high'], 1e-6)


def _denoiser(schedule, config, network):
  """The made-up network of write.py as a sampler wants it."""
  a, b, c = network

  def denoise(x, t):
    eps = a * x + b * x * x + c * process.per_image(t, x)
    x0 = process.to_x0(schedule, 'epsilon', eps, x, t)
    if config.get('thresholding'):
      x0 = guidance.dynamic_threshold(
        x0, config['dynamic_thresholding_ratio'], config['sample_max_value']
      )
    return sampler.Denoised(x0, 0.3 * x)

  return denoise


@pytest.mark.parametrize('steps', [1, 6])
@pytest.mark.parametrize('name', ['ancestral', 'ddim', 'dpmpp_2m'])
def test_sampler(name, steps):
  """One step, and the whole trajectory."""
  golden, config = _golden(f'sampler_{name}')
  schedule = schedule_lib.from_config(config)
  noise = jnp.asarray(golden['noise'], jnp.float32)
  found = sampler.SAMPLERS[name](
    schedule,
    _denoiser(schedule, config, golden['network'].tolist()),
    jnp.asarray(golden['start'], jnp.float32),
    lambda i: noise[i] if noise.size else jnp.zeros(golden['start'].shape),
    golden['times'][: steps + 1],
  )
  _assert_close(found, golden['path'][steps - 1], 1e-4)


@pytest.mark.parametrize(
  'path', sorted(FOLDER.glob('*.npz')), ids=lambda p: p.stem
)
def test_files_say_what_made_them(path):
  versions = json.loads(str(_golden(path.stem)[0]['versions']))
  assert versions.keys() == {'torch', 'diffusers', 'transformers'}
