"""Cases of benchmarks."""

import pytest

from benchmarks import cases, networks, run


def test_names_are_unique():
  names = [case.name for case in (*cases.ALL, *cases.TINY)]
  assert len(set(names)) == len(names)


def test_all_networks_are_known_and_of_their_part():
  for case in (*cases.ALL, *cases.TINY):
    if case.network != 'toybox':
      assert networks.CONFIGS[case.network][0] == case.part


def test_a_cpu_is_spared_what_it_cannot_do():
  on_cpu = {case.name for case in cases.choose([], 'cpu')}
  on_gpu = {case.name for case in cases.choose([], 'gpu')}
  assert on_gpu - on_cpu == set(cases.GPU_ONLY)


def test_an_unknown_name_is_named_beside_those_that_are(capsys):
  with pytest.raises(SystemExit):
    run.main(['--only', 'train/what'])
  *_, last = capsys.readouterr().err.splitlines()
  assert 'train/what' in last and 'train/toybox-stage_1' in last


def test_the_device_decides_type_and_batch_unless_told():
  [case] = cases.choose(['images/base-29m'], 'cpu')
  make = lambda device, **told: cases.spec(
    case, folder='', device=device, threads=1, **told
  )
  assert make('cpu').dtype == 'float32'
  assert make('gpu').dtype == 'bfloat16'
  assert make('cpu').batch < make('gpu').batch
  told = make('gpu', batch=3, steps=5, dtype='float32')
  assert (told.batch, told.steps, told.dtype) == (3, {'stage_1': 5}, 'float32')
