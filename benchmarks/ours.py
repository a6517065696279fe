"""The cases, done by dbflax with the functions that a run calls."""

import dataclasses
import functools
import json
import pathlib
import pickle
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import spec as spec_lib
from dbflax import (
  allocator,
  beside,
  cascade,
  disk,
  jitted,
  pretrained,
  rng,
  sharding,
)
from dbflax.plan import flops
from dbflax.text import embed, t5
from dbflax.train import optimizer
from dbflax.train import state as state_lib
from dbflax.train import step as step_lib
from dbflax.weights import diffusers

_OBJECTIVE = step_lib.Objective(noise_level=(spec_lib.NOISE_LEVEL,) * 2)
_ROOT = 0


def build(spec: spec_lib.Spec, side: str) -> spec_lib.Work:
  """`side` is 'dbflax'."""
  del side
  allocator.keep_freed()  # as `dbflax.main` has it
  inputs = dict(np.load(pathlib.Path(spec.folder) / 'inputs.npz'))
  make = {'train': _train, 'text': _text, 'images': _draw, 'cascade': _draw}
  return make[spec.kind](spec, inputs)


def load_stage(spec: spec_lib.Spec, name: str) -> cascade.Stage:
  folder = pathlib.Path(spec.folder) / name
  return pretrained.load_stage(folder, name, dtype=jnp.dtype(spec.dtype))


def _load_params(spec, stage, mesh) -> dict:
  init = functools.partial(cascade.init_stage, stage)
  shapes = jax.eval_shape(init, jax.random.key(0))
  return diffusers.read_params(
    pathlib.Path(spec.folder) / stage.name / 'unet',
    shapes,
    shardings=sharding.shard_tree(shapes, mesh),
  )


def first_draws(stage: cascade.Stage, made: dict) -> dict[str, np.ndarray]:
  """What the first step draws, for the other sides."""
  key = rng.key(jax.random.key(_ROOT), f'{stage.name}/instance', 0)
  draws = step_lib.draw(stage, _OBJECTIVE, step_lib.Batch(**made, text=0), key)
  found = {'t': draws.t, 'eps': draws.eps, 'lowres': draws.lowres}
  return {k: np.asarray(v) for k, v in found.items() if v is not None}


def _train(spec, inputs) -> spec_lib.Work:
  """A plain denoising step, its batch and state on the device."""
  stage, mesh = load_stage(spec, spec.part), sharding.make_mesh()
  tx = optimizer.build(learning_rate=spec_lib.LEARNING_RATE, steps=10**6)
  params = _load_params(spec, stage, mesh)
  create, shardings = state_lib.start(params, tx, ema=False, mesh=mesh)
  state = create()
  fields = {f.name for f in dataclasses.fields(step_lib.Batch)}
  batch = {k: v for k, v in inputs.items() if k in fields}
  batch = sharding.put_batch(step_lib.Batch(**batch), mesh)
  null_text = jax.device_put(inputs['null_text'], sharding.replicated(mesh))
  root = jax.random.key(_ROOT)
  programs = step_lib.compile_programs(
    stage, _OBJECTIVE, tx, 0.0, mesh, shardings
  )
  update = step_lib.make_denoising_step(programs)
  whole = _Whole(spec)

  def run(calls):
    nonlocal state
    if whole.are_wanted():
      key = rng.key(root, f'{stage.name}/instance', state.step)
      whole.give(*_calls(programs, state, batch, null_text, key))
    for _ in range(calls):
      state, metrics = update(state, batch, null_text, root)
    jax.block_until_ready(state)
    return np.asarray(metrics['instance_loss'])

  # Of the whole batch at once; an update multiplies no matrices.
  args = (batch, null_text, root, np.float32(1))
  count = lambda: _flops(
    programs.gradient, programs.complete, state.params, *args
  )
  return spec_lib.Work(run, None if whole.are_made else count)


def _calls(
  made: step_lib.Programs, state, batch, null_text, key
) -> Iterator[tuple]:
  """What a step calls, with arguments like its own."""
  params, size = state.params, len(batch.image)
  args = (made.complete, params, batch, null_text, key, np.float32(1))
  half, grads = (), (params,)
  if step_lib.parts(made.stage, made.mesh, made.microbatches, size) == 2:
    half, grads = (np.int32(0),), (params, params)
  yield made.gradient, (*args, *half)
  yield made.apply, (state, *grads)


class _Whole:
  """A CPU's programs as a run is given them, by a process that compiled them.

  That is the side's first one. The second then has nothing to trace, and shall
  not do so to count FLOPs. (`dbflax.compiler`)
  """

  def __init__(self, spec: spec_lib.Spec):
    self._file = pathlib.Path(spec.folder) / 'programs.pickle'
    self._device, self.are_made = spec.device, self._file.exists()
    self._are_given = False

  def are_wanted(self) -> bool:
    return self._device == 'cpu' and not self._are_given

  def give(self, *programs: tuple[jitted.Jitted, tuple]) -> None:
    """To functions, that are called with such arguments."""
    if not self.are_made:
      compiling = [f.trace(*args).lower().compile for f, args in programs]
      with disk.atomic_path(self._file) as partial, partial.open('wb') as file:
        for compile_it in compiling:
          pickle.dump(jitted.pack(compile_it), file)
    # One by one, as a run gets them: what is read takes memory, too.
    with disk.open_file(self._file) as file:
      for function, _ in programs:
        if (whole := pickle.load(file)) is not None:
          function.take(whole)
        del whole
    self._are_given = True


def _flops(run, *args) -> float:
  return flops.count(jax.make_jaxpr(run)(*args))


def _draw(spec, inputs) -> spec_lib.Work:
  """One trajectory of a stage, or of all one after the other."""
  mesh = sharding.make_mesh()
  names = [spec.part] if spec.part else list(cascade.STAGES)
  text, null_text = inputs['text'], inputs['null_text']
  text, null_text = sharding.put_batch(text, mesh), jax.device_put(null_text)
  keys = jax.vmap(jax.random.key)(np.arange(spec.batch))
  samplers = [_sampler(spec, name, mesh) for name in names]

  def draws():
    """The calls that draw a stage's pictures from those of the stage below."""
    low = ()
    for sample in samplers:
      call = functools.partial(sample, text, null_text, keys, *low)
      low = (call(),)
      yield call, low[0]

  def draw(_):
    *_, (_, images) = draws()
    return images

  def run(calls):
    for images in beside.each(draw, range(calls)):
      images = np.asarray(images)
    return images

  return spec_lib.Work(run, lambda: sum(_flops(call) for call, _ in draws()))


def _sampler(spec, name: str, mesh):
  """A stage's sampler, as prior.draw and sample.draw call it."""
  stage = load_stage(spec, name)
  options = cascade.Sampling(
    'ancestral', spec.steps[name], spec.guidance[name], spec_lib.NOISE_LEVEL
  )
  params = _load_params(spec, stage, mesh)
  return functools.partial(cascade.make_sampler(stage, options, mesh), params)


def _text(spec, inputs) -> spec_lib.Work:
  """The encoder alone; the ids are there."""
  folder = pathlib.Path(spec.folder) / 'text_encoder'
  config = json.loads((folder / 'config.json').read_text())
  encoder = t5.from_config(config, dtype=spec.dtype)
  init = functools.partial(cascade.init_encoder, encoder)
  shapes = jax.eval_shape(init, jax.random.key(0))
  params = diffusers.read_params(
    folder,
    shapes,
    shardings=sharding.shard_tree(shapes, sharding.make_mesh()),
    dtype=np.dtype(jnp.dtype(spec.dtype)),
  )
  apply = embed.compiled(encoder, None)
  args = ({'params': params}, inputs['ids'], inputs['mask'])

  def run(calls):
    for _ in range(calls):
      states = np.asarray(apply(*args), np.float32)
    return states * inputs['mask'][..., None]

  return spec_lib.Work(run, lambda: _flops(apply, *args))


def facts() -> dict:
  """Versions, and the device's name."""
  return {'jax': jax.__version__, 'device': jax.devices()[0].device_kind}


def device_peak() -> int:
  """The most bytes of the device's memory that arrays and programs took.

  Since the start: it includes trying out kernels while compiling.
  """
  return jax.devices()[0].memory_stats()['peak_bytes_in_use']
