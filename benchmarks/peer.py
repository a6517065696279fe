"""The cases, done by PyTorch with diffusers and transformers.

Training is what diffusers' train_dreambooth.py does with IF: float32 weights,
autocast where the type is bfloat16, mean squared error on the prediction half
of the output (the variance half is dropped), clipped gradients, AdamW. Unlike
there, the loss is not read back every step, gradients are freed and not zeroed
(both are faster), and stage II gets its lower image as IF's pipeline has it.
Sampling is IF's pipelines with weights of the type of computation.
"Compiled" is `unet.compile()`, as diffusers' documentation advises.
"""

import pathlib

import diffusers
import numpy as np
import torch
import transformers

from benchmarks import spec as spec_lib


def build(spec: spec_lib.Spec, side: str) -> spec_lib.Work:
  """`side` is 'eager' or 'compiled'."""
  torch.set_num_threads(spec.threads)
  diffusers.utils.logging.disable_progress_bar()
  inputs = np.load(pathlib.Path(spec.folder) / 'inputs.npz')
  place = lambda a: _channels_first(torch.from_numpy(a)).to(_device(spec))
  inputs = {name: place(array) for name, array in inputs.items()}
  make = {'train': _train, 'text': _text, 'images': _draw, 'cascade': _draw}
  return spec_lib.Work(make[spec.kind](spec, inputs, side == 'compiled'))


def _device(spec) -> str:
  return 'cuda' if spec.device == 'gpu' else 'cpu'


def _channels_first(tensor):
  return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor


def _unet(spec, name: str, dtype, is_compiled: bool):
  folder = pathlib.Path(spec.folder) / name / 'unet'
  unet = diffusers.UNet2DConditionModel.from_pretrained(
    folder, torch_dtype=dtype
  ).to(_device(spec))
  if is_compiled:
    unet.compile()
  return unet


def _scheduler(spec, name: str, part: str = 'scheduler'):
  folder = pathlib.Path(spec.folder) / name / part
  return diffusers.DDPMScheduler.from_pretrained(folder)


def _synchronize(spec) -> None:
  if spec.device == 'gpu':
    torch.cuda.synchronize()


# --- Training ----------------------------------------------------------------


def _train(spec, inputs, is_compiled):
  unet = _unet(spec, spec.part, torch.float32, is_compiled).train()
  scheduler = _scheduler(spec, spec.part)
  optimizer = torch.optim.AdamW(
    unet.parameters(), lr=spec_lib.LEARNING_RATE, weight_decay=0.0
  )
  autocast = spec.dtype == 'bfloat16'
  given = {k: inputs[k] for k in ('t', 'eps', 'lowres') if k in inputs}

  def run(calls):
    nonlocal given
    for _ in range(calls):
      draws, given = given or _draws(inputs), None
      with torch.autocast(_device(spec), torch.bfloat16, autocast):
        output = _output(unet, scheduler, inputs, draws)
      loss = _loss(scheduler, output.float(), inputs['image'], draws['eps'])
      loss.backward()
      torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
      optimizer.step()
      optimizer.zero_grad()
    _synchronize(spec)
    return loss.detach().cpu().numpy()

  return run


def _draws(inputs) -> dict:
  image = inputs['image']
  t = torch.randint(0, 1000, image.shape[:1], device=image.device)
  made = {'t': t, 'eps': torch.randn_like(image)}
  if 'low' in inputs:
    made['lowres'] = torch.randn_like(image)
  return made


def _output(unet, scheduler, inputs, draws):
  """Prediction and variance; the lower image is put beside x_t."""
  image, t = inputs['image'], draws['t'].long()
  seen, level = scheduler.add_noise(image, draws['eps'], t), None
  if 'low' in inputs:
    up = torch.nn.functional.interpolate(
      inputs['low'],
      size=image.shape[-1],
      mode='bilinear',
      align_corners=True,
    )
    level = torch.full_like(t, round(1000 * spec_lib.NOISE_LEVEL))
    up = scheduler.add_noise(up, draws['lowres'], level)
    seen = torch.cat([seen, up], dim=1)
  return unet(seen, t, inputs['text'], class_labels=level).sample


def _loss(scheduler, output, image, eps):
  prediction, _ = output.chunk(2, dim=1)
  kind = scheduler.config.prediction_type
  target = {'epsilon': eps, 'sample': image}[kind]
  return torch.nn.functional.mse_loss(prediction, target)


# --- Sampling ----------------------------------------------------------------


def _draw(spec, inputs, is_compiled):
  names = [spec.part] if spec.part else ['stage_1', 'stage_2', 'stage_3']
  dtype = getattr(torch, spec.dtype)
  chain = {name: _pipeline(spec, name, dtype, is_compiled) for name in names}
  text = inputs['text'].to(dtype)
  null_text = inputs['null_text'].to(dtype).expand_as(text)
  given = {'prompt_embeds': text, 'negative_prompt_embeds': null_text}

  def draw():
    low = {}
    for name, pipeline in chain.items():
      settings = {
        'num_inference_steps': spec.steps[name],
        'guidance_scale': spec.guidance[name],
        'output_type': 'pt',
      }
      if low:
        settings['noise_level'] = round(1000 * spec_lib.NOISE_LEVEL)
      low = {'image': pipeline(**low, **given, **settings).images}
    return low['image']

  def run(calls):
    for _ in range(calls):
      images = draw().float().cpu().numpy()
    return images

  return run


def _pipeline(spec, name: str, dtype, is_compiled: bool):
  parts = {
    'unet': _unet(spec, name, dtype, is_compiled).eval(),
    'scheduler': _scheduler(spec, name),
  }
  absent = ('tokenizer', 'text_encoder', 'safety_checker')
  absent = (*absent, 'feature_extractor', 'watermarker')
  kind = diffusers.IFPipeline
  if name != 'stage_1':
    kind = diffusers.IFSuperResolutionPipeline
    noising = _scheduler(spec, name, 'image_noising_scheduler')
    parts['image_noising_scheduler'] = noising
  pipeline = kind(
    **dict.fromkeys(absent), **parts, requires_safety_checker=False
  )
  pipeline.set_progress_bar_config(disable=True)
  return pipeline


# --- Text --------------------------------------------------------------------


def _text(spec, inputs, is_compiled):
  encoder = transformers.T5EncoderModel.from_pretrained(
    pathlib.Path(spec.folder) / 'text_encoder', dtype=getattr(torch, spec.dtype)
  )
  encoder = encoder.to(_device(spec)).eval()
  if is_compiled:
    encoder.compile()
  ids, mask = inputs['ids'].long(), inputs['mask']

  @torch.no_grad()
  def run(calls):
    for _ in range(calls):
      states = encoder(ids, attention_mask=mask).last_hidden_state
      states = states.float().cpu()
    return (states * mask.cpu()[..., None]).numpy()

  return run


def facts() -> dict:
  """Versions."""
  return {
    'torch': torch.__version__,
    'diffusers': diffusers.__version__,
    'transformers': transformers.__version__,
  }


def device_peak() -> int:
  """The most bytes of the device's memory that tensors took."""
  return torch.cuda.max_memory_allocated()
