"""The steps of a run as programs with shapes: nothing is computed or loaded.

They are the very programs that a run compiles (`train.step`, `cascade`,
`text.embed`), called with shapes that lie on a mesh as a run's arrays do. The
mesh may be abstract.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from dbflax import cascade, job, methods, pretrained, sharding
from dbflax.plan import memory
from dbflax.text import embed
from dbflax.train import adapt, finetune, inversion, step
from dbflax.train import state as state_lib

# What the name of a training step ends in, where its previews are meant.
PREVIEWS = ' previews'


@dataclasses.dataclass(frozen=True)
class Program:
  """A jitted function and the shapes of its arguments.

  calls: how often a step calls it; passes: how often a call goes through its
  parameters; batch: its examples at once, divided over `share` devices, or 0 if
  it works on the parameters alone, without a matrix product; makes: bytes of
  its results that are resident.
  """

  name: str
  run: Callable
  args: tuple
  calls: int = 1
  passes: int = 1
  batch: int = 0
  share: int = 1
  makes: int = 0

  @functools.cached_property
  def traced(self):
    return self.run.trace(*self.args)


@dataclasses.dataclass(frozen=True)
class Step:
  """What a run does `count` times in a row.

  resident: kind of bytes → how many lie on a device all the while.
  """

  name: str
  count: int
  programs: tuple[Program, ...]
  resident: dict[str, int]
  fsdp: int


def of_run(config, model: cascade.Cascade, mesh, flat) -> Iterator[Step]:
  """All steps of a run that starts with nothing, in order.

  Args:
    config: of the run; model: its cascade.
    mesh: of the U-Nets.
    flat: the same devices as one fsdp axis, for the text encoder.
  """
  samplers = {
    name: _sampler(config, model, name, mesh) for name in model.stages
  }
  if config.method == methods.INVERSION:  # Prompts hold what it learns.
    yield from _inversion(config, model, mesh, samplers['stage_1'])
  yield _text(config, model, flat)
  if methods.draws_prior(config):
    yield _class_images(config, model, mesh)
  if config.method == methods.DREAMBOOTH:
    for name in methods.trained(config):
      yield from _training(config, model, name, mesh, samplers[name])
  images = len(config.sample.prompts) * config.sample.images_per_prompt
  for name, program in samplers.items():
    count = -(-images // program.batch)
    yield _drawing(f'{name} samples', count, program, mesh)


def _text(config, model, flat) -> Step:
  """T5, split over all devices (`Job.embed`)."""
  encoder = model.encoder
  params = _params(model, 'text_encoder', flat, encoder.dtype)
  ids = jax.ShapeDtypeStruct((embed.BATCH, config.text.max_length), np.int32)
  run = embed.compiled(encoder, sharding.replicated(flat))
  args = ({'params': params}, ids, ids)
  if config.method == methods.INVERSION:
    args += (_floats(config.inversion.num_vectors, encoder.d_model),)
  program = Program('encode', run, args, batch=embed.BATCH, share=flat.size)
  # The empty prompt; the photos' and the class images' where these are trained.
  texts = 1 + len(config.sample.prompts)
  if config.method == methods.DREAMBOOTH:
    texts += 1 + len(config.others) + len(methods.class_prompts(config))
  resident = {'weights': memory.per_device(params)}
  count = -(-texts // embed.BATCH)
  return Step('text', count, (program,), resident, flat.size)


def _params(model, name: str, mesh, dtype=jnp.float32):
  """Shapes of a network as `pretrained.load_params` puts it."""
  cast = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype))
  shapes = jax.tree.map(cast, pretrained.abstract_params(model, name))
  return memory.placed(shapes, mesh)


def _class_images(config, model, mesh) -> Step:
  options = config.prior
  sampling = cascade.Sampling(
    options.sampler, options.steps, options.guidance_scale
  )
  program = _sampling(
    config, model, 'stage_1', mesh, sampling, batch=options.batch
  )
  count = -(-options.count // options.batch)
  count *= len(methods.class_prompts(config))
  return _drawing('class images', count, program, mesh)


def _sampler(config, model, name: str, mesh) -> Program:
  """How samples and previews of a stage are drawn."""
  batch = job.batch_of(config, model, name, mesh)
  options = job.sampling(config, name)
  return _sampling(config, model, name, mesh, options, batch)


def _sampling(config, model, name, mesh, options, batch: int) -> Program:
  stage = model.stages[name]
  length, width = config.text.max_length, model.encoder.d_model
  on_mesh = lambda shapes: memory.batched(shapes, mesh)
  args = (
    _params(model, name, mesh),
    on_mesh(_floats(batch, length, width)),
    _floats(length, width),
    on_mesh(jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))),
  )
  if stage.is_super_resolution:
    below = model.below(name).resolution
    args += (on_mesh(_floats(batch, below, below, 3)),)
  run, share = cascade.make_sampler(stage, options), _share(batch, mesh)
  return Program('sample', run, args, 1, options.steps, batch, share)


def _share(batch: int, mesh) -> int:
  """How many devices divide the work on so many examples."""
  return mesh.size if batch % mesh.size == 0 else mesh.shape['fsdp']


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _drawing(name: str, count: int, program: Program, mesh) -> Step:
  params, *others = program.args
  resident = {
    'weights': memory.per_device(params),
    'batch': memory.per_device(others),
  }
  return Step(name, count, (program,), resident, mesh.shape['fsdp'])


def _inversion(config, model, mesh, sampler: Program) -> Iterator[Step]:
  """Textual Inversion's training, with all of two networks, and its previews.

  What its gradient goes through is not trained: only vectors have moments.
  """
  hyper, size = config.inversion, config.inversion.batch
  stage, encoder = model.stages['stage_1'], model.encoder
  frozen = inversion.Frozen(
    _params(model, 'text_encoder', mesh, encoder.dtype),
    _params(model, 'stage_1', mesh),
  )
  tx = inversion.optimizer_of(hyper)
  create = lambda params: state_lib.create(params, tx, ema=False)
  vectors = {inversion.NAME: _floats(hyper.num_vectors, encoder.d_model)}
  state = memory.placed(jax.eval_shape(create, vectors), mesh)
  ids = jax.ShapeDtypeStruct((size, config.text.max_length), np.int32)
  image = _floats(size, stage.resolution, stage.resolution, 3)
  examples = memory.batched(inversion.Batch(image, ids, ids), mesh)
  objective = finetune.objective_of(config.stage_1)
  lie = jax.tree.map(lambda leaf: leaf.sharding, state)
  run = inversion.make_step(stage, encoder, objective, tx, mesh, lie)
  key = jax.eval_shape(lambda: jax.random.key(0))
  args, share = (state, frozen, examples, key), _share(size, mesh)
  program = Program('step', run, args, batch=size, share=share)
  weights, vectors, batch = map(
    memory.per_device, (frozen, state.params, examples)
  )
  held = {
    'weights': weights + vectors,
    'optimizer': memory.per_device(state.opt_state),
  }
  more, fsdp = {'gradients': vectors, 'batch': batch}, mesh.shape['fsdp']
  yield Step(methods.STEP, hyper.steps, (program,), held | more, fsdp)
  if hyper.sample_every and hyper.steps >= hyper.sample_every:
    count = hyper.steps // hyper.sample_every
    yield Step(methods.STEP + PREVIEWS, count, (sampler,), held, fsdp)


def _training(
  config, model, name: str, mesh, sampler: Program
) -> Iterator[Step]:
  """A stage's training, and the previews while it is trained."""
  hyper, stage = config[name], model.stages[name]
  state, complete = _state(model, name, hyper, mesh)
  with_prior = name == 'stage_1' and config.prior.weight > 0
  examples = _batch(config, model, name, mesh)
  trained, moments, average, frozen, batch = map(
    memory.per_device,
    (state.params, state.opt_state, state.ema, complete, examples),
  )
  held = {
    'weights': trained + frozen,
    'optimizer': moments,
    'average': average,
  }
  shapes = (state, complete, examples)
  programs = tuple(_programs(stage, hyper, mesh, with_prior, shapes))
  # As many as there are at once, of photos or of class images.
  more = {'gradients': programs[0].calls * trained, 'batch': batch}
  fsdp = mesh.shape['fsdp']
  yield Step(name, hyper.steps, programs, held | more, fsdp)
  if hyper.sample_every and hyper.steps >= hyper.sample_every:
    # What is frozen is put together with the rest into a copy.
    copy = memory.per_device(sampler.args[0]) if frozen else 0
    more = {'merged copy': copy}
    calls = config.sample.batch // sampler.batch
    count = hyper.steps // hyper.sample_every * calls
    yield Step(name + PREVIEWS, count, (sampler,), held | more, fsdp)


def _state(model, name: str, hyper, mesh):
  """Shapes of (what is trained and its moments, what is frozen)."""
  adaptation = finetune.adaptation_of(name, hyper)
  tx = finetune.optimizer_of(hyper)
  trainable, frozen = jax.eval_shape(
    adaptation.split,
    pretrained.abstract_params(model, name),
    jax.random.key(0),
  )
  create = lambda p: state_lib.create(p, tx, ema=hyper.ema_decay > 0)
  store = lambda p: adapt.store(p, hyper.frozen_dtype)
  frozen = memory.placed(jax.eval_shape(store, frozen), mesh)
  state = memory.placed(jax.eval_shape(create, trainable), mesh)
  return state, adapt.Completion(adaptation, frozen)


def _batch(config, model, name: str, mesh) -> step.Batch:
  hyper, stage = config[name], model.stages[name]
  size, side = hyper.batch, hyper.crop or stage.resolution
  image = _floats(size, side, side, 3)
  text = _floats(size, config.text.max_length, model.encoder.d_model)
  shapes = step.Batch(image, text)
  if stage.is_super_resolution:
    below = model.below(name).resolution
    corner = jax.ShapeDtypeStruct((size, 2), jnp.int32)
    shapes = step.Batch(image, text, _floats(size, below, below, 3), corner)
  return memory.batched(shapes, mesh)


def _programs(
  stage, hyper, mesh, with_prior: bool, shapes
) -> Iterator[Program]:
  """A training step's: gradients, at once or one onto the other, and update."""
  state, complete, examples = shapes
  lie = jax.tree.map(lambda leaf: leaf.sharding, state)
  compiled = finetune.compile_programs(stage, hyper, mesh, lie, complete)
  null_text = _floats(*examples.text.shape[1:])
  # Made of the state's step, so it lies where that does.
  key = jax.eval_shape(lambda: jax.random.key(0))
  key = key.update(sharding=sharding.replicated(mesh))
  of_batch = step.parts(stage, mesh, hyper.microbatches, hyper.batch)
  parts = 1 if with_prior else of_batch
  calls = 2 if with_prior and sharding.has_room(mesh) else parts
  size = hyper.batch // hyper.microbatches // parts
  share = _share(size, mesh)
  grads, run = state.params, compiled.gradient
  args = (complete, grads, examples, null_text, key, _floats())
  if parts == 2:
    args += (jax.ShapeDtypeStruct((), np.int32),)
  made = memory.per_device(grads)
  yield Program('gradient', run, args, calls, 1, size, share, made)
  if with_prior and calls == 1:
    args += (None, grads)
    yield Program('prior gradient', run, args, 1, 1, size, share)
  yield Program('apply', compiled.apply, (state, *(grads,) * calls))
