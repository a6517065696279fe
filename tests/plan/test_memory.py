"""Bytes of shapes, against the bytes of real arrays."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from dbflax import sharding
from dbflax.plan import hardware, memory


def _floats(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_parameters_are_split_over_fsdp_and_batches_over_all():
  mesh = sharding.abstract_mesh(8, 2, 4)
  params = {'a': {'kernel': _floats(16, 8), 'bias': _floats(8)}}
  placed = memory.placed(params, mesh)
  assert memory.per_device(placed) == 4 * (16 * 8 // 4 + 8)
  assert placed['a']['kernel'].sharding.spec == P(None, 'fsdp')
  assert memory.per_device(memory.batched(_floats(16, 3), mesh)) == 4 * 2 * 3
  # 12 examples cannot be split over 8 devices: each has them all.
  assert memory.per_device(memory.batched(_floats(12, 3), mesh)) == 4 * 12 * 3
  assert memory.per_device(_floats(5)) == 20


_EIGHT = """
import jax, jax.numpy as jnp
from dbflax import cascade, pretrained, sharding
from dbflax.plan import memory
from dbflax.train import optimizer
from dbflax.train import state as state_lib

stage = pretrained.load('tiny').stages['stage_1']
tx = optimizer.build(learning_rate=1e-3, steps=10)
create = lambda: state_lib.create(
  cascade.init_stage(stage, jax.random.key(0)), tx, ema=True
)
shapes = jax.eval_shape(create)
for data, fsdp in ((8, 1), (2, 4), (1, 8)):
  mesh = sharding.make_mesh(data, fsdp)
  lie = sharding.shard_tree(shapes, mesh)
  zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
  real = jax.device_put(zeros, lie)
  measured = sum(
    leaf.addressable_shards[3].data.nbytes for leaf in jax.tree.leaves(real)
  )
  abstract = sharding.abstract_mesh(8, data, fsdp)
  planned = memory.per_device(memory.placed(shapes, abstract))
  assert planned == measured, (data, fsdp, planned, measured)
  batch = jnp.ones((16, 3, 5))
  [shard, *_] = sharding.put_batch(batch, mesh).addressable_shards
  assert memory.per_device(memory.batched(batch, abstract)) == shard.data.nbytes
print('equal')
"""


def test_eight_devices_hold_what_is_planned_for_them(on_eight_devices):
  assert on_eight_devices(_EIGHT) == 'equal'


def test_working_bytes_are_those_of_values_alive_together():
  def run(x):  # x and the result do not count
    a = x + 1  # 4 values of 4 bytes
    b = a * 2  # a and b
    c = a @ b  # a dies here, b here
    return c + 1

  x = _floats(2, 2)
  found = memory.working(jax.make_jaxpr(run)(x), 1, 1, 1)
  assert found == 3 * 16  # a, b and c


def test_what_an_argument_is_added_to_takes_its_place():
  """As the gradient of class images that of photos."""

  def run(grads, x):
    a, b = jnp.sin(x), jnp.cos(x)
    return grads[0] + a, grads[1] + b

  x = _floats(6)
  assert memory.working(jax.make_jaxpr(run)((x, x), x), 1, 1, 1) == 0
  more = lambda x: run((x * 2, x), x)  # of which one is no argument
  assert memory.working(jax.make_jaxpr(more)(x), 1, 1, 1) == 2 * 24


@pytest.mark.parametrize('wrap', [jax.jit, jax.checkpoint])
def test_working_bytes_inside_of_a_program_count_once(wrap):
  run = wrap(lambda x: jnp.sin(x * 2 + 1))
  outer = lambda x: run(x) + 1
  x = _floats(6)
  # A result and what it was made of, and no more.
  assert memory.working(jax.make_jaxpr(outer)(x), 1, 1, 1) == 2 * 24


@pytest.mark.parametrize(
  ('shape', 'dtype', 'padded'),
  [
    ((3, 8, 128), 'float32', 3 * 8 * 128 * 4),
    # 160 channels take the lanes of 256, as in IF-II.
    ((2, 16, 160), 'bfloat16', 2 * 16 * 256 * 2),
    ((2, 9, 6), 'bfloat16', 2 * 16 * 128 * 2),
    ((5,), 'float32', 128 * 4),
    ((), 'float32', 128 * 4),
    ((9, 1), 'int8', 32 * 128),
  ],
)
def test_working_bytes_are_in_whole_tiles(shape, dtype, padded):
  jaxpr = jax.make_jaxpr(lambda x: (x + x) * x)(jnp.zeros(shape, dtype))
  assert memory.working(jaxpr, 1, 1, 1, hardware.TILE) == padded
  assert memory.working(jaxpr, 1, 1, 1) == jnp.zeros(shape, dtype).nbytes


def test_working_bytes_of_a_batch_are_split_over_all_devices():
  f = lambda x, w: ((x + 1) @ (w + 1)).sum()
  jaxpr = jax.make_jaxpr(f)(_floats(8, 4), _floats(4, 4))
  whole = memory.working(jaxpr, 8, 1, 1)
  assert whole == 4 * (8 * 4 + 4 * 4 + 8 * 4)
  assert memory.working(jaxpr, 8, 8, 4) == 4 * (4 + 4 + 4)
