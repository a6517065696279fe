"""Truths of the curves of a page."""

import re

import numpy as np
import pytest

from dbflax.pages import charts


def test_smoothing_keeps_constants_bounds_and_symmetry():
  rng = np.random.default_rng(0)
  for count, width in ((1, 1), (2, 5), (50, 6), (50, 80)):
    values = rng.uniform(1, 2, count)
    smoothed = charts.smooth(values, width)
    assert smoothed.shape == values.shape
    assert values.min() - 1e-9 <= smoothed.min()
    assert smoothed.max() <= values.max() + 1e-9
    backward = charts.smooth(values[::-1], width)[::-1]
    np.testing.assert_allclose(backward, smoothed)
    np.testing.assert_allclose(charts.smooth(np.ones(count), width), 1)


def test_curves_skip_what_a_log_lacks_and_stay_short():
  log = [{'step': 0, 'a': 1.0}, {'step': 1}, {'step': 2, 'a': float('nan')}]
  steps, values, smoothed = charts.curve([*log, {'step': 3, 'a': 2.0}], 'a')
  assert steps.tolist() == [0, 3]
  assert values.tolist() == [1.0, 2.0]
  assert all(part.size == 0 for part in charts.curve(log, 'b'))
  log = [{'step': step, 'a': 1.0} for step in range(4321)]
  assert 500 < charts.curve(log, 'a')[0].size <= charts.MAX_POINTS


def test_charts_take_the_colours_of_the_page():
  steps = np.arange(5.0)
  lines = [('var(--instance)', steps, steps, steps)]
  svg = charts.chart([*lines, ('var(--prior)', steps, steps, steps)])
  assert {'var(--instance)', 'var(--prior)', 'currentColor'} <= set(
    re.findall(r'(?:stroke|fill): ([^;"]+)', svg)
  )
  assert '#0' not in svg
  assert '<text' in svg
  assert 'metadata' not in svg


@pytest.mark.parametrize('smallest', [0.04, 1e-3, 2e-5, 1e-9])
def test_few_labels_however_far_losses_lie_apart(smallest):
  steps = np.arange(4.0)
  values = np.geomspace(smallest, 0.5, 4)
  svg = charts.chart([('var(--prior)', steps, values, values)])
  labels = re.findall(r'<text[^>]*>([^<]+)</text>', svg)
  powers = [label for label in labels if re.fullmatch(r'[\d.e-]+', label)]
  # Those of the steps are four.
  assert 2 <= len(powers) - 4 <= 7
