"""Truths of the pure numbers."""

import itertools

import numpy as np
import pytest

from dbflax.evaluate import metrics


def test_auc_of_known_orders():
  assert metrics.auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
  assert metrics.auc(np.array([0.0]), np.array([1.0, 2.0])) == 0
  assert metrics.auc(np.array([1.0]), np.array([1.0, 1.0])) == 0.5


def test_auc_is_the_share_of_pairs_in_order():
  rng = np.random.default_rng(0)
  # Whole numbers, so that there are ties.
  positive, negative = rng.integers(2, 9, 40), rng.integers(0, 7, 60)
  pairs = itertools.product(positive, negative)
  share = np.mean([(p > n) + 0.5 * (p == n) for p, n in pairs])
  assert metrics.auc(positive, negative) == pytest.approx(share)


def test_auc_is_blind_to_scale_and_turns_over_with_the_sign():
  rng = np.random.default_rng(1)
  positive, negative = rng.normal(1, 1, 30), rng.normal(0, 1, 50)
  value = metrics.auc(positive, negative)
  assert metrics.auc(np.exp(positive), np.exp(negative)) == value
  assert metrics.auc(-positive, -negative) == pytest.approx(1 - value)


def test_pairs_are_of_one_individual_or_of_two_in_a_group():
  # Individuals 0 and 1 are of group 0, individual 2 of group 1.
  individual = np.array([0, 0, 1, 2, 2])
  group = np.array([0, 0, 0, 1, 1])
  vectors = np.diag([1.0, 2, 3, 5, 7]) + 0.1
  products = vectors @ vectors.T
  same, other = metrics.same_and_other(vectors, individual, group)
  np.testing.assert_allclose(sorted(same), sorted(products[[0, 3], [1, 4]]))
  np.testing.assert_allclose(sorted(other), sorted(products[[0, 1], [2, 2]]))


def test_psnr_of_known_errors():
  black = np.full((2, 4, 4, 3), -1.0)
  # The whole range wrong everywhere is 0 dB; a tenth of it is 20 dB.
  np.testing.assert_allclose(metrics.psnr(black, -black), 0, atol=1e-9)
  other = np.stack([black[0] + 0.2, black[1]])
  np.testing.assert_allclose(metrics.psnr(black, other), [20, np.inf])
