"""The whole run on the tiny cascade: what it leaves, skips, redoes, resumes."""

import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy

from configs import test as test_config
from dbflax import cascade, disk, main, pretrained
from dbflax import inputs as inputs_lib
from dbflax import job as job_lib
from dbflax import workdir as workdir_lib
from dbflax.train import step

pytestmark = pytest.mark.usefixtures('compilation_cache')

ROOT = pathlib.Path(__file__).parents[1]
STAGES = cascade.STAGES


def call(mode, folder, *options, dry_run=False):
  """Runs the command in this process; the exit code."""
  return main.main(
    [
      'dbflax',
      f'--config={ROOT / "configs/test.py"}',
      f'--mode={mode}',
      f'--workdir={folder}',
      *(['--dry_run'] if dry_run else []),
      *(f'--config.{option}' for option in options),
    ]
  )


def weights(folder, name='stage_1'):
  path = folder / name / 'unet/diffusion_pytorch_model.safetensors'
  return safetensors.numpy.load_file(path)


def inputs(folder, step_name):
  return json.loads((folder / step_name / 'manifest.json').read_text())[
    'inputs'
  ]


@pytest.fixture(scope='module')
def finished(tmp_path_factory, compilation_cache):
  """The workdir of a whole run."""
  folder = tmp_path_factory.mktemp('run') / 'test'
  assert call('run', folder) == 0
  return folder


def test_run_leaves_every_result(finished):
  assert (finished / 'report/index.html').stat().st_size > 10_000
  assert len(list((finished / 'prior').glob('*.png'))) == 4
  samples = json.loads((finished / 'samples/samples.json').read_text())
  identifier = json.loads((finished / 'identifier/identifier.json').read_text())
  assert len(samples) == 2
  for entry in samples:
    assert identifier['subject'] in entry['prompt']
    for image in entry['images']:
      assert set(image) == set(STAGES)
      assert all((finished / 'samples' / f).is_file() for f in image.values())
  for name in STAGES:
    assert (finished / name / 'checkpoints/4').is_dir()
    assert list((finished / name / 'samples').glob('*.png'))


def test_instance_and_prior_losses_are_logged_apart(finished):
  base = disk.read_log(finished / 'stage_1/metrics.jsonl')
  assert [line['step'] for line in base] == [0, 1, 2, 3]
  assert all({'instance_loss', 'prior_loss'} <= set(line) for line in base)
  above = disk.read_log(finished / 'stage_2/metrics.jsonl')
  assert all('prior_loss' not in line for line in above)


@pytest.mark.parametrize('name', STAGES)
def test_every_unet_tensor_changes(finished, name):
  """Every layer is trained (paper, section 3.2)."""
  before = weights(pretrained.ASSETS / 'tiny', name)
  after = weights(finished, name)
  assert before.keys() == after.keys()
  same = [n for n in before if np.array_equal(before[n], after[n])]
  assert not same


def test_text_encoder_stays_as_it_was(finished):
  """It is frozen: no result holds it, and it still is what was recorded."""
  assert not list(finished.rglob('*text_encoder*'))
  model = pretrained.load('tiny', stages=())
  now = {
    name: disk.file_fingerprint(path)
    for name, path in pretrained.sources(model, 'text_encoder').items()
  }
  assert set(now) == {
    *('text_encoder/config.json', 'text_encoder/model.safetensors'),
    'tokenizer/spiece.model',
  }
  recorded = inputs(finished, 'stage_1')['text_encoder']
  assert recorded == disk.fingerprint(disk.fingerprint(now))


def test_second_run_does_nothing(finished):
  stamp = lambda: {
    path: path.stat().st_mtime_ns
    for path in finished.rglob('*')
    if path.is_file() and path.name not in ('config.json', 'run.lock')
  }
  before = stamp()
  assert call('run', finished) == 0
  assert stamp() == before


@pytest.mark.parametrize('mode', ['report', 'evaluate'])
def test_parts_of_two_subjects_are_not_shown_as_one(
  finished, tmp_path, capsys, mode
):
  folder = tmp_path / 'test'
  shutil.copytree(finished, folder)
  assert call(mode, folder, 'subject.photos=toybox:teapot') == 2
  error = capsys.readouterr().err
  assert 'last run with subject.photos=toybox:dog, not toybox:teapot' in error
  # Stopped while it learns of other photos.
  (folder / 'stage_1' / disk.MANIFEST).unlink()
  assert call(mode, folder) == 2
  assert f"'{folder}/stage_1' is not finished" in capsys.readouterr().err


@pytest.mark.parametrize(
  ('mode', 'option', 'said'),
  [
    ('train', 'stage_3.steps=1', "samples' is of another stage_3"),
    ('prior', 'prior.count=3', "stage_1' is of another prior"),
  ],
)
def test_parts_of_two_trainings_are_not_shown_as_one(
  finished, tmp_path, capsys, mode, option, said
):
  folder = tmp_path / 'test'
  shutil.copytree(finished, folder)
  assert call(mode, folder, option) == 0
  for later in ('report', 'evaluate'):
    assert call(later, folder, option) == 2
    assert f"'{folder}/{said}" in capsys.readouterr().err
  assert call('run', folder) == 0  # with the options that it had at first
  assert call('report', folder) == 0


def test_photos_are_looked_at_before_the_hub_is_asked(tmp_path, capsys):
  options = ('cascade.path=DeepFloyd/IF-I-M-v1.0', 'subject.photos=nowhere')
  assert call('run', tmp_path / 'run', *options, dry_run=True) == 2
  assert "no photo folder 'nowhere'" in capsys.readouterr().err


def dry_run(folder, capsys, *options, mode='run'):
  """What --dry_run says: step → what would be done."""
  before = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
  capsys.readouterr()
  assert call(mode, folder, *options, dry_run=True) == 0
  assert {p: p.stat().st_mtime_ns for p in folder.rglob('*')} == before
  lines = capsys.readouterr().out.splitlines()
  return dict(line.split(maxsplit=1) for line in lines)


STEPS = ('photos', 'identifier', 'prior', *STAGES, 'samples', 'report')


@pytest.mark.parametrize(
  ('option', 'redone'),
  [
    ('stage_1.checkpoint_every=3', {'report': 'config'}),
    ('sample.prompts=("a {subject}",)', {'samples': 'prompts, sample'}),
    ('stage_3.steps=5', {'stage_3': 'settings', 'samples': 'stage_3'}),
    ('prior.weight=0.5', {'stage_1': 'prior_weight', 'samples': 'stage_1'}),
    (
      'prior.steps=3',
      {'prior': 'sampler', 'stage_1': 'prior', 'samples': 'stage_1'},
    ),
    (
      'subject.photos=toybox:teapot',
      {
        **{'photos': 'photos', **dict.fromkeys(STAGES, 'photos')},
        'samples': ', '.join(STAGES),
      },
    ),
  ],
)
def test_what_a_change_makes_stale_is_said(finished, capsys, option, redone):
  """Exactly the steps downstream of it, each with the reason."""
  assert call('run', finished) == 0  # after whatever other tests have done
  found = dry_run(finished, capsys, option)
  expected = dict.fromkeys(STEPS, 'skipped, up to date')
  expected |= {k: f'redone, {v} changed' for k, v in redone.items()}
  if 'report' not in redone:
    expected['report'] = f'redone, after {next(iter(redone))}'
  assert found == expected


def test_a_dry_run_of_nothing_writes_nothing(tmp_path, capsys):
  said = dry_run(tmp_path / 'a', capsys, mode='train')
  assert said == dict.fromkeys(STEPS[:-2], 'new')
  assert dry_run(tmp_path / 'a', capsys) == dict.fromkeys(STEPS, 'new')
  assert not (tmp_path / 'a').exists()
  assert call('plan', tmp_path / 'a', dry_run=True) == 2
  assert '--dry_run goes with' in capsys.readouterr().err


def test_same_seed_gives_the_same_weights(finished, tmp_path):
  assert call('train', tmp_path / 'a', 'cascade.stages=("stage_1",)') == 0
  again, first = weights(tmp_path / 'a'), weights(finished)
  for name, tensor in first.items():
    np.testing.assert_array_equal(again[name], tensor, err_msg=name)


def test_killed_training_resumes_exactly(finished, tmp_path, dying):
  """Stopped after its first checkpoint, it ends in the same bits."""
  options = ('cascade.stages=("stage_1",)',)
  with dying(step, 'make_prior_preservation_step'):
    assert call('train', tmp_path / 'a', *options) == 130
  assert not (tmp_path / 'a/stage_1/manifest.json').exists()
  assert call('train', tmp_path / 'a', *options) == 0
  resumed, first = weights(tmp_path / 'a'), weights(finished)
  for name, tensor in first.items():
    np.testing.assert_array_equal(resumed[name], tensor, err_msg=name)
  log = disk.read_log(tmp_path / 'a/stage_1/metrics.jsonl')
  assert log == disk.read_log(finished / 'stage_1/metrics.jsonl')


def test_class_images_follow_prompt_and_weights(finished, tmp_path):
  """They are redrawn when what they depend on changes, and only then."""
  folder, changed = tmp_path / 'run', tmp_path / 'cascade'
  shutil.copytree(finished, folder)
  shutil.copytree(pretrained.ASSETS / 'tiny', changed)
  shutil.copytree(
    finished / 'stage_1/unet', changed / 'stage_1/unet', dirs_exist_ok=True
  )
  images = lambda: [p.read_bytes() for p in sorted(folder.glob('prior/*.png'))]
  stamp = lambda: (folder / 'prior/0000.png').stat().st_mtime_ns
  first, drawn_at = images(), stamp()
  assert call('prior', folder, 'prior.batch=2') == 0
  assert stamp() == drawn_at
  assert call('prior', folder, f'cascade.path={changed}') == 0
  assert stamp() > drawn_at
  other_weights, drawn_at = images(), stamp()
  assert other_weights != first
  assert (
    call(
      'prior',
      folder,
      f'cascade.path={changed}',
      'prior.prompt=a sad {class_noun}',
    )
    == 0
  )
  assert stamp() > drawn_at
  assert images() != other_weights


@pytest.mark.parametrize(
  ('field', 'value', 'matters'),
  [
    ('text.dtype', 'bfloat16', True),
    ('text.max_length', 20, True),
    ('stage_1.dtype', 'bfloat16', True),
    ('prior.steps', 3, True),
    ('prior.batch', 3, False),
    ('stage_1.steps', 5, False),
  ],
)
def test_what_class_images_depend_on(tmp_path, field, value, matters):
  def recorded(fields):
    config = test_config.get_config()
    config.update_from_flattened_dict(fields)
    work = workdir_lib.Workdir(tmp_path, config.name)
    job = job_lib.start(config, work)
    return disk.fingerprint(inputs_lib.prior(job))

  assert (recorded({}) != recorded({field: value})) == matters


def test_interrupted_class_images_are_completed(finished, tmp_path):
  """Images that were written stay; the missing ones come out as before."""
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  (folder / 'prior/manifest.json').unlink()
  (folder / 'prior/0001.png').unlink()
  kept = (folder / 'prior/0002.png').stat().st_mtime_ns
  assert call('prior', folder) == 0
  assert (folder / 'prior/0002.png').stat().st_mtime_ns == kept
  for n in range(4):
    name = f'prior/{n:04d}.png'
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_without_prior_weight_no_class_images(tmp_path):
  options = ('prior.weight=0.0', 'cascade.stages=("stage_1",)')
  assert call('train', tmp_path / 'a', *options) == 0
  assert not (tmp_path / 'a/prior').exists()
  log = disk.read_log(tmp_path / 'a/stage_1/metrics.jsonl')
  assert all('prior_loss' not in line for line in log)


def test_without_a_class_noun_prompts_say_the_identifier_alone(tmp_path):
  config = test_config.get_config()
  config.subject.class_noun = ''
  config.prior.prompt = 'a dog'
  job = job_lib.start(config, workdir_lib.Workdir(tmp_path, config.name))
  word = job.identifier.text
  assert job.subject == word
  assert set(job.texts()) == {
    *('', f'a {word}', 'a dog'),
    *(f'a photo of a {word} on the beach', f'a painting of a {word}'),
  }
  assert inputs_lib.identifier(job)['class_noun'] == ''


def test_a_lora_is_left_merged_and_alone(finished, tmp_path):
  """Only attention moves, by B A, and nothing else by a single bit."""
  # A network that answers something: tiny's last convolution is zero.
  folder = tmp_path / 'cascade'
  shutil.copytree(pretrained.ASSETS / 'tiny', folder)
  unet = finished / 'stage_1/unet'
  shutil.copytree(unet, folder / 'stage_1/unet', dirs_exist_ok=True)
  options = (
    f'cascade.path={folder}',
    'cascade.stages=("stage_1",)',
    'prior.weight=0.0',
    'stage_1.lora.rank=2',
    'stage_1.learning_rate=1e-2',
    'stage_1.sample_every=0',
  )
  assert call('train', tmp_path / 'a', *options) == 0
  alone = safetensors.numpy.load_file(
    tmp_path / 'a/stage_1/lora/pytorch_lora_weights.safetensors'
  )
  base, merged = weights(finished), weights(tmp_path / 'a')
  adapted = {
    name.removeprefix('unet.').replace('lora_A.weight', 'weight')
    for name in alone
    if 'lora_A' in name
  }
  assert base.keys() == merged.keys() and adapted < base.keys()
  for name, before in base.items():
    if name not in adapted:
      np.testing.assert_array_equal(merged[name], before, err_msg=name)
      continue
    factor = f'unet.{name.removesuffix("weight")}lora_'
    update = alone[f'{factor}B.weight'] @ alone[f'{factor}A.weight']
    assert np.abs(update).max() > 1e-4
    np.testing.assert_allclose(merged[name], before + update, atol=1e-6)


def test_non_finite_loss_stops_in_one_line(tmp_path, capsys):
  options = (
    'prior.weight=0.0',
    'cascade.stages=("stage_1",)',
    'stage_1.learning_rate=1e30',
    'stage_1.sample_every=0',
    'stage_1.steps=6',
  )
  assert call('train', tmp_path / 'a', *options) == 2
  message = capsys.readouterr().err.strip().splitlines()[-1]
  assert 'not finite at step' in message and 'learning rate' in message
  assert not (tmp_path / 'a/stage_1/manifest.json').exists()


def test_prompts_are_drawn_as_they_are_typed(finished, monkeypatch, capsys):
  prompts = [
    config_prompt := test_config.get_config().sample.prompts[0],
    'a {x}',
  ]
  monkeypatch.setattr(
    'sys.stdin', io.StringIO('\n'.join([*prompts, prompts[0]]))
  )
  before = {p: p.read_bytes() for p in finished.glob('samples/**/*.png')}
  assert call('draw', finished) == 0
  said = capsys.readouterr().out.splitlines()
  folders = [finished / 'drawn/0000', finished / 'drawn/0001']
  assert said[0] == f'Drawn: {folders[0]}' and said[2] == f'Drawn: {folders[1]}'
  assert said[1].startswith("dbflax: prompt 'a {x}' must be")
  for folder in folders:
    [entry] = json.loads((folder / 'samples.json').read_text())
    assert entry['template'] == config_prompt
    assert len(list(folder.glob('stage_3/*.png'))) == 2
  first = lambda folder: min((folder / 'stage_1').iterdir())
  drawn = [first(folder).read_bytes() for folder in folders]
  # The first has the noise of the samples, the second its own.
  assert drawn[0] == before[first(finished / 'samples')]
  assert drawn[1] != drawn[0]
  # The samples of the run stay.
  assert before == {p: p.read_bytes() for p in before}


def test_what_a_prompt_was_drawn_with_is_not_the_runs(finished, monkeypatch):
  monkeypatch.setattr('sys.stdin', io.StringIO(''))
  before = (finished / 'config.json').read_bytes()
  assert call('draw', finished, 'sample.stage_1.guidance_scale=7.0') == 0
  assert (finished / 'config.json').read_bytes() == before


@pytest.mark.parametrize('mode', ['draw', 'export'])
def test_what_is_trained_is_not_trained_anew_just_to_use_it(
  finished, mode, capsys
):
  kept = finished / 'stage_1/unet/diffusion_pytorch_model.safetensors'
  before = kept.read_bytes()
  assert call(mode, finished, 'stage_1.steps=3') == 2
  error = capsys.readouterr().err.strip()
  assert len(error.splitlines()) == 1
  assert 'stage_1 would be redone, settings changed' in error
  assert f'--workdir={finished}' in error and '--mode=train' in error
  assert kept.read_bytes() == before


@pytest.mark.parametrize(
  ('option', 'words'),
  [
    ('subject.identifier=zzqqjx', ('zzqqjx',)),
    ('cascade.path=nowhere', ('nowhere', 'cascade.path')),
    ('subject.photos=nowhere', ('nowhere',)),
    ('stage_2.crop=15', ('stage_2.crop=15', 'multiple of 2')),
    ('sample.stage_2.steps=2000', ('2000 steps', 'take fewer')),
    ('prior.steps=2000', ('2000 steps', 'take fewer')),
    ('stage_2.crop=64', ('stage_2.crop=64', 'at most 32')),
    ('stage_1.trainable=attn', ("stage_1.trainable='attn'", 'such as')),
    ('identifier.compare=-1', ('identifier.compare=-1', 'lists ten')),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
  tmp_path, capsys, option, words
):
  assert call('run', tmp_path / 'a', option) == 2
  error = capsys.readouterr().err.strip()
  assert len(error.splitlines()) == 1
  assert all(word in error for word in words)
  assert not (tmp_path / 'a').exists()
