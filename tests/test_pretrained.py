"""Truths of finding a cascade: in directories, pipelines and the hub."""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dog
from dbflax import cascade, errors, job, pretrained, workdir
from dbflax.weights import diffusers, files

TINY = pretrained.ASSETS / 'tiny'


def test_a_stage_is_what_its_files_say(tiny):
  base, middle, top = (tiny.stages[name] for name in cascade.STAGES)
  assert [s.resolution for s in (base, middle, top)] == [16, 32, 64]
  assert not base.is_super_resolution
  assert middle.is_super_resolution
  assert top.is_super_resolution
  assert base.prediction_type == 'sample'
  assert base.schedule.num_steps == 1000


def test_only_the_stages_wanted_are_read(tiny_folder):
  assert pretrained.load(tiny_folder, stages=()).stages == {}
  options = {'stage_2': {'dtype': jnp.bfloat16, 'remat': 'dots'}}
  one = pretrained.load(tiny_folder, ('stage_2',), options).stages
  assert list(one) == ['stage_2']
  assert one['stage_2'].unet.dtype == jnp.bfloat16
  assert one['stage_2'].unet.remat == 'dots'


def test_parameters_are_found_in_the_cascades_folder(
  tiny, random_params, tmp_path
):
  folders = {'text_encoder': tmp_path, 'stage_1': tmp_path / 'stage_1'}
  moved = dataclasses.replace(tiny, folders=folders)
  for seed, name in enumerate(folders):
    params = random_params(pretrained.abstract_params(tiny, name), seed)
    folder = pretrained.weights_folder(moved, name)
    diffusers.write_params(folder, params, np.float32)
    found = pretrained.load_params(moved, name)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_a_networks_files_are_all_that_its_results_depend_on():
  model = pretrained.load('tiny')
  assert set(pretrained.sources(model, 'stage_2')) == {
    'unet/config.json',
    'unet/diffusion_pytorch_model.safetensors',
    'scheduler/scheduler_config.json',
    'image_noising_scheduler/scheduler_config.json',
  }


def test_an_unknown_cascade_is_refused():
  with pytest.raises(errors.UserError, match='no-such.*not a directory'):
    pretrained.resolve('no-such')


def test_a_path_is_no_embedded_cascade(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for path in ('.', '..'):
    assert pretrained.resolve(path).samefile(path)
  assert pretrained.resolve('tiny') == TINY


def test_a_folder_that_is_no_cascade_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match='config.json is missing'):
    pretrained.load(tmp_path)


@pytest.mark.parametrize(
  ('file', 'change', 'message'),
  [
    *(
      (f'{folder}/scheduler_config.json', {'prediction_type': 'flow'}, "'flow'")
      for folder in ('scheduler', 'image_noising_scheduler')
    ),
    (
      'scheduler/scheduler_config.json',
      {'variance_type': 'learned_range'},
      'learned_range.*6.*has 3',
    ),
  ],
)
def test_a_stage_that_is_not_computed_is_refused(
  tmp_path, file, change, message
):
  shutil.copytree(TINY / 'stage_2', tmp_path / 'stage_2')
  # Without a learned variance there are three channels less.
  changes = {'unet/config.json': {'out_channels': 3}, file: change}
  for name, fields in changes.items():
    path = tmp_path / 'stage_2' / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
  with pytest.raises(errors.UserError, match=message):
    pretrained.load_stage(tmp_path / 'stage_2', 'stage_2')


def test_stages_that_are_shipped_apart_make_a_cascade(tmp_path, pipelines):
  at = pipelines(tmp_path)
  stages = ('stage_1', 'stage_2')
  apart = pretrained.load(
    at['IF-I'], stages, elsewhere={'stage_2': at['IF-II'], 'stage_3': ''}
  )
  whole = pretrained.load('tiny', stages)
  assert apart.stages == whole.stages
  assert apart.encoder == whole.encoder
  for name in ('text_encoder', *stages):
    found, expected = (pretrained.load_params(m, name) for m in (apart, whole))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_pipeline_is_not_taken_for_the_stage_above_it(tmp_path, pipelines):
  at = pipelines(tmp_path)
  with pytest.raises(errors.UserError, match='stage_2.*is missing'):
    pretrained.load(at['IF-I'], ('stage_1', 'stage_2'))


def _edited(folder: pathlib.Path, part: str, **fields) -> pathlib.Path:
  """A copy of the tiny cascade with another value in one of its files."""
  shutil.copytree(TINY, folder)
  path = folder / part
  path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
  return folder


@pytest.mark.parametrize(
  ('part', 'fields', 'message'),
  [
    ('stage_1/unet/config.json', {'encoder_hid_dim': 64}, '64 channels.* 96'),
    ('stage_2/unet/config.json', {'in_channels': 3}, '3 channels, not 6'),
    ('stage_2/unet/config.json', {'sample_size': 16}, '16 pixels.* 16'),
  ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, part, fields, message):
  with pytest.raises(errors.UserError, match=message):
    pretrained.load(_edited(tmp_path / 'cascade', part, **fields))


@pytest.mark.parametrize('revision', ['', '@v1.0'])
def test_a_repository_that_was_fetched_is_read_offline(
  hub_cache, tmp_path, pipelines, revision
):
  at = pipelines(tmp_path)
  hub_cache('DeepFloyd/IF-I', tmp_path / 'IF-I')
  model = pretrained.load(f'DeepFloyd/IF-I{revision}', ('stage_1',))
  here = pretrained.load(at['IF-I'], ('stage_1',))
  assert model.stages == here.stages
  found, expected = (
    pretrained.load_params(m, 'stage_1') for m in (model, here)
  )
  jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize('source', ['nobody/nothing', 'DeepFloyd/IF-I@v9'])
def test_a_repository_that_cannot_be_had_is_named(
  hub_cache, tmp_path, pipelines, source
):
  pipelines(tmp_path)
  hub_cache('DeepFloyd/IF-I', tmp_path / 'IF-I')
  with pytest.raises(errors.UserError, match=f'{source}.*cannot be had'):
    pretrained.load(source)


def test_a_variant_is_read_and_its_absence_is_named(tmp_path, pipelines):
  at = pipelines(tmp_path)
  half = files.Format('fp16')
  with pytest.raises(errors.UserError, match="variant 'fp16'.*plain|cascade.v"):
    pretrained.load_params(
      pretrained.load(at['IF-I'], ('stage_1',), wanted=half), 'stage_1'
    )
  for folder in ('unet', 'text_encoder'):
    [plain] = files.find(tmp_path / 'IF-I' / folder)
    plain.rename(plain.with_name(f'{plain.stem}.fp16.safetensors'))
  model = pretrained.load(at['IF-I'], ('stage_1',), wanted=half)
  found = pretrained.load_params(model, 'stage_1')
  expected = pretrained.load_params(pretrained.load('tiny'), 'stage_1')
  jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize('variant', ['if_m', 'if_l', 'if_xl'])
def test_a_run_finds_deepfloyds_repositories(
  hub_cache, tmp_path, pipelines, monkeypatch, variant
):
  """All that a run reads before it writes, of networks of another size."""
  pipelines(tmp_path)
  config = dog.get_config(variant)
  where = config.cascade
  hub_cache(where.path, tmp_path / 'IF-I')
  hub_cache(where.stage_2, tmp_path / 'IF-II')
  config.mesh.fsdp = 1  # the one device here
  work = workdir.Workdir(tmp_path / 'run', config.name)
  started = job.start(config, work)
  assert list(started.model.stages) == ['stage_1', 'stage_2']
  for stage in started.model.stages.values():
    assert stage.unet.dtype == 'bfloat16' and stage.unet.remat == 'dots'
  text = started.embed(['a dog'])
  assert text.shape == (1, 77, 96) and np.isfinite(text).all()
