"""The benchmark command from end to end, on networks of two levels."""

import json
import math

import pytest

from benchmarks import cases, run, sides
from dbflax import beside

pytestmark = pytest.mark.parity
pytest.importorskip('torch', reason='the peer is torch')
pytest.importorskip('diffusers', reason='the peer is diffusers')

CASES = ('train/tiny-sr', 'images/tiny-base', 'text/tiny-t5')


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  """results.json of all kinds, by case; torch is not compiled."""
  out = tmp_path_factory.mktemp('benchmarks')
  options = '--sides dbflax eager --repetitions 2 --calls 1 --device cpu'
  # With two threads the batch of tiny-sr goes in halves.
  threads = str(min(2, beside.cores()))
  only = ('--only', *CASES, '--out', str(out), '--threads', threads)
  run.main([*options.split(), *only])
  assert (out / 'results.md').read_text().count('\n') == 2 + 2 * len(CASES)
  found = json.loads((out / 'results.json').read_text())['cases']
  return {case['case']: case for case in found}


def test_both_sides_are_measured_as_often(results):
  assert set(results) == set(CASES)
  for result in results.values():
    for side in result['sides'].values():
      assert len(side['seconds']) == 2
      assert all(0 < s < math.inf for s in side['seconds'])
      assert side['peak_bytes'] > 2**20
    assert result['sides']['dbflax']['flops'] > 0


def test_both_sides_compute_the_same(results):
  for name in ('train/tiny-sr', 'text/tiny-t5'):
    assert results[name]['disagreement'] < 1e-5


@pytest.mark.parametrize(
  ('timeout', 'why'), [(60, 'exit code 1'), (0.01, 'no answer in 0 s')]
)
def test_a_side_without_inputs_fails_at_once_or_is_not_waited_for(
  tmp_path, timeout, why
):
  [case] = cases.choose(['text/tiny-t5'], 'cpu')
  spec = cases.spec(case, folder=str(tmp_path), device='cpu', threads=1)
  side = sides.Side('dbflax', spec, str(tmp_path))
  with pytest.raises(sides.Failed, match=why):
    side.answer(timeout)
  side.end()
