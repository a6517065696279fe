"""Truths of the mesh and of how parameters lie on it.

Tests of one device run here; what eight devices do is asked of a process of
its own, whose CPU pretends to be eight.
"""

import os
import pathlib
import subprocess
import sys
import types

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dbflax import cascade, errors, pretrained, sharding
from dbflax.train import optimizer
from dbflax.train import state as state_lib

ROOT = pathlib.Path(__file__).parents[1]


def _mesh(data, fsdp):
  """Enough of a mesh for `sharding.spec`."""
  return types.SimpleNamespace(shape={'data': data, 'fsdp': fsdp})


@pytest.fixture(scope='module')
def embedded():
  return pretrained.load()


def test_the_first_rule_that_matches_wins():
  mesh = _mesh(2, 4)
  conv = sharding.spec(
    'down_blocks_0/resnets_0/conv1/kernel', (3, 3, 8, 16), mesh
  )
  assert conv == P(None, None, None, 'fsdp')
  assert sharding.spec('a/linear_1/kernel', (8, 16), mesh) == P(None, 'fsdp')
  assert sharding.spec('shared/embedding', (7, 40), mesh) == P(None, 'fsdp')
  pooled = 'add_embedding/pool/positional_embedding'
  assert sharding.spec(pooled, (1, 16), mesh) == P(None, 'fsdp')
  assert sharding.spec('a/norm1/scale', (16,), mesh) == P()
  # A LoRA is split along its matrix, not along its rank.
  factor_a, factor_b = ('a/to_q/lora_A/kernel', 'a/to_q/lora_B/kernel')
  assert sharding.spec(factor_a, (8, 4), mesh) == P('fsdp', None)
  assert sharding.spec(factor_b, (4, 8), mesh) == P(None, 'fsdp')


def test_where_the_named_dimension_does_not_divide_another_is_split():
  """The largest that does; nothing is split where there is none."""
  mesh = _mesh(2, 4)
  spec = lambda path, *shape: sharding.spec(path, shape, mesh)
  assert spec('conv_out/kernel', 3, 3, 8, 6) == P(None, None, 'fsdp', None)
  assert spec('a/kernel', 8, 18) == P('fsdp', None)
  assert spec('a/kernel', 7, 16) == P(None, 'fsdp')
  assert spec('a/kernel', 7, 18) == P(None, None)
  assert spec('a/bias', 16) == P()


def test_sums_over_rows_and_columns_are_split_too():
  """Adafactor's, whose path is a kernel's, but not their shape."""
  mesh = _mesh(2, 4)
  spec = lambda path, *shape: sharding.spec(path, shape, mesh)
  assert spec('v_row/conv1/kernel', 3, 3, 8) == P(None, None, 'fsdp')
  assert spec('v_col/to_q/kernel', 8) == P('fsdp')
  assert spec('v/conv1/kernel', 1) == P(None)  # stands for what is factored


def test_a_path_without_a_rule_raises():
  with pytest.raises(ValueError, match="no sharding rule matches 'a/gamma'"):
    sharding.spec('a/gamma', (3,), _mesh(1, 1))


def test_every_parameter_of_the_tiny_cascade_has_a_rule(tiny):
  mesh = sharding.make_mesh()
  key = jax.random.key(0)
  for stage in tiny.stages.values():
    init = lambda k, s=stage: cascade.init_stage(s, k)
    sharding.shard_tree(jax.eval_shape(init, key), mesh)
  encoder = lambda k: cascade.init_encoder(tiny.encoder, k)
  sharding.shard_tree(jax.eval_shape(encoder, key), mesh)


def test_matrices_are_split_where_it_pays(tiny):
  """By far most of the numbers are in split tensors, on 2 × 4 devices."""
  stage, mesh = tiny.stages['stage_1'], _mesh(2, 4)
  shapes = jax.eval_shape(
    lambda k: cascade.init_stage(stage, k), jax.random.key(0)
  )
  split = total = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    total += leaf.size
    if 'fsdp' in sharding.spec(name, leaf.shape, mesh):
      split += leaf.size
  assert split > 0.9 * total


def _share(shapes, mesh) -> float:
  """What one device holds of a tree, as a part of an even split."""
  total = held = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    is_split = 'fsdp' in sharding.spec(name, leaf.shape, mesh)
    total += leaf.size
    held += leaf.size / (mesh.shape['fsdp'] if is_split else 1)
  return held * mesh.shape['fsdp'] / total


@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    *((name, 'adamw') for name in cascade.STAGES),
    # Vectors weigh more where matrices have less state; in the smallest stages
    # they are too many: 1.11 of stage_2 and 1.15 of stage_3 under Adafactor.
    *(('stage_1', kind) for kind in optimizer.KINDS[1:]),
  ],
)
def test_a_device_holds_its_share_of_an_embedded_stage(embedded, name, kind):
  """Of parameters and optimizer state under fsdp = 8, a tenth more at most."""
  params = pretrained.abstract_params(embedded, name)
  tx = optimizer.build(learning_rate=1e-3, steps=10, kind=kind)
  create = lambda p: state_lib.create(p, tx, ema=False)
  state = jax.eval_shape(create, params)
  assert 1 <= _share(state, _mesh(1, 8)) < 1.1


@pytest.mark.parametrize('name', ['IF-I-M', 'IF-I-XL', 'IF-II-L'])
def test_a_device_holds_its_share_of_if(full_size, name):
  _, _, shapes = full_size(name)
  leaf = lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32)
  tree = flax.traverse_util.unflatten_dict(
    {path: leaf(shape) for path, shape in shapes.items()}, sep='/'
  )
  assert 1 <= _share(tree, _mesh(1, 8)) < 1.01


def test_the_optimizers_state_lies_like_its_parameters():
  params = {
    'conv_in': {'kernel': jnp.zeros((3, 3, 3, 8)), 'bias': jnp.zeros(8)},
    'shared': {'embedding': jnp.zeros((8, 4))},
  }
  tx = optimizer.build(learning_rate=1e-3, steps=10, warmup=2)
  shapes = jax.eval_shape(lambda: state_lib.create(params, tx, ema=True))
  shardings = sharding.shard_tree(shapes, sharding.make_mesh())
  specs = lambda tree: jax.tree.map(lambda s: s.spec, tree)
  moments = [
    part
    for part in jax.tree.leaves(
      shardings.opt_state, is_leaf=lambda part: hasattr(part, 'mu')
    )
    if hasattr(part, 'mu')
  ]
  assert len(moments) == 1
  expected = specs(shardings.params)
  assert specs(shardings.ema) == expected
  expected['conv_in']['bias'] = None  # is among the vectors, joined
  for tree in (moments[0].mu, moments[0].nu):
    assert specs(tree) == {**expected, 'bias_and_scale': P()}
  assert shardings.step.spec == P()


def test_a_mesh_that_is_not_the_devices_is_refused():
  with pytest.raises(errors.UserError, match='3 × 5 is not the'):
    sharding.make_mesh(3, 5)


def test_batches_come_back_whole():
  mesh = sharding.make_mesh()
  batch = {'image': np.arange(12.0).reshape(4, 3), 'one': np.ones((1, 2))}
  found = sharding.put_batch(batch, mesh)
  jax.tree.map(np.testing.assert_array_equal, found, batch)


def _ask_eight_devices(*args):
  """Runs tests/eight_devices.py with these arguments."""
  devices = '--xla_force_host_platform_device_count=8'
  environment = {
    **os.environ,
    'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} {devices}',
    'JAX_PLATFORMS': 'cpu',
    'PYTHONPATH': str(ROOT),
  }
  done = subprocess.run(
    [sys.executable, ROOT / 'tests/eight_devices.py', *args],
    env=environment,
    capture_output=True,
    text=True,
    timeout=900,
  )
  assert done.stdout.strip() == 'ok', done.stderr[-3000:]


def test_eight_devices_do_in_two_steps_what_one_does():
  _ask_eight_devices('numerics', 'stage_1', '2', '2x4')


@pytest.mark.slow
@pytest.mark.parametrize(
  'args',
  [
    *((name, '5', '8x1,2x4,1x8') for name in cascade.STAGES),
    # The frozen part lies on the mesh beside the state.
    ('stage_2', '5', '2x4', 'lora'),
    ('stage_2', '5', '2x4', 'microbatches'),
  ],
  ids='-'.join,
)
def test_eight_devices_do_what_one_does(args):
  """Losses to 1e-4, parameters to 1e-3 or 2e-5, and one trace each."""
  _ask_eight_devices('numerics', *args)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    *(('stage_1', 'adamw'), ('stage_1', 'adafactor')),
    *(('stage_2', 'adamw'), ('stage_2', 'lora')),
  ],
)
def test_no_device_ever_holds_a_whole_state(tmp_path, name, kind):
  _ask_eight_devices('placement', name, tmp_path, kind)
