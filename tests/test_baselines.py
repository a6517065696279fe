"""Whole runs of the baselines on the tiny cascade, and what they refuse."""

import json
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

from dbflax import cascade, disk, main, methods, pretrained
from dbflax.toybox import captions, scene, subjects
from dbflax.train import inversion
from dbflax.weights import diffusers

pytestmark = pytest.mark.usefixtures('compilation_cache')

ROOT = pathlib.Path(__file__).parents[1]
INVERSION = (
  'method=textual_inversion',
  'inversion.num_vectors=2',
  'inversion.learning_rate=0.1',
  'inversion.checkpoint_every=1',
)
PROMPT_ONLY = ('method=prompt_only', 'subject.description=an orange dog')


@pytest.fixture(scope='module')
def path(tmp_path_factory, random_params):
  """A tiny cascade whose base heeds the text; that of the assets is zero."""
  folder = tmp_path_factory.mktemp('cascade') / 'tiny'
  shutil.copytree(pretrained.ASSETS / 'tiny', folder)
  stage = pretrained.load(folder, ('stage_1',)).stages['stage_1']
  init = lambda key: cascade.init_stage(stage, key)
  params = random_params(jax.eval_shape(init, jax.random.key(0)))
  diffusers.write_params(folder / 'stage_1/unet', params, np.float32)
  return folder


@pytest.fixture(scope='module')
def call(path, compilation_cache):
  """call(mode, folder, *options) → the exit code."""

  def run(mode, folder, *options, dry_run=False):
    fields = (f'cascade.path={path}', 'cascade.stages=("stage_1",)', *options)
    return main.main(
      [
        'dbflax',
        f'--config={ROOT / "configs/test.py"}',
        f'--mode={mode}',
        f'--workdir={folder}',
        *(['--dry_run'] if dry_run else []),
        *(f'--config.{field}' for field in fields),
      ]
    )

  return run


def states(call, capsys, folder, *options):
  """What --dry_run says: step → what would be done."""
  capsys.readouterr()
  assert call('run', folder, *options, dry_run=True) == 0
  lines = capsys.readouterr().out.splitlines()
  return dict(line.split(maxsplit=1) for line in lines)


def read(file):
  return json.loads(file.read_text())


# --- Textual Inversion -------------------------------------------------------


@pytest.fixture(scope='module')
def inverted(call, tmp_path_factory):
  """The workdir of a whole run."""
  folder = tmp_path_factory.mktemp('run') / 'a'
  assert call('run', folder, *INVERSION) == 0
  return folder


def vectors(folder):
  file = folder / 'inversion/learned_embeds.safetensors'
  return safetensors.numpy.load_file(file)


def test_the_vectors_are_learned_and_nothing_else(inverted, path):
  word = read(inverted / 'identifier/identifier.json')['text']
  [(token, learned)] = vectors(inverted).items()
  assert token == f'<{word}>' and learned.shape == (2, 96)
  model = pretrained.load(path, ())
  table = pretrained.load_params(model, 'text_encoder')['shared']['embedding']
  [dog] = model.tokenizer.encode('dog')
  # Two vectors that started alike went their own ways.
  assert np.abs(learned - table[dog]).max(axis=1).min() > 0.1
  assert np.abs(learned[0] - learned[1]).max() > 1e-3
  assert not (inverted / 'stage_1').exists()
  assert not (inverted / 'prior').exists()
  log = disk.read_log(inverted / 'inversion/metrics.jsonl')
  assert [line['step'] for line in log] == [0, 1, 2, 3]
  assert len(list((inverted / 'inversion/samples').glob('*.png'))) == 2


def test_prompts_say_the_pseudo_word_alone(inverted):
  word = read(inverted / 'identifier/identifier.json')['subject']
  samples = read(inverted / 'samples/samples.json')
  assert [entry['prompt'] for entry in samples] == [
    f'a photo of a {word} on the beach',
    f'a painting of a {word}',
  ]
  page = (inverted / 'report/index.html').read_text()
  assert '<dd>textual_inversion</dd>' in page and 'Inversion after 4' in page


def test_what_a_change_makes_stale(inverted, call, capsys):
  found = states(call, capsys, inverted, *INVERSION)
  steps = ('photos', 'identifier', 'inversion', 'samples', 'report')
  assert found == dict.fromkeys(steps, 'skipped, up to date')
  for option, reason in {
    'inversion.steps=5': 'settings',
    'inversion.templates=("a {subject}",)': 'settings, prompts',
    'stage_1.weighting=simple': 'loss',
    'seed=1': 'seed',
  }.items():
    found = states(call, capsys, inverted, *INVERSION, option)
    assert found['inversion'] == f'redone, {reason} changed', option
    assert found['samples'].startswith('redone'), option
  found = states(call, capsys, inverted, *INVERSION, 'stage_1.steps=9')
  assert found.pop('report') == 'redone, config changed'
  assert set(found.values()) == {'skipped, up to date'}


def test_other_vectors_are_embedded_anew(inverted, call, tmp_path):
  """Samples follow the vectors, and the embeddings are of either run."""
  folder = tmp_path / 'a'
  shutil.copytree(inverted, folder)
  kept = {p.name for p in (folder / 'embeddings').iterdir()}
  images = lambda: [
    p.read_bytes() for p in sorted((folder / 'samples').rglob('*.png'))
  ]
  before = images()
  options = (*INVERSION, 'inversion.templates=("a {subject}",)')
  assert call('sample', folder, *options) == 0
  assert images() != before
  assert len({p.name for p in (folder / 'embeddings').iterdir()} - kept) == 3


def test_a_killed_inversion_resumes_exactly(inverted, call, tmp_path, dying):
  with dying(inversion, 'make_step'):
    assert call('train', tmp_path / 'a', *INVERSION) == 130
  assert not (tmp_path / 'a/inversion/manifest.json').exists()
  assert call('train', tmp_path / 'a', *INVERSION) == 0
  for token, learned in vectors(inverted).items():
    np.testing.assert_array_equal(vectors(tmp_path / 'a')[token], learned)


def test_an_export_is_the_cascade_and_the_vectors(inverted, call, path):
  assert call('export', inverted, *INVERSION) == 0
  out = inverted / 'export'
  for ours, theirs in (
    ('unet/diffusion_pytorch_model', 'stage_1/unet/diffusion_pytorch_model'),
    ('text_encoder/model', 'text_encoder/model'),
  ):
    pair = out / f'{ours}.safetensors', path / f'{theirs}.safetensors'
    assert pair[0].read_bytes() == pair[1].read_bytes()
  learned = safetensors.numpy.load_file(out / 'learned_embeds.safetensors')
  [(token, _)] = learned.items()
  readme = (out / 'README.md').read_text()
  assert f"'a photo of a {token} {token}_1 on the beach'" in readme
  compile(readme.partition('```python\n')[2].partition('```')[0], '', 'exec')


# --- Prompt only -------------------------------------------------------------


@pytest.fixture(scope='module')
def described(call, tmp_path_factory):
  folder = tmp_path_factory.mktemp('run') / 'b'
  assert call('run', folder, *PROMPT_ONLY) == 0
  return folder


def test_a_description_is_all_there_is(described):
  samples = read(described / 'samples/samples.json')
  assert [(entry['template'], entry['prompt']) for entry in samples] == [
    (
      'a photo of a {subject} on the beach',
      'a photo of an orange dog on the beach',
    ),
    ('a painting of a {subject}', 'a painting of an orange dog'),
  ]
  for name in ('prior', 'stage_1', 'inversion'):
    assert not (described / name).exists()
  page = (described / 'report/index.html').read_text()
  assert '<dd>prompt_only</dd>' in page
  assert '<mark>orange dog</mark>' in page and '<mark></mark>' not in page


def test_samples_are_scored_as_any_methods(described, call):
  assert call('evaluate', described, *PROMPT_ONLY) == 0
  scores = read(described / 'evaluate/scores.json')
  asked = scores['figures']['toybox oracle']
  # Of a dog on the beach, or painted; of the colour nobody is asked.
  assert 'prompt_fidelity/place' in asked
  assert 'prompt_fidelity/colour' not in asked


@pytest.mark.parametrize('options', [INVERSION, PROMPT_ONLY])
def test_a_plan_has_what_is_done_and_no_more(call, tmp_path, capsys, options):
  assert call('plan', tmp_path / 'a', *options) == 0
  names = [row['name'] for row in read(tmp_path / 'a/plan.json')['rows']]
  learned = ['inversion', 'inversion previews'] if options is INVERSION else []
  assert names == [*learned, 'text', 'stage_1 samples']
  assert 'stage_1 samples' in capsys.readouterr().out


def test_training_nothing_says_so(described, call, capsys):
  assert call('train', described, *PROMPT_ONLY) == 0
  assert 'Nothing to train' in capsys.readouterr().out


# --- What does not fit -------------------------------------------------------


@pytest.mark.parametrize(
  ('mode', 'options', 'words'),
  [
    ('prior', INVERSION, 'no class images'),
    ('prior', PROMPT_ONLY, 'no class images'),
    ('identifier', PROMPT_ONLY, 'subject.description'),
    ('export', PROMPT_ONLY, 'trains nothing'),
    ('run', PROMPT_ONLY[:1], 'subject.description'),
    ('run', ('method=dreamboth',), 'must be one of'),
  ],
)
def test_a_mode_that_does_not_fit_is_one_line(
  call, tmp_path, capsys, mode, options, words
):
  assert call(mode, tmp_path / 'a', *options) == 2
  [line] = capsys.readouterr().err.strip().splitlines()
  assert words in line
  assert not (tmp_path / 'a').exists()


# --- Words -------------------------------------------------------------------


@pytest.mark.parametrize('subject', ['dog', 'teapot'])
def test_embedded_descriptions_are_in_the_words_of_captions(subject):
  module = __import__(f'configs.{subject}', fromlist=['get_config'])
  config = module.get_config('prompt_only')
  said = re.findall(r'\w+', methods.subject(config, ''))
  known = {word for p in captions.phrases() for word in p.split()}
  assert {*said} <= known | {'and'}
  assert said[-1] == config.subject.class_noun
  # A colour of the individual for each of its paints.
  numbers = np.asarray(subjects.individual(subjects.SUBJECTS[subject]))
  paints = (scene.PRIMARY, scene.SECONDARY, scene.ACCENT)
  colours = [w for w in said if w in scene.COLOURS]
  for colour, paint in zip(colours, paints, strict=False):
    away = np.square(scene.COLOUR_RGB - numbers[paint]).sum(-1)
    assert scene.COLOURS[away.argmin()] == colour
  assert len(colours) == (2 if subject in scene.ANIMALS else 3)


@pytest.mark.parametrize(
  ('description', 'template', 'prompt'),
  [
    ('orange dog', 'A {subject} in a hat', 'An orange dog in a hat'),
    ('The white dog', 'a photo of a {subject}', 'a photo of a white dog'),
    ('orange dog', 'a happy {subject}', 'a happy orange dog'),
    ('tan and white dog', 'a {subject}', 'a tan and white dog'),
    ('dog with a hat', 'a {subject}', 'a dog with a hat'),
    ('Orange dog', 'a {subject}', 'an Orange dog'),
    ('orange dog', 'a {class_noun}', 'a dog'),
  ],
)
def test_articles_fit_the_description(description, template, prompt):
  config = __import__('configs.dog', fromlist=['x']).get_config('prompt_only')
  config.subject.description = description
  assert methods.fill(config, template, '') == prompt
