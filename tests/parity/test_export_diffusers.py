"""What we export draws the same pictures in diffusers, given the same noise."""

import json
import shutil

import jax
import numpy as np
import pytest

from benchmarks import networks
from dbflax import cascade, export, main, pretrained
from dbflax.text import embed
from dbflax.weights import diffusers as diffusers_files
from dbflax.weights import vectors

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity

PROMPT = 'a photo of a dog on the beach'
# A level that is a whole number of schedule steps, as diffusers wants it.
NOISE_LEVEL = 0.02
KEYS = jax.vmap(jax.random.key)(np.arange(2))


@pytest.fixture(scope='module')
def tiny_export(tmp_path_factory, random_params):
  """The tiny cascade with other weights, exported."""
  folder, model = tmp_path_factory.mktemp('export'), pretrained.load('tiny')
  tuned = {}
  for seed, name in enumerate(model.stages):
    tuned[name] = folder / 'run' / name / 'unet'
    shapes = pretrained.abstract_params(model, name)
    params = random_params(shapes, seed)
    # Logits of the learned variance, which training keeps in about -1 … 1.
    params['conv_out']['kernel'][..., 3:] *= 0.2
    diffusers_files.write_params(tuned[name], params, np.float32)
  export.write(folder / 'export', model, tuned)
  options = cascade.Sampling('ancestral', 2, 3.0, NOISE_LEVEL)
  sampling = dict.fromkeys(model.stages, options)
  text = export.card('a dog', 'toybox:dog', PROMPT, sampling)
  (folder / 'export/README.md').write_text(text)
  return folder / 'export'


@pytest.fixture(scope='module')
def toybox_export(tmp_path_factory):
  """The embedded cascade, the same."""
  work = tmp_path_factory.mktemp('run')
  options = ['--config=configs/dog.py', '--config.prior.weight=0.0']
  for n in (1, 2, 3):
    options.append(f'--config.stage_{n}.steps=20')
    options.append(f'--config.stage_{n}.sample_every=0')
  assert (
    main.main(['main', *options, '--mode=export', f'--workdir={work}']) == 0
  )
  return work / 'export'


class Noise:
  """What diffusers draws at random, in the order that it asks for it."""

  def __init__(self, stage: cascade.Stage, steps: int):
    shape = (stage.resolution, stage.resolution, 3)
    draw = lambda stream, step: cascade.image_noise(
      KEYS, shape, f'{stage.name}/{stream}'
    )(step)
    first = [draw('start', 0)]
    if stage.is_super_resolution:
      first.append(draw('lowres', 0))
    self._given = iter([*first, *(draw('steps', i) for i in range(steps))])

  def __call__(self, shape, **_):
    found = _to_torch(next(self._given))
    assert found.shape == tuple(shape)
    return found


def _to_torch(images):
  return torch.tensor(np.asarray(images).transpose(0, 3, 1, 2))


def _draw_theirs(folder, stage, noise, monkeypatch, text, low, **settings):
  """Pictures [B, R, R, 3] in [0, 1], by diffusers."""
  from diffusers.pipelines.deepfloyd_if import (
    pipeline_if,
    pipeline_if_superresolution,
  )
  from diffusers.schedulers import scheduling_ddpm

  for module in (pipeline_if, pipeline_if_superresolution, scheduling_ddpm):
    monkeypatch.setattr(module, 'randn_tensor', noise)
  if low is None:
    pipeline = diffusers.IFPipeline.from_pretrained(folder, dtype=torch.float32)
  else:
    kind = diffusers.IFSuperResolutionPipeline
    pipeline = kind.from_pretrained(folder / stage.name, dtype=torch.float32)
    settings |= {
      'image': _to_torch(low),
      'noise_level': round(1000 * NOISE_LEVEL),
    }
  pipeline.set_progress_bar_config(disable=True)
  text, null_text = (torch.tensor(states) for states in text)
  return pipeline(
    prompt_embeds=text,
    negative_prompt_embeds=null_text,
    output_type='np',
    **settings,
  ).images


def _text(folder):
  """(the prompt's embedding, the empty prompt's), by diffusers."""
  pipeline = diffusers.IFPipeline.from_pretrained(folder, dtype=torch.float32)
  states = pipeline.encode_prompt(PROMPT, num_images_per_prompt=len(KEYS))
  return tuple(part.numpy() for part in states)


def _assert_same_pictures(folder, steps, guidance_scale, monkeypatch):
  """Every stage, given what the one below has drawn."""
  model = pretrained.load(folder)
  encoder = pretrained.load_params(model, 'text_encoder')
  ours = embed.embed(model.encoder, encoder, model.tokenizer, [PROMPT, ''])
  theirs = _text(folder)
  for mine, states in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(mine, states[0], atol=1e-4)
  text = np.broadcast_to(ours[0], theirs[0].shape)
  low = None
  for name, stage in model.stages.items():
    options = cascade.Sampling('ancestral', steps, guidance_scale, NOISE_LEVEL)
    params = pretrained.load_params(model, name)
    lower = () if low is None else (low,)
    draw = cascade.make_sampler(stage, options)
    found = np.asarray(draw(params, text, ours[1], KEYS, *lower))
    expected = _draw_theirs(
      folder,
      stage,
      Noise(stage, steps),
      monkeypatch,
      theirs,
      low,
      num_inference_steps=steps,
      guidance_scale=guidance_scale,
    )
    worst = np.abs((found + 1) / 2 - expected).max() * 255
    assert worst <= 2, (name, worst)
    assert found.std() > 0.05
    low = found


def test_the_tiny_cascade_draws_the_same_pictures(tiny_export, monkeypatch):
  _assert_same_pictures(tiny_export, 3, 3.0, monkeypatch)


def test_deepfloyds_schedulers_draw_the_same_pictures(
  tiny_export, tmp_path, monkeypatch
):
  """Noise is predicted, the variance learned, times lead to 0."""
  folder = tmp_path / 'export'
  shutil.copytree(tiny_export, folder)
  for path in folder.rglob('scheduler/scheduler_config.json'):
    of_base = path.parents[1] == folder
    config = networks.scheduler('stage_1' if of_base else 'stage_2')
    path.write_text(json.dumps({'_class_name': 'DDPMScheduler', **config}))
  _assert_same_pictures(folder, 3, 3.0, monkeypatch)


@pytest.mark.slow
def test_the_embedded_cascade_draws_the_same(toybox_export, monkeypatch):
  _assert_same_pictures(toybox_export, 4, 3.0, monkeypatch)


def test_the_readme_of_an_export_can_be_followed(tiny_export, monkeypatch):
  readme = (tiny_export / 'README.md').read_text()
  code = readme.partition('```python\n')[2].partition('```')[0]
  monkeypatch.chdir(tiny_export)
  drawn = {}
  exec(code, drawn)
  assert [image.size for image in drawn['image']] == [(64, 64)]


def test_the_readme_of_learned_vectors_can_be_followed(tmp_path, monkeypatch):
  """diffusers' encoder, with the vectors put in, gives the states of ours."""
  model = pretrained.load('tiny', ('stage_1',))
  learned = np.random.default_rng(0).normal(size=(2, 96)).astype(np.float32)
  vectors.write(tmp_path / 'inversion', 'zk', learned)
  words = ' '.join(vectors.tokens('zk', 2))
  folder = tmp_path / 'export'
  export.write(folder, model, {'stage_1': None}, learned=tmp_path / 'inversion')
  sampling = {'stage_1': cascade.Sampling('ancestral', 2, 3.0)}
  prompt = f'a photo of a {words} on the beach'
  readme = export.card(words, 'toybox:dog', prompt, sampling, learned=True)
  monkeypatch.chdir(folder)
  drawn = {}
  exec(readme.partition('```python\n')[2].partition('```')[0], drawn)
  first = model.encoder.vocab_size
  tokenizer = model.tokenizer.with_word(
    model.tokenizer.encode('zk'), [first, first + 1]
  )
  ours = embed.embed(
    model.encoder,
    pretrained.load_params(model, 'text_encoder'),
    tokenizer,
    ['a photo of a zk on the beach'],
    vectors=vectors.read(tmp_path / 'inversion'),
  )
  np.testing.assert_allclose(drawn['text'].detach(), ours, atol=1e-4)
  assert [image.size for image in drawn['image']] == [(16, 16)]
