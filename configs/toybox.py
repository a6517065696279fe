"""Pre-training of the embedded cascade on toybox, one target at a time.

  python -m dbflax.main --mode=pretrain --config=configs/toybox.py:text_encoder
  python -m dbflax.main --mode=pretrain --config=configs/toybox.py:stage_1
  python -m dbflax.main --mode=pretrain --config=configs/toybox.py:stage_2
  python -m dbflax.main --mode=pretrain --config=configs/toybox.py:stage_3
  python -m dbflax.main --mode=pretrain --config=configs/toybox.py:oracle

The text encoder comes first; the stages then need only it, and the oracle,
which reads pictures for the metrics, needs nothing. These are budgets for two
CPU cores; `:stage_1_gpu`, `:stage_2_gpu`, `:stage_3_gpu` and `:oracle_gpu` are
for one GPU, the stages in bfloat16. How the embedded weights were made, and how
good they are: dbflax/assets/toybox/README.md.
`:measure` prints how good it is and draws contact sheets; `:tiny` writes the
untrained cascade that tests fine-tune.
"""

import ml_collections

from configs import default
from dbflax import errors

TARGETS = ('text_encoder', 'stage_1', 'stage_2', 'stage_3', 'oracle')
_MANY_STEPS = dict(ema_decay=0.999, checkpoint_every=2000)
_GPU = dict(dtype='bfloat16', **_MANY_STEPS)
# What a variant changes of its target's section.
_CHANGES = {
  'stage_1_gpu': dict(
    **_GPU,
    phases=(
      dict(resolution=32, crop=0, batch=256, steps=4000),
      dict(resolution=64, crop=0, batch=256, steps=12000),
    ),
  ),
  'stage_2_gpu': dict(
    **_GPU,
    phases=(
      dict(resolution=64, crop=64, batch=128, steps=5000),
      dict(resolution=64, crop=256, batch=8, steps=2500),
    ),
  ),
  'stage_3_gpu': dict(
    **_GPU,
    phases=(
      dict(resolution=256, crop=96, batch=64, steps=3000),
      dict(resolution=256, crop=1024, batch=2, steps=2500),
    ),
  ),
  'oracle_gpu': dict(**_MANY_STEPS, classes=10, individuals=8, steps=16000),
}
VARIANTS = (*TARGETS, *_CHANGES, 'measure', 'tiny')


def get_config(variant: str = 'stage_1') -> ml_collections.ConfigDict:
  """The pre-training run of one target.

  Raises:
    UserError: no such variant.
  """
  if variant not in VARIANTS:
    raise errors.UserError(
      f"configs/toybox.py has no variant ':{variant}'; "
      f'variants: {", ".join(VARIANTS)}'
    )
  c = ml_collections.ConfigDict()
  # Names the workdir: all targets of the cascade share one.
  c.name = 'tiny' if variant == 'tiny' else 'toybox'
  # What this run trains.
  c.target = variant.removesuffix('_gpu')
  # Root of every random number.
  c.seed = 0
  # Tokens per caption.
  c.max_length = 77
  # Cascade directory to write into; '' is <workdir>/cascade. `:measure` reads
  # it, and '' is the embedded cascade.
  c.out = ''
  c.text_encoder = ml_collections.ConfigDict(
    dict(
      steps=1500,
      batch=128,
      # No caption has more than 29 pieces, and padding is masked.
      max_length=32,
      learning_rate=2e-3,
      warmup=100,
      checkpoint_every=500,
    )
  )
  _add_stages(c)
  c.oracle = _oracle()
  # How `:measure` draws; `count` is the number of held-out scenes.
  c.measure = _measure()
  c.architecture = _tiny() if variant == 'tiny' else _toybox()
  if variant in _CHANGES:
    c[c.target].update(_CHANGES[variant])
  return c


def _add_stages(c) -> None:
  """Budgets of the three stages."""
  c.stage_1 = _stage(
    # Shape before detail: where much noise is, as much as where little is.
    weighting='min_snr',
    phases=(
      dict(resolution=16, crop=0, batch=64, steps=900),
      dict(resolution=32, crop=0, batch=32, steps=1500),
      dict(resolution=64, crop=0, batch=32, steps=3000),
    ),
  )
  # Crops of 64 and 96 pixels; `resolution` is that of the lower image. Crops
  # alone are not enough. Norms meet whole pictures when sampled; and enlarging
  # with aligned corners, as IF does, moves what it shows by up to 1.5 pixels,
  # outwards from the middle, so a stage has to know where in the picture it is.
  c.stage_2 = _stage(
    phases=(
      dict(resolution=64, crop=64, batch=8, steps=4000),
      dict(resolution=64, crop=256, batch=1, steps=1000),
    ),
    noise_range=(0.0, 0.4),
    noise_power=3.0,
  )
  c.stage_3 = _stage(
    phases=(
      dict(resolution=256, crop=96, batch=4, steps=3000),
      dict(resolution=256, crop=1024, batch=1, steps=150),
    ),
    noise_range=(0.0, 0.4),
    noise_power=3.0,
  )


def _oracle() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    dict(
      # Channels and residual blocks at 32, 16, 8 and 4 pixels.
      widths=(32, 64, 128, 192),
      blocks=(1, 1, 1, 1),
      # The vector that all answers are read from, and the identity's.
      features=256,
      embedding=64,
      # A batch: so many classes × individuals of each × scenes of each.
      classes=8,
      individuals=4,
      scenes=2,
      # Steps that a batch of renders serves, augmented anew each time.
      repeats=2,
      steps=3000,
      # 'adamw' or 'muon'.
      optimizer='muon',
      learning_rate=2e-3,
      warmup=100,
      weight_decay=0.02,
      ema_decay=0.997,
      checkpoint_every=250,
      # Held-out scenes that it is measured on when done.
      measure_scenes=2000,
    )
  )


def _measure() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    dict(
      # Which measures, such as 'base,sr'; '' is all: oracle, base, held_out,
      # diversity, samplers, sr, time, sheets. What others measured before is
      # kept.
      only='',
      # Samples of 64 pixels drawn at once.
      batch=50,
      # Scenes or samples that each is measured on.
      oracle=dict(count=1000),
      base=dict(count=1000),
      held_out=dict(count=1000),
      diversity=dict(count=64),
      # Of each class, by (sampler, steps).
      samplers=dict(
        count=8,
        choices=(
          *(('ancestral', 16), ('ancestral', 32), ('ancestral', 64)),
          *(('ddim', 8), ('ddim', 16), ('ddim', 32)),
          *(('dpmpp_2m', 8), ('dpmpp_2m', 12), ('dpmpp_2m', 16)),
        ),
      ),
      sr=dict(stage_2=dict(count=24), stage_3=dict(count=6)),
      # How every stage is sampled: as a run does it by default.
      sample={
        name: options.to_dict()
        for name, options in default.get_config().sample.items()
        if name.startswith('stage_')
      },
    )
  )


def _stage(
  *, phases, weighting='simple', noise_range=(0.0, 0.0), noise_power=1.0
):
  return ml_collections.ConfigDict(
    dict(
      # Consecutive parts of the run: resolution, batch and steps of each.
      phases=phases,
      # A `unet` folder whose weights to go on from; '' starts afresh.
      start='',
      # 'adamw' or 'muon'.
      optimizer='muon',
      # Type of computation: 'float32', or 'bfloat16' on a GPU or TPU.
      dtype='float32',
      # After warmup.
      learning_rate=2e-3,
      # Share of the steps, at the end, over which it falls to zero. Not more:
      # the last phase has a resolution to learn.
      decay=0.3,
      # Steps of linear warmup.
      warmup=100,
      weight_decay=0.01,
      clip_norm=1.0,
      # Decay of the moving average that is exported.
      ema_decay=0.998,
      # w(t): 'simple' or 'min_snr'.
      weighting=weighting,
      # Weight of the learned variance's loss. Predicting the picture, it is
      # large where little noise is left, and would drown the rest.
      vlb_weight=1e-3,
      # Super-resolution: the range of the noise level, and how it is drawn
      # there: low + (high - low) u^power, u uniform. Sampling uses the least,
      # so that is where most of the training belongs.
      noise_range=noise_range,
      noise_power=noise_power,
      # Share of captions dropped, for classifier-free guidance.
      text_drop=0.1,
      checkpoint_every=200,
    )
  )


def _toybox() -> dict:
  """config.json of every part: DeepFloyd IF's architecture, small."""
  sr = dict(super_resolution=True)
  return {
    'text_encoder/config': _t5(d_model=96, d_ff=192, num_layers=2),
    **_stage_files('stage_1', _unet(64, [16, 32, 64, 128])),
    **_stage_files('stage_2', _unet(256, [16, 24, 48, 64], **sr)),
    **_stage_files('stage_3', _unet(1024, [8, 16, 32, 48], head=16, **sr)),
  }


def _tiny() -> dict:
  """Two levels, one layer: 16 → 32 → 64 pixels, for tests."""
  unet = lambda size, **kw: _unet(size, [8, 16], head=8, cross=32, **kw)
  return {
    'text_encoder/config': _t5(d_model=96, d_ff=64, num_layers=1),
    **_stage_files('stage_1', unet(16)),
    **_stage_files('stage_2', unet(32, super_resolution=True)),
    **_stage_files('stage_3', unet(64, super_resolution=True)),
  }


def _t5(d_model: int, d_ff: int, num_layers: int) -> dict:
  return dict(
    architectures=['T5EncoderModel'],
    model_type='t5',
    vocab_size=VOCABULARY,
    d_model=d_model,
    d_kv=32,
    d_ff=d_ff,
    num_layers=num_layers,
    num_heads=4,
    relative_attention_num_buckets=32,
    relative_attention_max_distance=128,
    layer_norm_epsilon=1e-6,
    feed_forward_proj='gated-gelu',
    tie_word_embeddings=False,
    is_encoder_decoder=False,
    use_cache=False,
    pad_token_id=0,
    eos_token_id=1,
    decoder_start_token_id=0,
    dropout_rate=0.0,
  )


# Pieces of dbflax/assets/toybox/tokenizer.
VOCABULARY = 1300


def _unet(
  size: int,
  channels: list[int],
  *,
  head: int = 32,
  cross: int = 64,
  super_resolution: bool = False,
) -> dict:
  """A UNet2DConditionModel config; the lowest level attends to the text."""
  outer = len(channels) - 1
  # Imagen's super-resolution attends to the text only, and scales its sums.
  scale = 1.4142271248762552 if super_resolution else 1.0
  return dict(
    _class_name='UNet2DConditionModel',
    sample_size=size,
    in_channels=6 if super_resolution else 3,
    out_channels=6,
    block_out_channels=channels,
    layers_per_block=[1] * len(channels),
    down_block_types=[
      *['ResnetDownsampleBlock2D'] * outer,
      'SimpleCrossAttnDownBlock2D',
    ],
    mid_block_type='UNetMidBlock2DSimpleCrossAttn',
    up_block_types=[
      'SimpleCrossAttnUpBlock2D',
      *['ResnetUpsampleBlock2D'] * outer,
    ],
    only_cross_attention=super_resolution,
    attention_head_dim=head,
    cross_attention_dim=cross,
    cross_attention_norm='group_norm',
    encoder_hid_dim=96,
    encoder_hid_dim_type='text_proj',
    addition_embed_type='text',
    addition_embed_type_num_heads=4,
    class_embed_type='timestep' if super_resolution else None,
    time_embedding_dim=128,
    time_embedding_act_fn='silu' if super_resolution else None,
    resnet_time_scale_shift='scale_shift',
    resnet_skip_time_act=super_resolution,
    resnet_out_scale_factor=scale,
    mid_block_scale_factor=scale,
    act_fn='silu',
    # Normalising a few channels at a time would take the colour away.
    norm_num_groups=1,
    norm_eps=1e-5,
  )


def _stage_files(name: str, unet: dict) -> dict:
  is_sr = unet['class_embed_type'] is not None
  files = {
    f'{name}/unet/config': unet,
    f'{name}/scheduler/scheduler_config': _scheduler(
      # A narrow network cannot carry the noise of a whole picture through, so
      # it predicts the picture itself.
      prediction_type='sample',
      # In few steps a variance between the smallest and the largest is far too
      # large near the end: pictures turn to confetti.
      variance_type='fixed_small',
      thresholding=not is_sr,
      sample_max_value=1.5,
    ),
  }
  if is_sr:
    files[f'{name}/image_noising_scheduler/scheduler_config'] = _scheduler()
  return files


def _scheduler(**fields) -> dict:
  return dict(
    _class_name='DDPMScheduler',
    num_train_timesteps=1000,
    beta_schedule='squaredcos_cap_v2',
    timestep_spacing='trailing',
    dynamic_thresholding_ratio=0.95,
    clip_sample=True,
    **fields,
  )
