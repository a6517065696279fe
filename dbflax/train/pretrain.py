"""Pre-training of a cascade on toybox: one stage at a time, from nothing.

The base sees whole scenes at rising resolutions (the same weights, so that
most of what it learns is learnt where pictures are small). Super-resolution
stages see crops, as Imagen's do, then whole pictures, with the lower image
noised at a random level. Batches are made a little ahead of the device, in a
thread. What is exported is the moving average.
"""

import functools
import math
import pathlib
import shutil

import jax
import jax.numpy as jnp

from dbflax import (
  cascade,
  checkpoints,
  disk,
  errors,
  pretrained,
  rng,
  sharding,
)
from dbflax.data import batches
from dbflax.toybox import stream
from dbflax.train import (
  initial,
  loop,
  optimizer,
  pretrain_oracle,
  pretrain_text,
  step,
)
from dbflax.train import state as state_lib
from dbflax.weights import diffusers, files


def prepare(folder: pathlib.Path, architecture: dict, spiece: pathlib.Path):
  """Writes a cascade directory's configuration, without weights.

  Raises:
    UserError: if the folder holds another architecture.
  """
  for name, content in architecture.items():
    path = folder / f'{name}.json'
    if path.exists() and files.read_json(path) != content:
      raise errors.UserError(
        f'{path} differs from config.architecture; remove {folder} or choose '
        'another config.out.'
      )
    disk.write_json(path, content)
  target = folder / 'tokenizer'
  if target != spiece.parent:
    shutil.copytree(spiece.parent, target, dirs_exist_ok=True)


def run(config, folder: pathlib.Path, work: pathlib.Path) -> None:
  """Trains `config.target` into the cascade directory `folder`.

  Args:
    config: configs/toybox.py.
    folder: the cascade directory; earlier targets are read from it.
    work: checkpoints and logs.
  """
  if config.target == 'oracle':
    pretrain_oracle.run(config, folder / 'oracle', work)
    return
  spiece = pretrained.ASSETS / 'toybox/tokenizer/spiece.model'
  prepare(folder, config.architecture.to_dict(), spiece)
  if config.target == 'text_encoder':
    model = pretrained.load(folder, stages=())
    params = pretrain_text.run(config, model, work)
    diffusers.write_params(folder / 'text_encoder', params)
    return
  options = {config.target: {'dtype': config[config.target].dtype}}
  model = pretrained.load(folder, stages=(config.target,), options=options)
  params = _train_stage(config, model, work)
  diffusers.write_params(folder / config.target / 'unet', params)


def initialise(config, folder: pathlib.Path) -> None:
  """Writes a cascade with fresh weights: what tests fine-tune."""
  spiece = pretrained.ASSETS / 'toybox/tokenizer/spiece.model'
  prepare(folder, config.architecture.to_dict(), spiece)
  model = pretrained.load(folder)
  root = jax.random.key(config.seed)
  params = cascade.init_encoder(model.encoder, rng.key(root, 'text_encoder'))
  diffusers.write_params(folder / 'text_encoder', jax.device_get(params))
  for name, stage in model.stages.items():
    params = cascade.init_stage(stage, rng.key(root, name))
    diffusers.write_params(folder / name / 'unet', jax.device_get(params))


def _train_stage(config, model: cascade.Cascade, work: pathlib.Path) -> dict:
  hyper, name = config[config.target], config.target
  stage = model.stages[name]
  phases = [dict(phase) for phase in hyper.phases]
  total = sum(phase['steps'] for phase in phases)
  mesh = sharding.make_mesh()
  tx = optimizer.build(
    kind=hyper.optimizer,
    learning_rate=hyper.learning_rate,
    steps=total,
    warmup=hyper.warmup,
    decay=hyper.decay,
    weight_decay=hyper.weight_decay,
    clip_norm=hyper.clip_norm,
    b2=0.99,
  )
  root = jax.random.key(config.seed)
  create = lambda: state_lib.create(
    _start(hyper, stage, rng.key(root, name)), tx, ema=True
  )
  shardings = sharding.shard_tree(jax.eval_shape(create), mesh)
  saved = checkpoints.Checkpoints(
    work / 'checkpoints', _fingerprint(config, model)
  )
  state = loop.restore(saved, create, shardings)
  update = step.make_denoising_step(
    step.compile_programs(
      stage, _objective(hyper), tx, hyper.ema_decay, mesh, shardings
    )
  )
  make_batch, null_text = _batches(config, model, stage, phases)
  ahead = batches.Ahead(make_batch, total)
  state = loop.run(
    name,
    state,
    lambda state, n: update(state, ahead(n), null_text, root),
    steps=total,
    checkpoints=saved,
    checkpoint_every=hyper.checkpoint_every,
    log_path=work / 'metrics.jsonl',
  )
  saved.close()
  return jax.device_get(state_lib.best_params(state))


def _start(hyper, stage: cascade.Stage, key) -> dict:
  """Fresh parameters, or those of an earlier training."""
  if not hyper.start:
    return jax.jit(lambda key: initial.parameters(stage, key))(key)
  shapes = jax.eval_shape(lambda key: cascade.init_stage(stage, key), key)
  return diffusers.read_params(pathlib.Path(hyper.start), shapes)


def _objective(hyper) -> step.Objective:
  return step.Objective(
    hyper.weighting,
    tuple(hyper.noise_range),
    hyper.noise_power,
    hyper.text_drop,
    hyper.vlb_weight,
  )


def _fingerprint(config, model: cascade.Cascade) -> str:
  """What a checkpoint belongs to: all that the stage's training depends on."""
  files = config.architecture.items()
  return disk.fingerprint(
    {
      'target': config.target,
      'hyper': config[config.target].to_dict(),
      'architecture': {k: v for k, v in files if k.startswith(config.target)},
      'seed': config.seed,
      'start': _weights(config[config.target].start),
      'text_encoder': pretrained.sources(model, 'text_encoder'),
    }
  )


def _weights(folder: str):
  """The weights file that a training starts from, for the fingerprint."""
  return files.find(pathlib.Path(folder)) if folder else None


def _phase(phases: list[dict], number: int) -> dict:
  """The phase that step `number` falls into."""
  for phase in phases:
    if number < phase['steps']:
      return phase
    number -= phase['steps']
  raise ValueError('the step lies beyond the last phase')


def _batches(config, model, stage: cascade.Stage, phases: list[dict]):
  """(make_batch(step) → Batch, the empty prompt's embedding [L, D])."""
  params = jax.device_put(pretrained.load_params(model, 'text_encoder'))
  root = jax.random.key(config.seed)
  encode = jax.jit(lambda ids: model.encoder.apply({'params': params}, *ids))
  draw = stream.host_scenes(root)
  picture = jax.jit(
    functools.partial(_picture, stage), static_argnames=('resolution', 'crop')
  )

  def make_batch(number: int) -> step.Batch:
    phase = _phase(phases, number)
    scenes = draw(number, phase['batch'])
    texts = stream.write_captions(scenes, config.seed, number)
    text = encode(model.tokenizer.ids(texts, config.max_length))
    key = rng.key(root, 'crops', number)
    image, low, corner = picture(
      scenes, key, resolution=phase['resolution'], crop=phase['crop']
    )
    return step.Batch(image, text, low, corner)

  null_text = encode(model.tokenizer.ids([''], config.max_length))[0]
  return make_batch, null_text


def _picture(stage: cascade.Stage, scenes, key, *, resolution: int, crop: int):
  """(image, low, corner): whole scenes, or crops with their lower image."""
  if not stage.is_super_resolution:
    return stream.images(scenes, resolution), None, None
  count, full = scenes.class_id.shape[0], stage.resolution
  corner = jax.random.randint(key, (count, 2), 0, full - crop + 1)
  window = (corner[:, 0], corner[:, 1], crop)
  image = stream.images(scenes, full, window)
  return image, _lower(scenes, resolution, full, corner, crop), corner


def _lower(scenes, resolution: int, full: int, corner, crop: int):
  """The lower image [B, r, r, 3], drawn only where the crop looks.

  `lowres.upsample` aligns corners, so pixel y of the crop lies between two
  rows from y (r - 1) / (R - 1) on. What no crop looks at stays zero.
  """
  scale = (resolution - 1) / (full - 1)
  side = min(resolution, math.ceil(crop * scale) + 2)
  start = jnp.floor(corner * scale).astype(jnp.int32)
  start = jnp.minimum(start, resolution - side)
  part = stream.images(scenes, resolution, (start[:, 0], start[:, 1], side))
  blank = jnp.zeros((resolution, resolution, 3))
  put = lambda piece, at: jax.lax.dynamic_update_slice(
    blank, piece, (at[0], at[1], 0)
  )
  return jax.vmap(put)(part, start)
