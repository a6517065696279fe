"""A LoRA that we export, in the pipelines of diffusers that read it."""

import inspect
import json
import logging
import pathlib
import warnings

import flax
import jax
import numpy as np
import pytest
import safetensors.numpy

from configs import default
from dbflax.models import unet as unet_lib
from dbflax.train import adapt
from dbflax.weights import lora, names

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytest.importorskip('peft', reason='diffusers loads a LoRA through peft')
pytestmark = pytest.mark.parity

_SMALL = json.loads(
  pathlib.Path(__file__).with_name('small_unets.json').read_text()
)
CONFIG = _SMALL['base']
# What a base and a super-resolution pipeline take; all but the U-Net is none.
PIPELINES = {
  'IFPipeline': {},
  'IFSuperResolutionPipeline': {
    'in_channels': 6,
    'class_embed_type': 'timestep',
  },
}
DEFAULT = default.get_config().stage_1.lora.targets
# Every matrix of the network, the shortcuts that torch convolves with too.
ALL = 'to_|add_|proj|linear|conv_shortcut'


def _model(changes):
  torch.manual_seed(0)
  model = diffusers.UNet2DConditionModel(**{**CONFIG, **changes}).eval()
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.add_(torch.randn_like(parameter) * 0.05)
  return model


def _params(model):
  flat = {}
  for name, parameter in model.named_parameters():
    path = names.to_path(name)
    flat[path] = names.to_flax(path, parameter.detach().numpy().copy())
  return flax.traverse_util.unflatten_dict(flat, sep='/')


def _trained(adaptation, params):
  """A and B as if trained: none of them zero."""
  factors, _ = adaptation.split(params, jax.random.key(0))
  draw = np.random.default_rng(0).normal
  return jax.tree.map(
    lambda leaf: (0.2 * draw(size=leaf.shape)).astype(np.float32), factors
  )


def _pipeline(name, model):
  kind = getattr(diffusers, name)
  parts = dict.fromkeys(list(inspect.signature(kind).parameters)[:-1])
  return kind(**{**parts, 'unet': model}, requires_safety_checker=False)


def _inputs(model):
  rng = np.random.default_rng(1)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  level = None
  if model.config.class_embed_type:
    level = np.array([0.01, 250.0], np.float32)
  return (
    normal(2, 8, 8, model.config.in_channels),
    np.array([3.0, 700.5], np.float32),
    normal(2, 7, model.config.encoder_hid_dim),
    level,
  )


def _theirs(model, inputs):
  x, t, text, level = (None if a is None else torch.tensor(a) for a in inputs)
  with torch.no_grad():
    x = x.permute(0, 3, 1, 2)
    output = model(x, t, text, class_labels=level).sample
  return output.permute(0, 2, 3, 1).numpy()


def _error(found, expected):
  return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def _load(pipeline, source, caplog):
  """Loads a LoRA as a user does; nothing may be complained of."""
  caplog.clear()
  diffusers.utils.logging.enable_propagation()
  with caplog.at_level(logging.WARNING), warnings.catch_warnings():
    warnings.simplefilter('error')
    pipeline.load_lora_weights(source)
  diffusers.utils.logging.disable_propagation()
  # Every LoRA of a U-Net alone hears that it has none of the text encoder.
  expected = "found with the prefix='text_encoder'"
  complaints = [r.getMessage() for r in caplog.records]
  assert not [text for text in complaints if expected not in text]


def _loaded(model):
  """{our name of it: tensor} of every LoRA tensor inside a model."""
  return {
    'unet.' + name.replace('.default_0.', '.'): tensor
    for name, tensor in model.state_dict().items()
    if '.lora_' in name
  }


@pytest.mark.parametrize(
  ('kind', 'alpha', 'targets'),
  [
    ('IFPipeline', 0.0, DEFAULT),
    ('IFPipeline', 6.0, ALL),
    ('IFSuperResolutionPipeline', 6.0, DEFAULT),
  ],
)
def test_the_pipeline_draws_what_we_merged(
  kind, alpha, targets, tmp_path, caplog, quick
):
  model = _model(PIPELINES[kind])
  unet, params = unet_lib.from_config(dict(model.config)), _params(model)
  inputs = _inputs(model)
  base = _theirs(model, inputs)
  adaptation = adapt.build(rank=4, alpha=alpha, targets=targets)
  trained = _trained(adaptation, params)
  lora.write(tmp_path, adaptation.lora(trained))
  _load(_pipeline(kind, model), tmp_path, caplog)

  args = ({'params': adaptation.compose(trained, params)}, *inputs)
  merged = quick(unet.apply, *args)(*args)
  theirs = _theirs(model, inputs)
  assert _error(merged, theirs) <= 1e-4
  assert _error(base, theirs) > 0.1


def test_every_tensor_finds_its_place(tmp_path, caplog):
  """Where all matrices have one, none is left over and none is made up."""
  model = _model(PIPELINES['IFPipeline'])
  adaptation = adapt.build(rank=4, targets=ALL)
  trained = _trained(adaptation, _params(model))
  matrices = {
    f'unet.{name}.lora_{factor}.weight'
    for name, module in model.named_modules()
    if isinstance(module, torch.nn.Linear) or name.endswith('conv_shortcut')
    for factor in 'AB'
  }
  lora.write(tmp_path, adaptation.lora(trained))
  _load(_pipeline('IFPipeline', model), tmp_path / lora.FILE, caplog)
  found = _loaded(model)
  written = safetensors.numpy.load_file(tmp_path / lora.FILE)
  assert found.keys() == written.keys() == matrices
  for name, tensor in written.items():
    np.testing.assert_array_equal(found[name].numpy(), tensor, err_msg=name)
