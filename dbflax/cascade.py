"""A cascade: text encoder and stages, and how a stage is sampled.

`Stage` is the one meaning of a stage: training and sampling both go through
`network` and `condition`. `pretrained` reads a cascade from its files.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dbflax import jitted, rng, sharding
from dbflax.diffusion import guidance, lowres, sampler
from dbflax.diffusion import schedule as schedule_lib
from dbflax.diffusion import scheduler as scheduler_lib
from dbflax.models import unet as unet_lib
from dbflax.text import t5
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.weights import files

STAGES = ('stage_1', 'stage_2', 'stage_3')

Image = Float[Array, 'B H W C']


@dataclasses.dataclass(frozen=True)
class Stage:
  """One diffusion model of the cascade, without its parameters."""

  name: str
  unet: unet_lib.UNet
  scheduler: scheduler_lib.Scheduler
  lowres_schedule: schedule_lib.Schedule | None

  @property
  def resolution(self) -> int:
    return self.unet.sample_size

  @property
  def schedule(self) -> schedule_lib.Schedule:
    return self.scheduler.schedule

  @property
  def prediction_type(self) -> str:
    return self.scheduler.prediction_type

  @property
  def is_super_resolution(self) -> bool:
    return self.lowres_schedule is not None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Conditioning:
  """What a super-resolution stage sees of the lower image."""

  image: Image  # upsampled and noised
  label: Float[Array, ' B']  # the noise level in schedule steps


@dataclasses.dataclass(frozen=True)
class Cascade:
  """A cascade's configuration; its parameters stay in their files.

  Attributes:
    folders: 'text_encoder' or a stage → the folder that has it (`unet/`, …).
    wanted: which kind of its weight files to read.
    tokenizer: of the text encoder.
    encoder: of the prompts.
    stages: the stages by name, from the lowest.
  """

  folders: dict[str, pathlib.Path]
  wanted: files.Format
  tokenizer: tokenizer_lib.Tokenizer
  encoder: t5.T5Encoder
  stages: dict[str, Stage]

  def below(self, name: str) -> Stage:
    """Whose pictures the super-resolution stage `name` enlarges."""
    names = list(self.stages)
    return self.stages[names[names.index(name) - 1]]


def parts(stage: Stage, mesh: sharding.AnyMesh, size: int) -> int:
  """How many parts, 1 or 2, a batch of `size` goes through a stage in at once.

  A program leaves a second core idle for a quarter of the time. Of large
  pictures two programs, of half a batch each, are sooner done; what both do,
  whatever the batch, is little beside (docs/speed.md).
  """
  is_cut = stage.is_super_resolution and size % 2 == 0
  return 2 if is_cut and sharding.has_room(mesh) else 1


def condition(
  stage: Stage, low: Image, eps: Image, level: Float[Array, ' B'], window=None
) -> Conditioning:
  """The lower image made ready: upsampled (only `window` of it), noised."""
  up = lowres.upsample(low, stage.resolution, window)
  return Conditioning(*lowres.condition(stage.lowres_schedule, up, eps, level))


def network(
  stage: Stage,
  params: dict,
  x_t: Image,
  t: Float[Array, ' B'],
  text: Float[Array, 'B L D'],
  conditioning: Conditioning | None,
) -> Float[Array, 'B H W 2C']:
  """One call of the stage's U-Net: prediction and variance logit."""
  label = None
  if conditioning is not None:
    x_t = jnp.concatenate([x_t, conditioning.image], axis=-1)
    label = conditioning.label
  return stage.unet.apply({'params': params}, x_t, t, text, label)


def denoiser(
  stage: Stage,
  params: dict,
  text: Float[Array, 'B L D'],
  null_text: Float[Array, 'L D'],
  guidance_scale: float,
  conditioning: Conditioning | None = None,
) -> sampler.Denoiser:
  """The stage as a sampler wants it: guidance and thresholding inside.

  Guidance acts on the prediction; the variance is the conditional one, as in
  DeepFloyd IF. A scale of 1 runs the network once per step.
  """

  # The two branches of an image lie side by side, on one device.
  pair = lambda a, b: jnp.stack([a, b], 1).reshape(-1, *a.shape[1:])

  def guided(x, t):
    if guidance_scale == 1:
      return network(stage, params, x, t, text, conditioning)
    both = network(
      stage,
      params,
      pair(x, x),
      pair(t, t),
      pair(text, jnp.broadcast_to(null_text, text.shape)),
      jax.tree.map(lambda a: pair(a, a), conditioning),
    )
    both = both.reshape(-1, 2, *both.shape[1:])
    cond, uncond = both[:, 0], both[:, 1]
    c = x.shape[-1]
    prediction = guidance.combine(
      cond[..., :c], uncond[..., :c], guidance_scale
    )
    return jnp.concatenate([prediction, cond[..., c:]], axis=-1)

  return lambda x, t: stage.scheduler.denoised(guided(x, t), x, t)


def image_noise(keys: Array, shape: tuple[int, ...], stream: str) -> Callable:
  """noise(step) with one key per image [B].

  An image's noise depends on its own key only, so it does not matter in which
  batch, or on which host, it is drawn.
  """
  draw = lambda key, step: rng.normal(rng.key(key, stream, step), shape)
  return lambda step: jax.vmap(draw, (0, None))(keys, step)


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How a stage is sampled. `noise_level` matters to super-resolution."""

  sampler: str = 'ancestral'  # or 'scheduler': what the stage's file says
  steps: int = 32
  guidance_scale: float = 1.0
  noise_level: float = 0.0


@functools.lru_cache(maxsize=32)
def make_sampler(
  stage: Stage, options: Sampling, mesh: jax.sharding.Mesh | None = None
) -> Callable:
  """Compiles (params, text, null_text, keys[, low]) → images.

  text [B, L, D], null_text [L, D], keys [B], low [B, r, r, 3]; images
  [B, R, R, 3] in [-1, 1]. The whole trajectory is one scan in one jit. The
  devices of `mesh` share the images, if they divide the batch. Equal arguments
  give the same sampler, so that runs of one process compile it once.
  """
  if mesh is not None:
    return _on_mesh(make_sampler(stage, options), mesh)
  scheduler = stage.scheduler.using(options.sampler)
  stage = dataclasses.replace(stage, scheduler=scheduler)
  times = scheduler.times(options.steps)
  shape = (stage.resolution, stage.resolution, 3)

  @jitted.Jitted
  def draw(params, text, null_text, keys, low=None):
    noise = lambda stream: image_noise(keys, shape, f'{stage.name}/{stream}')
    conditioning = None
    if stage.is_super_resolution:
      level = jnp.full(text.shape[:1], options.noise_level)
      conditioning = condition(stage, low, noise('lowres')(0), level)
    denoise = denoiser(
      stage, params, text, null_text, options.guidance_scale, conditioning
    )
    start, fresh = noise('start')(0), noise('steps')
    return jnp.clip(scheduler.run(denoise, start, fresh, times), -1, 1)

  return draw


def _on_mesh(draw: Callable, mesh: jax.sharding.Mesh) -> Callable:
  """A sampler whose images lie on `mesh`."""

  def draw_on_mesh(params, text, null_text, keys, *low):
    text, keys, *low = sharding.put_batch((text, keys, *low), mesh)
    return draw(params, text, null_text, keys, *low)

  return draw_on_mesh


def init_stage(stage: Stage, key) -> dict:
  """Fresh parameters; under `jax.eval_shape` only their shapes."""
  unet = stage.unet
  size = 2 ** (len(unet.block_out_channels) - 1)
  zeros = lambda *shape: jnp.zeros(shape)
  return unet.init(
    key,
    zeros(1, size, size, unet.in_channels),
    zeros(1),
    zeros(1, 1, unet.encoder_hid_dim),
    zeros(1),
  )['params']


def init_encoder(encoder: t5.T5Encoder, key) -> dict:
  ids = jnp.zeros((1, 1), jnp.int32)
  return encoder.init(key, ids, ids)['params']
