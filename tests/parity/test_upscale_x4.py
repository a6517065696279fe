"""launch/upscale_x4.py, on an upscaler of random weights."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip('torch', reason='the upscaler needs torch')
diffusers = pytest.importorskip('diffusers', reason='it is of diffusers')
transformers = pytest.importorskip('transformers', reason='CLIP is of it')
pytestmark = pytest.mark.parity

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def script():
  path = ROOT / 'launch/upscale_x4.py'
  spec = importlib.util.spec_from_file_location('upscale_x4', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def run(tmp_path):
  """The files that the script reads of a finished run of two stages."""
  images = []
  for n in range(2):
    files = {name: f'{name}/000{n}.png' for name in ('stage_1', 'stage_2')}
    for side, path in zip((8, 16), files.values(), strict=True):
      path = tmp_path / 'samples' / path
      path.parent.mkdir(parents=True, exist_ok=True)
      pixels = np.full((side, side, 3), 40 + 100 * n, np.uint8)
      Image.fromarray(pixels).save(path)
    images.append(files)
  entry = {'template': 'a {subject} at sea', 'prompt': 'a zk dog at sea'}
  index = [{**entry, 'images': images}]
  (tmp_path / 'samples/samples.json').write_text(json.dumps(index))
  (tmp_path / 'identifier').mkdir()
  identifier = {'text': 'zk', 'class_noun': 'dog'}
  path = tmp_path / 'identifier/identifier.json'
  path.write_text(json.dumps(identifier))
  return tmp_path


def _tokenizer(folder: pathlib.Path):
  """CLIP's, with a vocabulary of letters."""
  letters = 'abcdefghijklmnopqrstuvwxyz'
  pieces = [*letters, *(f'{c}</w>' for c in letters)]
  marks = ['<|startoftext|>', '<|endoftext|>']
  vocabulary = {piece: n for n, piece in enumerate([*pieces, *marks])}
  (folder / 'vocab.json').write_text(json.dumps(vocabulary))
  (folder / 'merges.txt').write_text('#version: 0.2\n')
  (folder / 'tokenizer_config.json').write_text(
    json.dumps({'tokenizer_class': 'CLIPTokenizer', 'model_max_length': 16})
  )
  return transformers.CLIPTokenizer.from_pretrained(folder)


@pytest.fixture(scope='module')
def upscaler(tmp_path_factory):
  torch.manual_seed(0)
  text = transformers.CLIPTextConfig(
    vocab_size=54,
    hidden_size=8,
    intermediate_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=16,
    bos_token_id=52,
    eos_token_id=53,
  )
  down = ('DownBlock2D', 'CrossAttnDownBlock2D')
  up = ('CrossAttnUpBlock2D', 'UpBlock2D')
  unet = diffusers.UNet2DConditionModel(
    sample_size=16,
    in_channels=7,
    out_channels=4,
    block_out_channels=(8, 16),
    layers_per_block=1,
    down_block_types=down,
    up_block_types=up,
    cross_attention_dim=8,
    attention_head_dim=4,
    norm_num_groups=4,
    num_class_embeds=1000,
  )
  vae = diffusers.AutoencoderKL(
    block_out_channels=(8, 8, 8),
    down_block_types=('DownEncoderBlock2D',) * 3,
    up_block_types=('UpDecoderBlock2D',) * 3,
    norm_num_groups=4,
    latent_channels=4,
  )
  pipeline = diffusers.StableDiffusionUpscalePipeline(
    vae=vae,
    text_encoder=transformers.CLIPTextModel(text),
    tokenizer=_tokenizer(tmp_path_factory.mktemp('tokenizer')),
    unet=unet,
    low_res_scheduler=diffusers.DDPMScheduler(),
    scheduler=diffusers.DDIMScheduler(),
  )
  pipeline.set_progress_bar_config(disable=True)
  return pipeline


def test_every_sample_is_written_at_four_times_its_size(script, run, upscaler):
  options = dict(steps=2, guidance_scale=2.0, noise_level=100, seed=3)
  written = script.upscale(upscaler, run, **options)
  assert [path.name for path in written] == ['0000.png', '0001.png']
  first, second = (np.asarray(Image.open(path)) for path in written)
  assert first.shape == second.shape == (64, 64, 3)
  assert (first != second).any()
  script.upscale(upscaler, run, **options)
  np.testing.assert_array_equal(np.asarray(Image.open(written[0])), first)


def test_the_upscaler_is_told_the_class_and_the_highest_stage(script, run):
  assert script.samples(run) == [
    ('a dog at sea', run / f'samples/stage_2/000{n}.png') for n in range(2)
  ]


def test_each_of_several_subjects_is_its_class(script, run):
  identifier = {'class_noun': 'dog', 'others': [{'class_noun': 'teapot'}]}
  (run / 'identifier/identifier.json').write_text(json.dumps(identifier))
  index = json.loads((run / 'samples/samples.json').read_text())
  index[0]['template'] = 'a {subject} and a {class_noun_2} by a {subject_2}'
  (run / 'samples/samples.json').write_text(json.dumps(index))
  assert script.samples(run)[0][0] == 'a dog and a teapot by a teapot'


def test_a_run_without_samples_is_named(script, tmp_path):
  with pytest.raises(SystemExit, match='samples.json is missing'):
    script.samples(tmp_path)
