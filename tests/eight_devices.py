"""What a CPU that pretends to be eight devices is asked, in its own process.

  python tests/eight_devices.py numerics stage_1 STEPS 2x4 [lora] [microbatches]
  python tests/eight_devices.py placement stage_1 FOLDER KIND

tests/test_sharding.py runs it; it prints 'ok' or fails. The number of devices
is fixed when JAX starts, so the tests' own process cannot ask.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from configs import default
from dbflax import cascade, pretrained, sharding
from dbflax.train import adapt, finetune, loop, step
from dbflax.train import state as state_lib

LORA = adapt.build(rank=4, targets='/to_')
# Of losses, and of parameters: rounding grows from step to step.
LOSS = {'rtol': 1e-4}
PARAMS = {'rtol': 1e-3, 'atol': 2e-5}


def normal(seed, *shape):
  draws = np.random.default_rng(seed).normal(size=shape)
  return draws.astype(np.float32)


# --- Numerics ----------------------------------------------------------------


def random_params(stage) -> dict:
  """None of them zero, so that everything has a gradient."""
  init = lambda key: cascade.init_stage(stage, key)
  shapes = jax.eval_shape(init, jax.random.key(0))
  leaves, tree = jax.tree.flatten(shapes)
  draw = lambda n, s: normal(n, *s.shape) / np.sqrt(np.prod(s.shape[:-1]) or 1)
  return jax.tree.unflatten(tree, [draw(n, s) for n, s in enumerate(leaves)])


def make_batch(stage) -> step.Batch:
  """16 crops of 8 pixels."""
  image, text = normal(1, 16, 8, 8, 3), normal(2, 16, 4, 96)
  if not stage.is_super_resolution:
    return step.Batch(image, text)
  corners = stage.resolution - 8 + 1
  corner = np.random.default_rng(3).integers(0, corners, (16, 2), np.int32)
  return step.Batch(image, text, normal(4, 16, 16, 16, 3), corner)


def train(stage, mesh, steps, adaptation, microbatches=1):
  """(losses, parameters, how many of them are split) of one training."""
  # Plain descent: Adam's first steps would make gradients of rounding large.
  tx, root = optax.sgd(1e-2), jax.random.key(1)
  trainable, frozen = adaptation.split(random_params(stage), root)
  frozen = jax.device_put(frozen, sharding.shard_tree(frozen, mesh))
  state = state_lib.create(jax.tree.map(jnp.array, trainable), tx, ema=True)
  shardings = sharding.shard_tree(state, mesh)
  state = jax.device_put(state, shardings)
  objective = step.Objective(noise_level=(0.0, 0.3))
  complete = adapt.Completion(adaptation, frozen)
  args = (tx, 0.9, mesh, shardings, complete, microbatches)
  update = step.make_denoising_step(
    step.compile_programs(stage, objective, *args)
  )
  batch, losses = sharding.put_batch(make_batch(stage), mesh), []
  for _ in range(steps):
    state, metrics = update(state, batch, normal(5, 4, 96), root)
    losses.append(float(metrics['instance_loss']))
  leaves = zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True)
  assert all(leaf.sharding == wanted for leaf, wanted in leaves), 'it moved'
  is_split = lambda leaf: not leaf.sharding.is_fully_replicated
  split = sum(map(is_split, jax.tree.leaves(state.params)))
  return losses, jax.device_get(state.params), split


def counted(f, *args):
  """f(*args), in which the network must be traced once."""
  traces, network = [], cascade.network
  cascade.network = lambda *given: (traces.append(1), network(*given))[1]
  try:
    result = f(*args)
  finally:
    cascade.network = network
  assert len(traces) == 1, f'{len(traces)} traces'
  return result


def numerics(name, steps, meshes, *options):
  """Losses and parameters on every mesh are those of one device."""
  stage = pretrained.load('tiny').stages[name]
  adaptation = LORA if 'lora' in options else adapt.EVERYTHING
  microbatches = 2 if 'microbatches' in options else 1
  one = jax.make_mesh(
    (1, 1),
    sharding.AXES,
    devices=jax.devices()[:1],
    axis_types=(jax.sharding.AxisType.Auto,) * 2,
  )
  losses, params, _ = counted(train, stage, one, int(steps), adaptation)
  assert len(set(losses)) == int(steps), losses
  for sizes in meshes.split(','):
    data, fsdp = map(int, sizes.split('x'))
    mesh = sharding.make_mesh(data, fsdp)
    args = (stage, mesh, int(steps), adaptation, microbatches)
    found_losses, found, split = counted(train, *args)
    matrices = sum(leaf.ndim > 1 for leaf in jax.tree.leaves(params))
    assert split == (matrices if fsdp > 1 else 0), (split, matrices)
    np.testing.assert_allclose(found_losses, losses, **LOSS)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, **PARAMS), found, params
    )


# --- Placement ---------------------------------------------------------------


def share(arrays) -> float:
  """What the fullest device holds, as a part of an even split over all."""
  held = dict.fromkeys(jax.devices(), 0)
  for array in arrays:
    for part in array.addressable_shards:
      held[part.device] += part.data.nbytes
  total = sum(array.nbytes for array in arrays)
  return max(held.values()) * len(held) / total


def cheap_network(stage, params, x_t, t, text, conditioning):
  """Something that compiles at once and in which every parameter matters."""
  means = [jnp.square(leaf).mean() for leaf in jax.tree.leaves(params)]
  return jnp.concatenate([x_t * sum(means), 0 * x_t], axis=-1)


def careful_put(put):
  """`jax.device_put` that refuses to move a large array that lies whole."""

  def check(leaf):
    large = isinstance(leaf, jax.Array) and leaf.size > 50_000
    assert not (large and leaf.sharding.is_fully_replicated), leaf.shape

  def checked(tree, *args, **kwargs):
    jax.tree.map(check, tree)
    return put(tree, *args, **kwargs)

  return checked


def placement(name, folder, kind):
  """A fine-tuning of an embedded stage never has a whole state anywhere.

  Parameters and optimizer state, and all that there is besides them, take a
  tenth more than an eighth of each device at most: at the start, at previews,
  resumed, and in the end.
  """
  cascade.network = cheap_network
  jax.device_put = careful_put(jax.device_put)
  stage = pretrained.load('', (name,)).stages[name]
  seen, run = [], loop.run

  def look(where):
    found = share(jax.live_arrays())
    seen.append(where)
    assert found < 1.1, f'{where}: {found}'

  def watched(stage_name, state, *args, **kwargs):
    found = share(jax.tree.leaves((state.params, state.opt_state)))
    print(f'{stage_name} {kind}: {found:.3f} of an eighth', file=sys.stderr)
    assert found < 1.1, found
    look(f'started at {int(state.step)}')
    return run(stage_name, state, *args, **kwargs)

  loop.run = watched
  for steps in (2, 4):
    tuned = fine_tune(stage, folder, kind, steps, lambda p, n: look(f'at {n}'))
    look(f'ended at {steps}')
    del tuned
  assert seen == [
    *('started at 0', 'at 2', 'ended at 2'),
    *('started at 2', 'at 2', 'at 4', 'ended at 4'),
  ], seen


def fine_tune(stage, folder, kind, steps, look) -> finetune.Tuned:
  hyper = default.get_config()[stage.name]
  hyper.update_from_flattened_dict(
    {'steps': steps, 'sample_every': 2, 'batch': 8, 'crop': 8}
    | {'weighting': 'simple', 'ema_decay': 0.9}
    | ({'lora.rank': 4} if kind == 'lora' else {'optimizer': kind})
  )
  mesh, side = sharding.make_mesh(1, 8), stage.resolution
  low = normal(2, 3, 8, 8, 3) if stage.is_super_resolution else None
  return finetune.run(
    stage,
    pretrained.load_params(
      pretrained.load('', (stage.name,)), stage.name, mesh
    ),
    hyper,
    finetune.Examples(normal(0, 3, side, side, 3), normal(1, 4, 96), low),
    None,
    normal(3, 4, 96),
    seed=0,
    folder=pathlib.Path(folder),
    fingerprint='same',
    mesh=mesh,
    sample=look,
  )


if __name__ == '__main__':
  assert jax.device_count() == 8
  {'numerics': numerics, 'placement': placement}[sys.argv[1]](*sys.argv[2:])
  print('ok')
