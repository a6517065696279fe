"""What devices exchange at the least, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from configs import test as test_config
from dbflax import sharding
from dbflax.plan import exchange, hardware, memory, planner, quick


def _params(mesh):
  floats = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
  return memory.placed({'kernel': floats(16, 8), 'bias': floats(8)}, mesh)


def test_a_pass_gathers_what_other_devices_hold():
  mesh = sharding.abstract_mesh(8, 2, 4)
  found = exchange.least(mesh, 2, _params(mesh), passes=3)
  assert found == {'all-gather': {'bytes': 3 * 2 * 16 * 8 * 3 // 4}}


def test_gradients_are_summed_into_parts_and_then_over_replicas():
  mesh = sharding.abstract_mesh(8, 2, 4)
  trained = _params(mesh)
  found = exchange.least(mesh, 4, (), 2, trained, sums=1)
  assert found == {
    'reduce-scatter': {'bytes': 4 * 16 * 8 * 3 // 4},
    'all-reduce': {'bytes': 4 * 16 * 8 // 4 // 2},
  }
  # Replicas alone hold all: they sum, and gather nothing.
  alone = sharding.abstract_mesh(8, 8, 1)
  trained = _params(alone)
  found = exchange.least(alone, 4, trained, 2, trained, 1)
  assert found == {'all-reduce': {'bytes': 4 * 16 * 8 * 7 // 8}}
  one = sharding.abstract_mesh(1, 1, 1)
  assert exchange.least(one, 4, _params(one), 2, _params(one), 1) == {}


def test_an_all_reduce_sends_twice():
  chip = hardware.CHIPS['v5e']
  found = {'all-gather': {'bytes': 3e9}, 'all-reduce': {'bytes': 1e9}}
  assert quick.sending(found, chip) == 5e9 / chip.interconnect


def _step(tiny_folder, **changes):
  config = test_config.get_config()
  fields = {key.replace('__', '.'): v for key, v in changes.items()}
  fields |= {'cascade.path': str(tiny_folder), 'cascade.stages': ('stage_1',)}
  config.update_from_flattened_dict(fields)
  meshes = sharding.abstract_mesh(4, 1, 4), sharding.abstract_mesh(4, 1, 4)
  return planner.step_of(config, 'stage_1', meshes)


def test_a_step_exchanges_by_its_passes_and_the_type_of_computation(
  tiny_folder,
):
  found = lambda **more: quick._exchanged(
    _step(tiny_folder, **{'prior__weight': 0.0} | more), {}
  )
  once = found(stage_1__batch=4)
  gathered, summed = once['all-gather'], once['reduce-scatter']
  # There and back; gradients once.
  assert gathered['bytes'] == pytest.approx(2 * summed['bytes'], abs=1)
  half = found(stage_1__batch=4, stage_1__dtype='bfloat16')
  assert 2 * half['all-gather']['bytes'] == gathered['bytes']
  cut = found(stage_1__batch=8, stage_1__microbatches=2)
  assert cut['all-gather']['bytes'] == 2 * gathered['bytes']
  # The class images have a gradient of their own.
  both = found(stage_1__batch=4, prior__weight=1.0)
  assert both['all-gather']['bytes'] == 2 * gathered['bytes']
  # Two examples are on every device: nothing is known.
  assert found(stage_1__batch=2) == {}


def test_time_is_the_interconnects_where_that_is_slow(tiny_folder):
  step = _step(tiny_folder, prior__weight=0.0, stage_1__batch=4)
  chip = hardware.CHIPS['v5e']
  slow = dataclasses.replace(chip, interconnect=1e6)
  fast, row = (quick.row(step, c, 1.0, {}) for c in (chip, slow))
  gradient, apply = step.programs
  others = memory.per_device(apply.args) / chip.hbm_rate
  assert row.least == others + quick.sending(gradient.exchanged, slow)
  assert fast.least < row.least
