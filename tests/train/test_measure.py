"""Choosing what to measure, keeping what was measured, and showing it."""

import importlib.util
import json

import jax
import numpy as np
import pytest

from configs import toybox
from dbflax import cascade, errors, pretrained
from dbflax.data import images
from dbflax.evaluate import lpips
from dbflax.train import drawing, measure, measure_table


def test_parts_are_chosen_by_name():
  assert measure.choose('') == list(measure.PARTS)
  assert measure.choose('sr, base') == ['base', 'sr']
  with pytest.raises(errors.UserError, match=r"no measure 'bse'.*held_out"):
    measure.choose('sr,bse')


def test_every_part_can_be_measured():
  assert measure._MEASURES.keys() == set(measure.PARTS)


@pytest.mark.parametrize(('count', 'size'), [(7, 3), (6, 3), (2, 5)])
def test_batches_are_full_and_cover_all_in_order(count, size):
  parts = list(drawing.batches(count, size))
  assert {len(part) for part in parts} == {size}
  np.testing.assert_array_equal(np.concatenate(parts)[:count], np.arange(count))


def test_a_picture_s_key_does_not_depend_on_how_many_there_are():
  few, many = (jax.random.key_data(drawing.keys(0, 'some', n)) for n in (3, 5))
  np.testing.assert_array_equal(few, many[:3])
  assert len(np.unique(many, axis=0)) == 5


def _run(only, out):
  """Measures the embedded tiny cascade, with few and short samples."""
  config = toybox.get_config('measure')
  config.max_length = 12
  for name in cascade.STAGES:
    config.measure.sample[name].update(steps=1, guidance_scale=1.0)
  config.measure.sr.stage_2.count = 2
  config.measure.sr.stage_3.count = 1
  config.measure.only = only
  measure.run(config, pretrained.ASSETS / 'tiny', out)
  return json.loads((out / 'measure.json').read_text())


def test_what_was_measured_before_is_kept(tmp_path, capsys, monkeypatch):
  stub = lambda value: lambda bench, out: {'values': {'speed': value}}
  monkeypatch.setitem(measure._MEASURES, 'time', stub(1.0))
  monkeypatch.setitem(measure._MEASURES, 'sr', stub(2.0))
  first = _run('time', tmp_path)
  both = _run('sr', tmp_path)
  assert list(both) == ['sr', 'time'] and both['time'] == first['time']
  settings = both['sr']['settings']
  assert settings['stage_2'] == {'count': 2}
  assert settings['sample']['stage_3']['steps'] == 1
  assert 'stage_1' not in settings['sample']
  table = capsys.readouterr().out
  assert 'time: speed | 1.000 |' in table and 'sr: speed | 2.000 |' in table
  # Measured again, the new number stands.
  monkeypatch.setitem(measure._MEASURES, 'time', stub(3.0))
  assert _run('time', tmp_path)['time']['values'] == {'speed': 3.0}


def test_numbers_of_other_weights_are_marked(tmp_path, capsys, monkeypatch):
  stub = lambda bench, out: {'values': {'speed': 1.0}}
  monkeypatch.setitem(measure._MEASURES, 'time', stub)
  monkeypatch.setitem(measure._MEASURES, 'sr', stub)
  results = _run('sr', tmp_path)
  results['sr']['settings']['weights'] = 'of another cascade'
  (tmp_path / 'measure.json').write_text(json.dumps(results))
  capsys.readouterr()
  _run('time', tmp_path)
  table = capsys.readouterr().out
  assert 'sr: speed (of other weights) |' in table
  assert 'time: speed |' in table


@pytest.mark.slow
def test_the_tiny_cascade_is_measured(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(measure, '_distance', lambda: None)
  results = _run('sr,time', tmp_path)
  assert np.isfinite(results['sr']['values']['stage_2 PSNR'])
  values = results['time']['values']
  stages = sum(values[name] for name in cascade.STAGES)
  assert values['seconds'] == pytest.approx(stages)
  assert images.load(tmp_path / 'whole.png').shape == (64, 64, 3)
  assert (tmp_path / 'enlarged.png').exists()
  table = capsys.readouterr().out
  assert 'sr: stage_3 LPIPS | needs the extra metrics |' in table


def _results():
  return {
    'base': {
      'values': {'class': 0.96, 'place': 0.95, 'view': None},
      'renders': {'class': 0.99, 'place': 0.99, 'view': None},
    },
    'held_out': {'values': {'class': 0.87, 'place': 0.80}},
    'sr': {
      'values': {'stage_2 PSNR': 30.0, 'stage_2 LPIPS': None},
      'bars': {'stage_2 PSNR': ['>', 29.0], 'stage_2 LPIPS': ['<', None]},
    },
    'sheets': {},
  }


def test_the_table_shows_each_number_beside_its_bar():
  lines = measure_table.table(_results(), stale={'sr'}).split('\n')
  assert lines[2:] == [
    'base: class | 0.960 (renders 0.990) | ≥ 0.970 missed',
    'base: place | 0.950 (renders 0.990) | ≥ 0.930',
    'base: view | not asked (renders not asked) | ',
    # Ten points below base.
    'held_out: class | 0.870 | ≥ 0.860',
    'held_out: place | 0.800 | ≥ 0.850 missed',
    'sr: stage_2 PSNR (of other weights) | 30.000 | > 29.000',
    'sr: stage_2 LPIPS (of other weights) | needs the extra metrics | ',
  ]


def test_better_than_bicubic_is_more_than_equal():
  results = _results()
  results['sr']['values']['stage_2 PSNR'] = 29.0
  results['sr']['values']['stage_2 LPIPS'] = 0.1
  results['sr']['bars']['stage_2 LPIPS'] = ['<', 0.2]
  table = measure_table.table(results)
  assert 'stage_2 PSNR | 29.000 | > 29.000 missed' in table
  assert 'stage_2 LPIPS | 0.100 | < 0.200\n' in table + '\n'


def test_without_the_extra_no_dog_is_drawn(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  lpips._network.cache_clear()
  assert measure._distance() is None
  # No bench is needed, so nothing is sampled.
  record = measure._diversity(None, None)
  assert 'needs the extra' in measure_table.table({'diversity': record})
