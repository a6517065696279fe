"""Pre-training, a few steps of it on the tiny architecture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import toybox
from dbflax import disk, errors, pretrained
from dbflax.diffusion import lowres
from dbflax.toybox import stream
from dbflax.train import pretrain


def _config(target):
  config = toybox.get_config('tiny')
  config.target = target
  config.max_length = 12
  config.text_encoder.update(steps=3, batch=4, checkpoint_every=2)
  base = (
    dict(resolution=8, crop=0, batch=4, steps=2),
    dict(resolution=16, crop=0, batch=2, steps=1),
  )
  config.stage_1.update(phases=base, warmup=1, checkpoint_every=2)
  crops = (dict(resolution=16, crop=8, batch=2, steps=2),)
  config.stage_2.update(phases=crops, warmup=1)
  return config


def _train(folder, target):
  pretrain.run(_config(target), folder / 'cascade', folder / target)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A folder in which all targets but the last were trained in turn."""
  folder = tmp_path_factory.mktemp('pretrain')
  for target in ('text_encoder', 'stage_1', 'stage_2'):
    _train(folder, target)
  return folder


def test_what_is_written_is_a_cascade(trained):
  model = pretrained.load(trained / 'cascade', ('stage_1', 'stage_2'))
  for name in ('text_encoder', 'stage_1', 'stage_2'):
    params = pretrained.load_params(model, name)
    assert params
  out = pretrained.load_params(model, 'stage_1')['conv_out']['kernel']
  assert np.abs(out).max() > 0  # It begins at zero.


def test_phases_follow_each_other(trained):
  log = disk.read_log(trained / 'stage_1/metrics.jsonl')
  assert [line['step'] for line in log] == [0, 1, 2]
  phases = [dict(p) for p in _config('stage_1').stage_1.phases]
  sizes = [pretrain._phase(phases, n)['resolution'] for n in range(3)]
  assert sizes == [8, 8, 16]


def test_a_finished_training_writes_the_same_weights_again(trained):
  path = trained / 'cascade/stage_1/unet/diffusion_pytorch_model.safetensors'
  before = disk.file_fingerprint(path)
  path.unlink()
  _train(trained, 'stage_1')
  assert disk.file_fingerprint(path) == before


def test_another_architecture_is_not_written_over(trained):
  config = _config('stage_1')
  config.architecture['stage_1/unet/config'].norm_num_groups = 2
  with pytest.raises(errors.UserError, match='differs from config.architect'):
    pretrain.run(config, trained / 'cascade', trained / 'stage_1')


def test_scenes_sampled_for_captions_are_those_of_their_step():
  root = jax.random.key(3)
  sampled = stream.host_scenes(root)(7, 2)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    sampled,
    jax.device_get(stream.scenes(root, 7, 2)),
  )


@pytest.mark.parametrize('crop', [24, 160])
def test_the_lower_image_is_drawn_where_the_crop_looks(crop):
  """What the network is given equals a crop of the whole lower image."""
  scenes = stream.host_scenes(jax.random.key(0))(0, 3)
  last = 160 - crop
  corner = jnp.array([[0, last], [last // 2, 7 % (last + 1)], [last, last]])
  draw = jax.jit(pretrain._lower, static_argnums=(1, 2, 4))
  part = draw(scenes, 40, 160, corner, crop)
  whole = jax.jit(stream.images, static_argnums=1)(scenes, 40)
  window = (corner[:, 0], corner[:, 1], crop)
  np.testing.assert_allclose(
    lowres.upsample(part, 160, window),
    lowres.upsample(whole, 160, window),
    atol=5e-3,
  )
