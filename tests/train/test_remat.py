"""On a CPU, too, what is computed again lies in no memory until then."""

import dataclasses
import functools

import jax
import numpy as np

from dbflax import cascade, sharding
from dbflax.train import adapt, optimizer, step
from dbflax.train import state as state_lib


def _temporaries(stage, remat: str) -> int:
  """Bytes of the gradient of a batch whose activations outweigh all else."""
  stage = dataclasses.replace(stage, unet=stage.unet.clone(remat=remat))
  init = functools.partial(cascade.init_stage, stage)
  shapes = jax.eval_shape(init, jax.random.key(0))
  params = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
  tx, mesh = optimizer.build(learning_rate=1e-3, steps=9), sharding.make_mesh()
  _, shardings = state_lib.start(params, tx, ema=False, mesh=mesh)
  made = step.compile_programs(stage, step.Objective(), tx, 0, mesh, shardings)
  text = np.zeros((32, 4, 96), np.float32)
  batch = step.Batch(np.zeros((32, 32, 32, 3), np.float32), text)
  drawn = (jax.random.key(0), np.float32(1))
  args = (adapt.WHOLE, params, batch, text[0], *drawn)
  program = made.gradient.trace(*args).lower().compile()
  return program.memory_analysis().temp_size_in_bytes


def test_a_gradient_takes_less_memory_with_remat(tiny):
  sizes = [_temporaries(tiny.stages['stage_1'], h) for h in ('none', 'dots')]
  assert sizes[1] < 0.8 * sizes[0]
