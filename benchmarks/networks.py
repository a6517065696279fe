"""Networks to measure: the embedded ones, and IF's shapes in several sizes.

Speed does not depend on the weights' values; those of IF's shapes are random.
"""

_IF = {
  'out_channels': 6,
  'mid_block_type': 'UNetMidBlock2DSimpleCrossAttn',
  'attention_head_dim': 64,
  'cross_attention_norm': 'group_norm',
  'encoder_hid_dim_type': 'text_proj',
  'addition_embed_type': 'text',
  'resnet_time_scale_shift': 'scale_shift',
  'act_fn': 'gelu',
  'norm_num_groups': 32,
  'norm_eps': 1e-5,
}
_UPPER = {
  'class_embed_type': 'timestep',
  'time_embedding_act_fn': 'gelu',
  'resnet_skip_time_act': True,
  'resnet_out_scale_factor': 1.4142271248762552,
  'mid_block_scale_factor': 1.4142271248762552,
}


def _base(channels: int, layers: int, text: int) -> dict:
  """As IF-I: attention at 32, 16 and 8 pixels."""
  return {
    **_IF,
    'sample_size': 64,
    'in_channels': 3,
    'block_out_channels': [channels * n for n in (1, 2, 3, 4)],
    'layers_per_block': layers,
    'cross_attention_dim': 4 * channels,
    'down_block_types': [
      'ResnetDownsampleBlock2D',
      *['SimpleCrossAttnDownBlock2D'] * 3,
    ],
    'up_block_types': [
      *['SimpleCrossAttnUpBlock2D'] * 3,
      'ResnetUpsampleBlock2D',
    ],
    'encoder_hid_dim': text,
    'addition_embed_type_num_heads': text // 64,
  }


def _super_resolution(
  channels: list[int], layers: list[int], temb: int, text: int
) -> dict:
  """As IF-II: five levels, attention at 32 and 16 pixels."""
  return {
    **_IF,
    **_UPPER,
    'sample_size': 256,
    'in_channels': 6,
    'block_out_channels': channels,
    'layers_per_block': layers,
    'time_embedding_dim': temb,
    'cross_attention_dim': channels[-1],
    'down_block_types': [
      *['ResnetDownsampleBlock2D'] * 3,
      *['SimpleCrossAttnDownBlock2D'] * 2,
    ],
    'up_block_types': [
      *['SimpleCrossAttnUpBlock2D'] * 2,
      *['ResnetUpsampleBlock2D'] * 3,
    ],
    'encoder_hid_dim': text,
    'addition_embed_type_num_heads': text // 64,
  }


def _t5(d_model: int, d_ff: int, layers: int) -> dict:
  return {
    'model_type': 't5',
    'vocab_size': 32128,
    'd_model': d_model,
    'd_kv': 64,
    'd_ff': d_ff,
    'num_layers': layers,
    'num_heads': d_model // 64,
    'feed_forward_proj': 'gated-gelu',
    'relative_attention_num_buckets': 32,
    'relative_attention_max_distance': 128,
    'layer_norm_epsilon': 1e-6,
  }


# config.json of U-Nets by the stage they are, and of text encoders.
CONFIGS = {
  'base-29m': ('stage_1', _base(64, 2, text=768)),
  'IF-I-M': ('stage_1', _base(192, 3, text=4096)),
  'sr-30m': (
    'stage_2',
    _super_resolution([32, 64, 128, 192, 256], [1, 1, 2, 2, 2], 512, text=768),
  ),
  'IF-II-L': (
    'stage_2',
    _super_resolution(
      [160, 320, 640, 960, 1280], [2, 2, 3, 5, 5], 1280, text=4096
    ),
  ),
  't5-base': ('text_encoder', _t5(768, 2048, 12)),
  't5-xxl': ('text_encoder', _t5(4096, 10240, 24)),
}
# For tests: two levels, one with attention.
_TINY = {
  'block_out_channels': [8, 16],
  'layers_per_block': 1,
  'down_block_types': ['ResnetDownsampleBlock2D', 'SimpleCrossAttnDownBlock2D'],
  'up_block_types': ['SimpleCrossAttnUpBlock2D', 'ResnetUpsampleBlock2D'],
  'attention_head_dim': 8,
  'cross_attention_dim': 32,
  'norm_num_groups': 8,
  'addition_embed_type_num_heads': 4,
  'sample_size': 16,
}
CONFIGS |= {
  'tiny-base': ('stage_1', _base(8, 1, text=64) | _TINY),
  'tiny-sr': ('stage_2', _super_resolution([16], [1], 32, text=64) | _TINY),
  'tiny-t5': ('text_encoder', _t5(64, 96, 2)),
}


def scheduler(stage: str) -> dict:
  """scheduler_config.json of DeepFloyd IF."""
  return {
    'num_train_timesteps': 1000,
    'beta_schedule': 'squaredcos_cap_v2',
    'prediction_type': 'epsilon',
    'variance_type': 'learned_range',
    'thresholding': True,
    'dynamic_thresholding_ratio': 0.95,
    'sample_max_value': 1.5 if stage == 'stage_1' else 1.0,
  }
