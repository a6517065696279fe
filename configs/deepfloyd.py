"""What a run changes for DeepFloyd IF's public weights, on a TPU slice.

  python -m dbflax.main --config=configs/dog.py:if_m \\
    --config.subject.photos=photos/rex --config.name=rex

`:if_m`, `:if_l` and `:if_xl` are variants of every subject's config. The
weights come from the Hugging Face hub, once their licence is accepted there.
Steps, batches and learning rates are those that diffusers' DreamBooth page
gives for training all of these weights: there they have been tried, while the
paper's 1e-5 for 1000 steps is for Imagen. We have not run them: no slice was at
hand.

There are no public IF weights for 1024 pixels, and a stage of toybox's does not
read T5-XXL. So these cascades end at 256 pixels, and `launch/upscale_x4.py`
enlarges their samples as IF's users do, by stabilityai's x4 upscaler.
"""

_IF = {
  'cascade.stages': ('stage_1', 'stage_2'),
  # T5-XXL takes 9.5 GB so, 19 GB in float32; it runs once, then it is gone.
  'text.dtype': 'bfloat16',
  # The paper draws at most 200 for each photo; diffusers' page 100 in all.
  'prior.count': 200,
  'prior.batch': 16,
  # What IF's pipelines do by default: their own scheduler, 100 and 50 steps.
  'prior.sampler': 'scheduler',
  'prior.steps': 100,
  'prior.guidance_scale': 7.0,
  'sample.batch': 4,
  'sample.stage_1.sampler': 'scheduler',
  'sample.stage_1.steps': 100,
  'sample.stage_1.guidance_scale': 7.0,
  'sample.stage_2.sampler': 'scheduler',
  'sample.stage_2.steps': 50,
  'sample.stage_2.guidance_scale': 4.0,
  'stage_1.steps': 150,
  'stage_1.batch': 4,
  'stage_1.learning_rate': 1e-7,
  'stage_2.steps': 2000,
  # Four chips divide it. Eight do not: each then has all 12 (docs/plans.md).
  'stage_2.batch': 12,
  'stage_2.learning_rate': 5e-6,
  # Attention sees the whole picture, as it did in pre-training.
  'stage_2.crop': 0,
  # The paper's lowered noise augmentation, in training and in sampling.
  'stage_2.noise_level': 1e-5,
  # IF predicts the noise, and its learned variance was trained in full.
  **{f'stage_{n}.weighting': 'simple' for n in (1, 2)},
  **{f'stage_{n}.vlb_weight': 1.0 for n in (1, 2)},
  # Computation; parameters and Adam's moments stay in float32.
  **{f'stage_{n}.dtype': 'bfloat16' for n in (1, 2)},
  # 16 % fewer FLOPs than 'blocks', and kernels are gathered less often.
  **{f'stage_{n}.remat': 'dots' for n in (1, 2)},
}


def _variant(base: str, upper: str, fsdp: int) -> dict:
  """One size of IF; `fsdp` chips share a copy of the training state.

  That is 16 bytes for each parameter: float32 weights, gradients and Adam's
  two moments; 20 in stage_1, where the photos' gradients wait for those of the
  class images.
  """
  return {
    **_IF,
    'cascade.path': f'DeepFloyd/IF-I-{base}-v1.0',
    'cascade.stage_2': f'DeepFloyd/IF-II-{upper}-v1.0',
    'mesh.fsdp': fsdp,
  }


VARIANTS = {
  # v4-8, four chips: 0.4 and 0.45 billion parameters, at most 8 GB at once.
  'if_m': _variant('M', 'M', fsdp=1),
  # v4-8: 0.9 and 1.2 billion parameters, at most 20 GB at once.
  'if_l': _variant('L', 'L', fsdp=4),
  # v6e-8, eight chips on one host: 4.3 and 1.2 billion, at most 86 GB at once.
  'if_xl': _variant('XL', 'L', fsdp=8),
}
