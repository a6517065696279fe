"""A whole run of few steps, on an untrained 16 → 32 → 64 cascade.

  python -m dbflax.main --config=configs/test.py

Shows that every step works on this machine; most of its time is compiling, and
its images are noise.
"""

import pathlib

import dbflax
from configs import default, variants


def get_config(variant: str = ''):
  config = default.get_config()
  config.name = 'test'
  shrink(config)
  config.sample.prompts = (
    'a photo of a {subject} on the beach',
    'a painting of a {subject}',
  )
  return variants.apply(config, variant, {})


def shrink(config) -> None:
  """Makes a run of any config small: cascade, class images and steps."""
  config.cascade.path = str(
    pathlib.Path(dbflax.__file__).parent / 'assets' / 'tiny'
  )
  # Another process starts in the time that its programs take.
  config.compile_ahead = False
  config.prior.count = 4
  config.prior.batch = 2
  config.prior.steps = 2
  for number, crop in ((1, 0), (2, 16), (3, 32)):
    stage = config[f'stage_{number}']
    stage.steps = 4
    stage.crop = crop
    stage.warmup = 1
    stage.checkpoint_every = 2
    stage.sample_every = 2
    config.sample[f'stage_{number}'].steps = 2
  config.inversion.steps = 4
  config.inversion.batch = 2
  config.inversion.warmup = 1
  config.inversion.checkpoint_every = 2
  config.inversion.sample_every = 2
