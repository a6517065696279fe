"""Truths of the pure numbers."""

import itertools
import math

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


def _unit(rng, *shape):
  vectors = rng.normal(size=shape)
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_similarity_of_known_sets():
  x, y = np.eye(2)
  same, turned = np.stack([x, x, x]), np.stack([y, y])
  assert metrics.similarity(same, same) == 1
  assert metrics.similarity(same, turned) == 0
  assert metrics.similarity(same, -same) == -1
  # Of the four pairs of {x, y} with itself two are alike; of different rows
  # none.
  assert metrics.similarity(np.eye(2), np.eye(2)) == 0.5
  assert metrics.self_similarity(np.eye(2)) == 0
  assert metrics.self_similarity(same) == 1
  assert metrics.self_similarity(same[:1]) is None


def test_similarity_is_blind_to_order_and_self_similarity_leaves_self_out():
  rng = np.random.default_rng(2)
  a, b = _unit(rng, 5, 8), _unit(rng, 7, 8)
  shuffled = metrics.similarity(a[rng.permutation(5)], b[rng.permutation(7)])
  assert metrics.similarity(a, b) == pytest.approx(shuffled)
  # n² pairs are n times self, which is 1, and the others.
  with_self = (20 * metrics.self_similarity(a) + 5) / 25
  assert metrics.similarity(a, a) == pytest.approx(with_self)


def test_agreement_is_of_rows_and_not_of_all_pairs():
  np.testing.assert_array_equal(metrics.agreement(np.eye(3), np.eye(3)), 1)
  np.testing.assert_array_equal(
    metrics.agreement(np.eye(2), np.eye(2)[::-1]), 0
  )


def _difference(a, b):
  """A stand-in for LPIPS: the mean absolute difference."""
  assert a.shape == b.shape and len(a) == 2
  return np.abs(a - b).mean((1, 2, 3))


def test_diversity_of_a_prompt_is_the_mean_over_its_pairs():
  grey = lambda value: np.full((2, 2, 3), value)
  three = [grey(0.0), grey(0.3), grey(0.6)]  # 0.3, 0.6 and 0.3: 0.4
  two = [grey(0.5), grey(0.7)]
  groups = [three, three[:1], two, three[::-1], [grey(0.2)] * 4]
  found = metrics.diversity(groups, _difference, batch=2)
  np.testing.assert_allclose(found, [0.4, np.nan, 0.2, 0.4, 0], atol=1e-12)
  assert np.isnan(metrics.diversity([three[:1]], _difference)).all()


def test_distances_keep_the_order_of_pairs_whatever_the_batch():
  values = np.linspace(0, 1, 7)
  pairs = [(np.full((1, 1, 3), v), np.zeros((1, 1, 3))) for v in values]
  found = metrics.distances(pairs, _difference, batch=2)
  np.testing.assert_allclose(found, values)
  assert metrics.distances([], _difference).shape == (0,)


def test_the_nearest_other_is_never_itself():
  where = np.array([0.0, 1.0, 5.0])
  pairs = itertools.combinations(where, 2)
  apart = np.array([abs(a - b) for a, b in pairs])
  assert metrics.nearest_other(apart, 3) == pytest.approx((1 + 1 + 4) / 3)


def test_bootstrap_holds_the_mean_and_narrows_with_subjects():
  rng = np.random.default_rng(3)
  few = rng.normal(0.7, 0.1, 6)
  low, high = metrics.bootstrap(few)
  assert few.min() < low < few.mean() < high < few.max()
  assert (low, high) == metrics.bootstrap(few)
  low_100, high_100 = metrics.bootstrap(np.tile(few, 100))
  # Ten times narrower, as the standard error of 100 times as many, and that
  # 1.96 times instead of √(6/5) times 2.571, Student's quantile of six.
  ratio = 10 * math.sqrt(6 / 5) * 2.571 / 1.96
  assert (high - low) / (high_100 - low_100) == pytest.approx(ratio, rel=0.1)
  assert metrics.bootstrap([0.5, 0.5, 0.5]) == (0.5, 0.5)
  assert metrics.bootstrap([0.5]) is None


@pytest.mark.parametrize('count', [6, 30])
def test_bootstrap_covers_as_often_as_it_says(count):
  rng = np.random.default_rng(4)
  covered = []
  for _ in range(1000):
    low, high = metrics.bootstrap(rng.normal(size=count), draws=2000)
    covered.append(low < 0 < high)
  assert 0.93 < np.mean(covered) < 0.97


def test_bootstrap_of_two_values_is_what_arithmetic_says():
  """The mean of two draws from {0, 1} is 0, ½, 1 in ¼, ½, ¼ of the draws."""
  assert metrics.bootstrap([0.0, 1.0]) == (0, 1)
  assert metrics.bootstrap([0.0, 1.0], confidence=0.1) == (0.5, 0.5)
  # Of a value that stands for three of four, the mean of both is ¾.
  assert metrics.bootstrap([0.0, 1.0], [1, 3], confidence=0.1) == (0.75, 0.75)
