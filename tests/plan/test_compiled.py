"""The compiled depth: on the CPU here, and for a TPU where libtpu is there."""

import importlib.util
import json
import re
import subprocess

import jax
import jax.numpy as jnp
import pytest

from configs import test as test_config
from dbflax import errors
from dbflax.plan import compiled, hardware, planner, quick, steps, table

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None,
  reason='libtpu (the extra aot) is missing',
)


def test_without_libtpu_it_is_said_how_to_get_it(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[aot\]'"):
    compiled.check()


@pytest.mark.parametrize(
  ('message', 'needed'),
  [
    (
      'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required '
      'for HLO temporaries (65.25G) exceeds available HBM (15.75G).',
      65.25 * 2**30,
    ),
    (
      'RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory '
      'in memory space hbm. Used 512.0M of 15.75G hbm.',
      512 * 2**20,
    ),
    ('RESOURCE_EXHAUSTED: too many open files', None),
    ('INTERNAL: 3.0G exceeds available HBM', None),
  ],
)
def test_what_a_program_needed_that_did_not_fit(message, needed):
  assert compiled.needed_bytes(message) == needed


@pytest.mark.parametrize(
  ('code', 'said'),
  [
    (-9, 'text for v4:2x2x1 was killed: was memory short?'),
    (1, 'text for v4:2x2x1 failed with exit code 1: no such device'),
  ],
)
def test_a_compiler_that_died_is_one_clear_line(
  tmp_path, monkeypatch, code, said
):
  died = subprocess.CompletedProcess((), code, b'', b'began\nno such device\n')
  monkeypatch.setattr(subprocess, 'run', lambda *args, **options: died)
  config = _config(plan__topology='v4:2x2x1')
  with pytest.raises(errors.UserError, match=re.escape(said)):
    compiled.elsewhere(config, 'text', tmp_path)


def _step():
  x = jax.ShapeDtypeStruct((64, 64), jnp.float32)
  run = jax.jit(lambda x: jnp.tanh(x @ x) @ x)
  program = steps.Program('square', run, (x,), batch=64)
  return steps.Step('square', 1, (program,), {'weights': 64 * 64 * 4}, 1)


def test_a_program_is_compiled_once(tmp_path, monkeypatch):
  found = compiled.measure(_step(), tmp_path, 'cpu', {})['square']
  size = 64 * 64 * 4
  assert (found['arguments'], found['outputs'], found['fits']) == (
    size,
    size,
    True,
  )
  assert found['temporaries'] >= size
  assert found['peak'] >= 3 * size
  refuse = lambda *_: pytest.fail('compiled again')
  monkeypatch.setattr(compiled, '_compile', refuse)
  assert compiled.measure(_step(), tmp_path, 'cpu', {})['square'] == found
  with pytest.raises(pytest.fail.Exception, match='compiled again'):
    compiled.measure(_step(), tmp_path, 'another', {})


def test_measured_bytes_take_the_estimates_place(tmp_path):
  step, chip = _step(), hardware.CHIPS['v5e']
  measured = compiled.measure(step, tmp_path, 'cpu', {})
  row = quick.row(step, chip, 1.0, measured)
  assert row.bytes == measured['square']['peak']
  sent = {'all-reduce': {'count': 1, 'bytes': 10**9}}
  measured['square'] |= {'collectives': sent}
  slow = quick.row(step, chip, 1.0, measured)
  assert slow.exchanged == sent
  assert slow.least == pytest.approx(2 * 1e9 / chip.interconnect)
  # All that is read and written is no lower bound.
  measured['square'] |= {'accessed': 10**12}
  slower = quick.row(step, chip, 1.0, measured)
  assert slower.least == slow.least
  assert slower.likely == pytest.approx(1e12 / chip.hbm_rate)


def _config(**changes):
  config = test_config.get_config()
  fields = {key.replace('__', '.'): v for key, v in changes.items()}
  defaults = {'plan.compile': True, 'cascade.stages': ('stage_1',)}
  fields = defaults | fields
  config.update_from_flattened_dict(fields)
  return config


@pytest.mark.aot
@needs_libtpu
@pytest.mark.parametrize('chip', hardware.CHIPS.values(), ids=lambda c: c.name)
def test_every_slice_has_as_many_devices_as_chips(chip, monkeypatch):
  # As `elsewhere` sets them: libtpu is also in other processes.
  monkeypatch.setenv('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  monkeypatch.setenv('TPU_LOG_DIR', 'disabled')
  for shape in chip.shapes[:4]:
    topology = hardware.parse(f'{chip.name}:{shape}')
    devices = compiled.devices(topology)
    assert len(devices) == topology.size
    assert {device.device_kind for device in devices} == {chip.kind}


@pytest.mark.aot
@needs_libtpu
def test_a_run_is_compiled_for_a_tpu(tmp_path):
  config = _config(plan__topology='v5e:2x2', mesh__fsdp=4)
  found = compiled.elsewhere(config, 'text', tmp_path)['encode']
  assert found['fits']
  assert found['peak'] > found['arguments'] > 0
  assert found['collectives']['all-gather']['bytes'] > 0
  [kept] = tmp_path.glob('*.json')
  assert json.loads(kept.read_text()) == found


@pytest.mark.aot
@needs_libtpu
@pytest.mark.parametrize('topology', ['v5e:1x1', 'v4:2x2x1'])
@pytest.mark.parametrize('stage', ['stage_1', 'stage_2', 'stage_3'])
def test_a_training_step_is_compiled(stage, topology, tmp_path):
  place = planner.place_of(topology)
  config = _config(
    plan__topology=topology,
    cascade__stages=('stage_1', 'stage_2', 'stage_3'),
    mesh__fsdp=place.size,
    **{f'{stage}__batch': 4},
  )
  step = planner.step_of(config, stage)
  row = planner._row(config, place, step, tmp_path)
  prior = {'prior gradient'} if stage == 'stage_1' else set()
  assert row.measured.keys() == {'gradient', 'apply'} | prior
  assert all(found['fits'] for found in row.measured.values())
  # New parameters and moments take the place of the old ones.
  kept = row.resident['weights'] + row.resident['optimizer']
  assert row.measured['apply']['reused'] <= -kept
  for name in prior:
    assert row.measured[name]['reused'] <= -row.resident['gradients']
  assert 0 < row.working < place.chip.hbm / 10
  estimated = quick.row(step, place.chip, 1.0, {}).sent
  assert estimated <= row.sent
  assert (estimated > 0) == (place.size > 1)


@pytest.mark.aot
@needs_libtpu
def test_what_does_not_fit_is_one_clear_line(tmp_path):
  config = _config(
    plan__topology='v5e:1x1',
    prior__weight=0.0,
    stage_1__batch=2**16,
    stage_1__remat='blocks',
  )
  place = planner.place_of('v5e:1x1')
  step = planner.step_of(config, 'stage_1')
  row = planner._row(config, place, step, tmp_path)
  gradient = row.measured['gradient']
  assert not gradient['fits']
  assert gradient['peak'] > place.chip.hbm
  limit = 0.9 * place.chip.hbm
  plan = planner.Plan('test', place, {}, [row], limit, 0.4, [])
  plan.notes.extend(planner._remedies(config, plan, tmp_path))
  lines = table.render(plan).splitlines()
  assert any('1 (!) do not fit, as compiled' in line for line in lines)
  [line] = [line for line in lines if line.startswith('to make stage_1 fit')]
  assert re.fullmatch(
    r'to make stage_1 fit: --config.stage_1.microbatches=\d+ on v5e:1x1', line
  )


def test_a_plan_of_this_machine_is_compiled_here(tmp_path):
  config = _config()
  place = planner.place_of('')
  step = planner.step_of(config, 'text')
  row = planner._row(config, place, step, tmp_path)
  plan = planner.Plan('test', place, {}, [row], None, 0.4, [])
  assert '* measured' in table.render(plan)
  assert 'interconnect' not in table.render(plan)
  assert list(tmp_path.glob('*.json'))
