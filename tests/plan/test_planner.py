"""The quick plan of whole runs: published networks, no weights, no TPU."""

import dataclasses
import json
import subprocess
import sys
import types

import jax
import pytest

from configs import dog
from configs import test as test_config
from dbflax import job, main, sharding
from dbflax.plan import changes, hardware, planner, quick, steps, table

GIB = hardware.GIB


@pytest.fixture(scope='module')
def if_xl(published):
  """if_xl(changes) → the config of the largest cascade, without weights."""
  where = published('IF-I-XL', 'IF-II-L')

  def change(**changes):
    config = dog.get_config('if_xl')
    fields = {key.replace('__', '.'): v for key, v in changes.items()}
    config.update_from_flattened_dict(where | fields)
    return config

  return change


def _step(config, size, name) -> steps.Step:
  meshes = (
    sharding.abstract_mesh(size, config.mesh.data, config.mesh.fsdp),
    sharding.abstract_mesh(size, 1, size),
  )
  return planner.step_of(config, name, meshes)


def test_full_training_takes_16_bytes_per_parameter(if_xl, deepfloyd):
  count = deepfloyd['IF-I-XL']['parameters']
  step = _step(if_xl(), 8, 'stage_1')
  held = step.resident
  # The class images' gradients take the place of the photos'.
  all_of_it = held['weights'] + held['optimizer'] + held['gradients']
  assert all_of_it == pytest.approx(16 * count / 8, rel=0.002)
  assert held['average'] == 0
  averaged = _step(if_xl(stage_1__ema_decay=0.99), 8, 'stage_1').resident
  assert averaged['average'] == held['weights']


def test_a_lora_keeps_no_moments_of_what_is_frozen(if_xl, deepfloyd):
  count = deepfloyd['IF-I-XL']['parameters']
  config = if_xl(stage_1__lora__rank=16, stage_1__frozen_dtype='bfloat16')
  held = _step(config, 8, 'stage_1').resident
  assert held['weights'] == pytest.approx(2 * count / 8, rel=0.02)
  assert held['optimizer'] + held['gradients'] < 0.02 * held['weights']


def test_the_text_encoder_is_split_over_all_devices(if_xl, deepfloyd):
  step = _step(if_xl(mesh__fsdp=2), 8, 'text')
  count = deepfloyd['T5 v1.1 XXL']['parameters']
  assert step.resident['weights'] == pytest.approx(2 * count / 8, rel=0.001)


def _test_run(tiny_folder, **changes):
  config = test_config.get_config()
  fields = {key.replace('__', '.'): v for key, v in changes.items()}
  stages = ('stage_1', 'stage_2')
  fields |= {'cascade.path': str(tiny_folder), 'cascade.stages': stages}
  config.update_from_flattened_dict(fields)
  config.lock()
  return config


@pytest.fixture(scope='module')
def plan(tiny_folder, tmp_path_factory):
  config = _test_run(tiny_folder, plan__topology='v5e:2x2')
  return planner.make(config, tmp_path_factory.mktemp('plan'))


def test_every_step_of_a_run_is_there_as_often_as_it_is_done(plan):
  assert {row.name: row.count for row in plan.rows} == {
    'text': 1,
    'class images': 2,
    'stage_1': 4,
    'stage_1 previews': 2,
    'stage_2': 4,
    'stage_2 previews': 2,
    'stage_1 samples': 2,
    'stage_2 samples': 2,
  }
  assert all(row.flops > 0 and row.bytes > 0 for row in plan.rows)


def test_a_training_step_has_two_gradients_with_class_images(plan, tiny_folder):
  config = _test_run(tiny_folder, prior__weight=0.0, plan__topology='v5e:2x2')
  config, _ = planner._fitted(config, 4)
  alone = quick.row(_step(config, 4, 'stage_1'), None, 1.0, {})
  both = {row.name: row for row in plan.rows}['stage_1']
  assert both.flops == 2 * alone.flops
  assert both.resident['gradients'] == alone.resident['gradients']
  assert 'class images' not in [s.name for s in planner.steps_of(config)]


def test_time_is_the_rooflines(plan):
  chip = plan.place.chip
  for row in plan.rows[1:]:
    # The batches of 2 are not split over 4 chips: each does all the work.
    compute = row.flops / chip.peak
    assert compute <= row.least <= row.likely <= row.least / plan.efficiency
  total = sum(row.count * row.least for row in plan.rows)
  assert plan.seconds('least') == total
  assert table.data(plan)['least_chip_hours'] == 4 * total / 3600


def test_the_table_names_what_it_knows_and_what_it_does_not(plan):
  text = table.render(plan)
  assert "Plan of 'test' on v5e:2x2: data=4 x fsdp=1" in text
  assert 'all steps fit, as estimated: 14.18 GiB is 15.75 GiB less' in text
  assert '10% headroom' in text
  assert 'an estimate' in text
  assert 'at 40% of it' in text
  assert 'stage_1.batch=2 is not a multiple of 4 devices' in text
  for row in plan.rows:
    assert f'\n{row.name} ' in text


def test_the_table_says_what_chips_exchange():
  held, gib = {'gradients': 1}, 2**30
  row = quick.Row('stage_1', 1, 1e12, held, 0, 1.0, 2.0, sent=1.5 * gib)
  render = lambda row: table.render(
    planner.Plan('', planner.place_of('v5e:2x2'), {}, [row], 1, 0.4, [])
  )
  assert 'GiB sent to each chip, at least: stage_1 1.50 (' in render(row)
  assert 'sent' not in render(dataclasses.replace(row, sent=0.0))
  found = {'gradient': {}}
  kinds = {'all-gather': {'count': 7, 'bytes': gib}}
  measured = dataclasses.replace(row, measured=found, exchanged=kinds)
  assert 'stage_1: all-gather 1 GiB in 7' in render(measured)


def test_devices_without_known_rates_have_no_time(tiny_folder, tmp_path):
  config = _test_run(tiny_folder, cascade__stages=('stage_1',))
  plan = planner.make(config, tmp_path)
  assert plan.seconds('least') is None
  assert plan.limit is None
  text = table.render(plan)
  assert 'How long it takes is not known' in text
  assert 'What fits is not known' in text


def test_a_gpu_says_itself_what_fits(tiny_folder, tmp_path, monkeypatch):
  told = {'bytes_limit': 100 * 2**20}
  gpu = types.SimpleNamespace(device_kind='H200', memory_stats=lambda: told)
  monkeypatch.setattr(jax, 'devices', lambda: [gpu])
  config = _test_run(tiny_folder)
  fits = planner.make(config, tmp_path)
  assert fits.limit == 0.9 * told['bytes_limit']
  assert 'all steps fit, as estimated: 0.09 GiB' in table.render(fits)
  told['bytes_limit'] = 2**20
  text = table.render(planner.make(config, tmp_path))
  assert '(!) do not fit' in text
  assert 'fit: --config.stage_2.lora.rank=16' in text
  assert 'How long it takes is not known' in text


def _plan_with(limit: float, topology: str) -> planner.Plan:
  place = planner.place_of(topology)
  return planner.Plan('', place, {}, [], limit, 0.4, [])


def _held(config, size, name) -> int:
  return sum(_step(config, size, name).resident.values())


def _needed(config, size, name) -> int:
  step = _step(config, size, name)
  chip = hardware.CHIPS['v5e']
  return sum(step.resident.values()) + quick.working(step, {}, chip)


def _row(name: str, working: int = 0, measured=()) -> quick.Row:
  measured = dict(measured)
  return quick.Row(name, 1, 0.0, {}, working, None, None, measured=measured)


@pytest.fixture
def remedy(tiny_folder, tmp_path):
  """remedy(limit, row, slice, **fields of the config) → what is advised."""

  def advise(limit, row, topology, **changes):
    config = _test_run(tiny_folder, plan__topology=topology, **changes)
    plan = _plan_with(limit, topology)
    return planner._remedy(config, plan, row, tmp_path)

  return advise


def test_what_does_not_fit_is_told_the_smallest_change(
  tiny_folder, tmp_path, monkeypatch, remedy
):
  # Tracing takes a second; what is resident is enough to choose by.
  monkeypatch.setattr(quick, 'working', lambda *args: 0)
  held = lambda size, **changes: _held(
    _test_run(tiny_folder, **changes), size, 'stage_2'
  )
  # Over four chips it fits, over two it does not.
  four, two = (held(4, mesh__fsdp=n) for n in (4, 2))
  assert four < two
  found = remedy(four, _row('stage_2'), 'v5e:2x2')
  assert found == '--config.mesh.fsdp=4 on v5e:2x2'
  plan = _plan_with(1.0, 'v5e:2x2')
  plan.rows.extend([_row('text', 2), _row('class images', 2)])
  config = _test_run(tiny_folder, plan__topology='v5e:2x2')
  assert planner._remedies(config, plan, tmp_path) == [
    'to make text and class images fit: nothing that was tried is enough'
  ]


@pytest.mark.parametrize(
  'change',
  [
    {'stage_2.moments_dtype': 'bfloat16'},
    {'stage_2.optimizer': 'adafactor'},
    {'stage_2.lora.rank': 16, 'stage_2.frozen_dtype': 'bfloat16'},
  ],
)
def test_training_otherwise_is_advised_from_the_nearest(
  tiny_folder, monkeypatch, remedy, change
):
  monkeypatch.setattr(quick, 'working', lambda *args: 0)
  config = _test_run(tiny_folder)
  limit = _held(planner._changed(config, change), 1, 'stage_2')
  assert limit < _held(config, 1, 'stage_2')
  here, larger = remedy(limit, _row('stage_2'), 'v5e:1x1').split(', or ')
  assert here == f'{changes.flags(change)} on v5e:1x1'
  assert larger in (
    '--config.mesh.fsdp=4 on v5e:2x2',
    '--config.mesh.fsdp=8 on v5e:2x4',
  )


@pytest.mark.parametrize(
  ('change', 'already'),
  [
    ({'stage_1.remat': 'dots'}, {}),
    ({'stage_1.remat': 'blocks'}, {'stage_1.remat': 'dots'}),
    ({'stage_1.microbatches': 2}, {'stage_1.remat': 'blocks'}),
  ],
)
def test_activations_that_do_not_fit_are_told_how_to(
  tiny_folder, remedy, change, already
):
  fields = {'stage_1.batch': 4, 'cascade.stages': ('stage_1',), **already}
  fields = {key.replace('.', '__'): v for key, v in fields.items()}
  config = _test_run(tiny_folder, **fields)
  limit = _needed(planner._changed(config, change), 1, 'stage_1')
  assert limit < _needed(config, 1, 'stage_1')
  found = remedy(limit, _row('stage_1'), 'v5e:1x1', **fields)
  assert found == f'{changes.flags(change)} on v5e:1x1'


@pytest.fixture
def compilations(monkeypatch):
  """compilations(needed) → the slices and fsdp compiled for, as that goes on.

  A step is estimated to need 24 bytes over its fsdp, and needs
  `needed(estimate)`.
  """

  def fake(needed):
    found = []

    def measure(config, step, folder):
      found.append((config.plan.topology, config.mesh.fsdp))
      return {'needed': needed(24 / step.fsdp)}

    monkeypatch.setattr(planner, '_measured', measure)
    return found

  step = lambda config, name: steps.Step(name, 1, (), {}, config.mesh.fsdp)
  monkeypatch.setattr(planner, 'step_of', step)
  working = lambda step, found, chip: found.get('needed', 24 / step.fsdp)
  monkeypatch.setattr(quick, 'working', working)
  monkeypatch.setattr(quick, '_exchanged', lambda step, found: {})
  return fake


def test_of_what_is_tried_only_the_likely_is_compiled(remedy, compilations):
  need = 4 * 24
  row = _row('stage_1', need, {'needed': need})
  # By the estimate it fits unchanged, but that is a fourth of what is needed.
  found = compilations(lambda estimate: 4 * estimate)
  advised = remedy(30, row, 'v5e:2x2', plan__compile=True)
  assert advised == '--config.mesh.fsdp=4 on v5e:2x2'
  assert found == [('v5e:2x2', 4)]


def test_estimates_that_were_too_high_are_lowered(remedy, compilations):
  row = _row('stage_1', 6, {'needed': 6})
  # By the estimate even four chips would have too much, 24 / 4.
  found = compilations(lambda estimate: estimate / 4)
  advised = remedy(5, row, 'v5e:2x2', plan__compile=True)
  assert advised == '--config.mesh.fsdp=2 on v5e:2x2'
  assert found == [('v5e:2x2', 2)]


def test_a_search_that_compiles_ends(remedy, compilations):
  row = _row('stage_1', 24, {'needed': 24})
  found = compilations(lambda estimate: 24)
  advised = remedy(23, row, 'v5e:2x2', plan__compile=True)
  assert advised == 'nothing that was tried is enough'
  # Two of each kind: harmless, another training, larger slices.
  assert found == [
    *(('v5e:2x2', 2), ('v5e:2x2', 4)),
    *(('v5e:2x2', 4), ('v5e:2x2', 4)),
    *(('v5e:2x4', 8), ('v5e:4x4', 16)),
  ]


def test_remat_takes_less_memory_and_more_flops(tiny_folder):
  kept, some, again = (
    quick.row(
      _step(_test_run(tiny_folder, stage_1__remat=remat), 1, 'stage_1'),
      None,
      1.0,
      {},
    )
    for remat in ('none', 'dots', 'blocks')
  )
  assert again.working < some.working < kept.working
  assert again.working < 0.8 * kept.working
  assert again.flops > 1.1 * kept.flops
  assert kept.flops < some.flops < 0.95 * again.flops


def test_a_plan_reads_no_weights_and_is_left_as_json(
  tiny_folder, tmp_path, capsys, monkeypatch
):
  arguments = [
    f'--config={test_config.__file__}',
    *('--mode=plan', f'--workdir={tmp_path}/w'),
    *(f'--config.cascade.path={tiny_folder}',),
    *("--config.cascade.stages=('stage_1',)", '--config.mesh.fsdp=8'),
    '--config.plan.topology=v6e:2x2',
  ]
  assert not list(tiny_folder.rglob('*.safetensors'))
  monkeypatch.setattr(main, '_set_compilation_cache', lambda folder: None)
  assert main.main(['dbflax', *arguments]) == 0
  output = capsys.readouterr().out
  assert 'planned with --config.mesh.data=-1 --config.mesh.fsdp=4' in output
  record = json.loads((tmp_path / 'w/plan.json').read_text())
  assert record['mesh'] == {'data': 1, 'fsdp': 4}
  assert record['place'] == {'name': 'v6e:2x2', 'devices': 4}
  assert all(row['fits'] for row in record['rows'])


def test_a_bad_topology_is_found_without_jax(tmp_path):
  code = (
    'import sys; from dbflax import main; '
    f'code = main.main(["dbflax", "--config={test_config.__file__}", '
    f'"--mode=plan", "--config.plan.topology=v9", "--workdir={tmp_path}/w"]); '
    'assert "jax" not in sys.modules; sys.exit(code)'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  assert done.returncode == 2
  assert "no TPU 'v9' is known" in done.stderr
  assert job  # imported here, not there


def test_textual_inversion_holds_both_networks_and_trains_vectors(tiny_folder):
  fields = {'method': 'textual_inversion', 'inversion__num_vectors': 2}
  config = _test_run(tiny_folder, **fields)
  meshes = (sharding.abstract_mesh(1), sharding.abstract_mesh(1))
  found = {step.name: step for step in planner.steps_of(config, meshes)}
  assert {name: step.count for name, step in found.items()} == {
    'inversion': 4,
    'inversion previews': 2,
    'text': 1,
    'stage_1 samples': 2,
    'stage_2 samples': 2,
  }
  held = {name: step.resident for name, step in found.items()}
  width = job.open_cascade(config, ('stage_1',)).encoder.d_model
  vectors = 4 * 2 * width
  networks = held['text']['weights'] + held['stage_1 samples']['weights']
  assert held['inversion']['weights'] == networks + vectors
  assert held['inversion']['gradients'] == vectors
  # Two moments, and the steps counted.
  assert 0 < held['inversion']['optimizer'] - 2 * vectors < 20
  # There and back through the text encoder, which the text step enters with
  # four times as many prompts.
  rows = {n: quick.row(step, None, 1.0, {}) for n, step in found.items()}
  assert rows['inversion'].flops > 2 * rows['text'].flops / 4
  assert not [*changes.other_training(config, 'inversion', 1)]
  assert [*changes.harmless(config, 'inversion', 1)] == [
    {'stage_1.remat': 'dots'},
    {'stage_1.remat': 'blocks'},
  ]


def test_words_alone_are_encoded_and_drawn(tiny_folder):
  fields = {'method': 'prompt_only', 'subject.description': 'red dog'}
  config = _test_run(tiny_folder, **fields)
  meshes = (sharding.abstract_mesh(1), sharding.abstract_mesh(1))
  names = [step.name for step in planner.steps_of(config, meshes)]
  assert names == ['text', 'stage_1 samples', 'stage_2 samples']
