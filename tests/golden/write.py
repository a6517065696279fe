"""Writes the reference outputs that test_golden.py checks without torch.

    python tests/golden/write.py

needs torch, diffusers and transformers. Every file is self-contained: the
configuration, weights (in few bits, exact on both sides), inputs, the
reference's outputs, and the versions that made them. Images are stored with
their channels last; weights under torch's names.
"""

import hashlib
import json
import math
import pathlib
import re

import numpy as np

FOLDER = pathlib.Path(__file__).parent
VOCABULARY = FOLDER.parents[1] / 'dbflax/assets/toybox/tokenizer'

_UNET = {
  'sample_size': 8,
  'in_channels': 3,
  'out_channels': 6,
  'block_out_channels': [8, 16],
  'layers_per_block': 1,
  'down_block_types': [
    'ResnetDownsampleBlock2D',
    'SimpleCrossAttnDownBlock2D',
  ],
  'mid_block_type': 'UNetMidBlock2DSimpleCrossAttn',
  'up_block_types': ['SimpleCrossAttnUpBlock2D', 'ResnetUpsampleBlock2D'],
  'attention_head_dim': 8,
  'cross_attention_dim': 32,
  'cross_attention_norm': 'group_norm',
  'encoder_hid_dim': 16,
  'encoder_hid_dim_type': 'text_proj',
  'addition_embed_type': 'text',
  'addition_embed_type_num_heads': 2,
  'resnet_time_scale_shift': 'scale_shift',
  'act_fn': 'gelu',
  'norm_num_groups': 4,
}
_SUPER = {
  'in_channels': 6,
  'class_embed_type': 'timestep',
  'time_embedding_act_fn': 'gelu',
  'time_embedding_dim': 24,
  'resnet_skip_time_act': True,
  'resnet_out_scale_factor': 1.4142271248762552,
  'mid_block_scale_factor': 1.4142271248762552,
}
UNETS = {
  'unet_base': _UNET,
  'unet_256': {**_UNET, **_SUPER},
  'unet_1024': {**_UNET, **_SUPER, 'only_cross_attention': True},
}
_T5 = {
  'model_type': 't5',
  'vocab_size': 50,
  'd_model': 16,
  'd_kv': 8,
  'd_ff': 24,
  'num_layers': 2,
  'num_heads': 3,
  'feed_forward_proj': 'gated-gelu',
}
# What DeepFloyd publishes for its base.
_SCHEDULER = {
  'num_train_timesteps': 1000,
  'beta_schedule': 'squaredcos_cap_v2',
  'prediction_type': 'epsilon',
}
_THRESHOLD = {
  'thresholding': True,
  'dynamic_thresholding_ratio': 0.95,
  'sample_max_value': 1.5,
}
_PROMPTS = (
  '',
  'a photo of a zk dog on the beach',
  'A Zk  Teapot, painted; 3 cats & a CLOCK!',
  '강아지 on the 해변 🐶',
  'a dog in the snow ' * 12,
)
# A made-up network: eps = a x + b x² + c t, and 0.3 x for the log variance.
_NETWORK = (0.8, 0.1, -2e-4)


def _save(name: str, **arrays) -> None:
  import diffusers
  import torch
  import transformers

  versions = {m.__name__: m.__version__ for m in (torch, diffusers)}
  versions |= {'transformers': transformers.__version__}
  np.savez_compressed(
    FOLDER / f'{name}.npz', versions=json.dumps(versions), **arrays
  )


def _randomise(model, seed: int) -> dict:
  """Draws every weight, hardly one zero or one, and returns them as stored.

  `weights` holds all of them as int8 in the order of `tensors`, a list of
  [name, shape, scale, offset]: weight = scale · int8 + offset, in float32.
  """
  import torch

  rng = np.random.default_rng(seed)
  tensors, weights = [], []
  for name, parameter in model.named_parameters():
    shape = tuple(parameter.shape)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
    scale, is_gain = fan_in**-0.5 / 16, re.search(r'norm.*\.weight$', name)
    offset = 1.0 if is_gain else 0.0
    tensors.append([name, shape, scale, offset])
    steps = np.clip(np.rint(16 * rng.normal(size=shape)), -127, 127)
    weights.append(steps.astype(np.int8).ravel())
    value = steps.astype(np.float32) * np.float32(scale) + np.float32(offset)
    parameter.data = torch.tensor(value)
  return {'tensors': json.dumps(tensors), 'weights': np.concatenate(weights)}


def write_unet(name: str, seed: int) -> None:
  import diffusers
  import torch

  config = UNETS[name]
  model = diffusers.UNet2DConditionModel(**config).eval()
  weights = _randomise(model, seed)
  rng = np.random.default_rng(seed)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  inputs = {
    'x': normal(2, 8, 8, config['in_channels']),
    't': np.array([3.0, 700.5], np.float32),
    'text': normal(2, 5, config['encoder_hid_dim']),
    'level': np.array([0.01, 250.0], np.float32),
  }
  x, t, text, level = map(torch.tensor, inputs.values())
  if 'class_embed_type' not in config:
    level = None
  with torch.no_grad():
    output = model(x.permute(0, 3, 1, 2), t, text, class_labels=level).sample
  output = output.permute(0, 2, 3, 1).numpy()
  config = json.dumps(config)
  _save(name, config=config, **weights, **inputs, output=output)


def write_t5() -> None:
  import torch
  import transformers

  model = transformers.T5EncoderModel(transformers.T5Config(**_T5)).eval()
  weights = _randomise(model, 3)
  ids = np.random.default_rng(3).integers(0, 50, (2, 40)).astype(np.int32)
  mask = (np.arange(40) < np.array([[40], [7]])).astype(np.int32)
  with torch.no_grad():
    states = model(torch.tensor(ids).long(), torch.tensor(mask))[0].numpy()
  config = json.dumps(_T5)
  _save('t5', config=config, **weights, ids=ids, mask=mask, states=states)


def write_tokenizer() -> None:
  """On the embedded vocabulary, whose sha256 is noted."""
  import transformers

  tokenizer = transformers.T5Tokenizer.from_pretrained(VOCABULARY)
  found = tokenizer(
    list(_PROMPTS), padding='max_length', max_length=24, truncation=True
  )
  content = (VOCABULARY / 'spiece.model').read_bytes()
  _save(
    'tokenizer',
    fingerprint=hashlib.sha256(content).hexdigest(),
    prompts=np.array(_PROMPTS),
    ids=np.array(found.input_ids, np.int32),
    mask=np.array(found.attention_mask, np.int32),
  )


def write_upsampling() -> None:
  import torch

  low = np.random.default_rng(4).normal(size=(2, 5, 5, 3)).astype(np.float32)
  high = torch.nn.functional.interpolate(
    torch.tensor(low).permute(0, 3, 1, 2),
    size=(17, 17),
    mode='bilinear',
    align_corners=True,
  )
  _save('upsampling', low=low, high=high.permute(0, 2, 3, 1).numpy())


def _in_float64(scheduler):
  """Alphas multiplied up in float32, as diffusers does, are off by 1e-3."""
  import torch

  alpha2 = torch.cumprod(1 - scheduler.betas.double(), 0)
  scheduler.alphas_cumprod = alpha2
  scheduler.alpha_t, scheduler.sigma_t = alpha2.sqrt(), (1 - alpha2).sqrt()
  scheduler.lambda_t = scheduler.alpha_t.log() - scheduler.sigma_t.log()
  return scheduler


def _trajectory(scheduler, x, learned: bool):
  """(times, every x_t after the start, noise of each step) of six steps."""
  import torch

  scheduler.set_timesteps(6)
  a, b, c = _NETWORK
  path, noises = [], []
  for i, t in enumerate(scheduler.timesteps):
    output = a * x + b * x * x + c * float(t)
    options = {}
    if learned:
      output = torch.cat([output, 0.3 * x], dim=1)
      seeded = lambda i=i: torch.Generator().manual_seed(i)
      noises.append(torch.randn(x.shape, generator=seeded(), dtype=x.dtype))
      options['generator'] = seeded()
    x = scheduler.step(output, t, x, **options).prev_sample
    path.append(x)
  images = lambda xs: np.stack([x.permute(0, 2, 3, 1).numpy() for x in xs])
  times = np.append(scheduler.timesteps.numpy(), -1).astype(np.float32)
  return times, images(path), images(noises) if learned else np.zeros(0)


def write_samplers() -> None:
  """In float64; the first entry of a path is one step."""
  import diffusers
  import torch

  common = {**_SCHEDULER, 'timestep_spacing': 'leading'}
  schedulers = {
    'ancestral': diffusers.DDPMScheduler(
      **common, **_THRESHOLD, variance_type='learned_range', clip_sample=False
    ),
    'ddim': diffusers.DDIMScheduler(**common, clip_sample=False),
    'dpmpp_2m': diffusers.DPMSolverMultistepScheduler(
      **common, final_sigmas_type='zero'
    ),
  }
  start = np.random.default_rng(5).normal(size=(2, 4, 4, 3))
  x = torch.tensor(start).permute(0, 3, 1, 2)
  for name, scheduler in schedulers.items():
    learned = name == 'ancestral'
    found = _trajectory(_in_float64(scheduler), x, learned)
    times, path, noise = found
    _save(
      f'sampler_{name}',
      config=json.dumps({**_SCHEDULER, **(_THRESHOLD if learned else {})}),
      network=np.array(_NETWORK),
      start=start,
      times=times,
      path=path,
      noise=noise,
    )


def main() -> None:
  for seed, name in enumerate(UNETS):
    write_unet(name, seed)
  write_t5()
  write_tokenizer()
  write_upsampling()
  write_samplers()


if __name__ == '__main__':
  main()
