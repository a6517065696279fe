"""Interleaving, medians and ratios of benchmarks."""

import collections
import math

import pytest

from benchmarks import timing

SIDES = ('dbflax', 'eager', 'compiled')


def _place(sequence, side):
  return [n for n, name in enumerate(sequence) if name == side]


@pytest.mark.parametrize('repetitions', [1, 2, 5])
def test_every_repetition_has_every_side_once(repetitions):
  sequence = list(timing.order(SIDES, repetitions))
  for n in range(repetitions):
    part = sequence[n * len(SIDES) : (n + 1) * len(SIDES)]
    assert collections.Counter(part) == dict.fromkeys(SIDES, 1)


def test_a_steady_drift_meets_all_sides_alike():
  sequence = list(timing.order(SIDES, 4))
  means = {sum(_place(sequence, side)) / 4 for side in SIDES}
  assert len(means) == 1


@pytest.mark.parametrize(('first', 'least'), [(0.01, 0.5), (0.3, 1.0), (9, 1)])
def test_so_many_calls_take_about_the_time_wanted(first, least):
  calls = timing.calls(first, least, most=1000)
  assert calls >= 1
  assert abs(calls * first - least) <= first / 2 or calls == 1


def test_calls_are_bounded():
  assert timing.calls(0.0, most=20) == 20


def test_ratios_say_how_much_more_the_others_take():
  sides = {
    'dbflax': {'seconds': [3.0, 1.0, 2.0], 'peak_bytes': 50, 'flops': 8e12},
    'eager': {'seconds': [3.0, 100.0, 3.0], 'peak_bytes': 100},
  }
  found = timing.summarise(sides, peak=8e12)
  assert found['dbflax']['median_s'] == 2
  assert found['dbflax']['time_over_ours'] == 1
  assert found['dbflax']['utilisation'] == pytest.approx(0.5)
  assert found['eager']['time_over_ours'] == pytest.approx(1.5)
  assert found['eager']['memory_over_ours'] == pytest.approx(2)
  # The same work in more time.
  assert found['eager']['utilisation'] == pytest.approx(1 / 3)


@pytest.mark.parametrize('missing', SIDES[:2])
def test_without_one_of_two_there_is_no_ratio(missing):
  sides = {side: {'seconds': [1.0]} for side in SIDES[:2]}
  sides[missing] = {'failed': 'no answer in 3 s'}
  found = timing.summarise(sides)
  others = [side for name, side in found.items() if name != 'dbflax']
  assert all('time_over_ours' not in side for side in others)
  assert found[missing] == sides[missing]


def test_disagreement_is_relative_to_ours_and_the_largest():
  sides = {
    'dbflax': {'result': 2.0, 'norm': 2.0},
    'eager': {'result': 2.02, 'norm': 2.02},
    'compiled': {'result': 1.9, 'norm': 1.9},
    'other': {'failed': 'no answer in 3 s'},
  }
  assert timing.disagreement(sides) == pytest.approx(0.05)


def test_results_that_are_no_numbers_are_compared_by_their_norm():
  sides = {
    'dbflax': {'result': None, 'norm': 4.0},
    'eager': {'result': None, 'norm': 5.0},
  }
  assert timing.disagreement(sides) == pytest.approx(0.25)


def test_one_side_alone_agrees_with_nothing():
  for side in SIDES:
    assert timing.disagreement({side: {'result': 1.0, 'norm': 1.0}}) is None


@pytest.mark.parametrize('wrong', SIDES)
def test_a_result_that_is_not_a_number_is_no_agreement(wrong):
  sides = {side: {'result': 1.0, 'norm': 1.0} for side in SIDES}
  sides[wrong]['result'] = math.nan
  assert not timing.disagreement(sides) <= 1
