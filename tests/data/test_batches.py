import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from dbflax.data import batches

SIZES = st.integers(1, 17)


@hypothesis.given(num_examples=SIZES, batch=SIZES, seed=st.integers(0, 99))
def test_every_epoch_visits_each_example_once(num_examples, batch, seed):
  steps = num_examples * 2
  order = np.concatenate(
    [
      batches.indices(seed, 'photos', step, num_examples, batch)
      for step in range(steps)
    ]
  )
  whole = len(order) // num_examples
  for epoch in order[: whole * num_examples].reshape(whole, num_examples):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(num_examples))


def test_a_step_needs_no_history():
  forwards = [batches.indices(3, 'photos', step, 5, 2) for step in range(40)]
  batches._permutation.cache_clear()
  backwards = [
    batches.indices(3, 'photos', step, 5, 2) for step in reversed(range(40))
  ]
  np.testing.assert_array_equal(forwards, backwards[::-1])


def test_order_does_not_depend_on_the_batch_size():
  ones = [batches.indices(0, 'photos', step, 5, 1) for step in range(30)]
  threes = [batches.indices(0, 'photos', step, 5, 3) for step in range(10)]
  np.testing.assert_array_equal(np.ravel(ones), np.ravel(threes))


def test_seed_stream_and_epoch_each_change_the_order():
  first = batches.indices(0, 'photos', 0, 100, 100)
  others = [
    batches.indices(1, 'photos', 0, 100, 100),
    batches.indices(0, 'class images', 0, 100, 100),
    batches.indices(0, 'photos', 1, 100, 100),
  ]
  for other in others:
    assert (first != other).any()


def test_batches_made_ahead_are_those_asked_for():
  made = []

  def make(step):
    made.append(step)
    return step * step

  ahead = batches.Ahead(make, steps=6, depth=3)
  assert [ahead(step) for step in range(2, 6)] == [4, 9, 16, 25]
  assert made == [2, 3, 4, 5]  # each once, none beyond the last


def test_an_error_in_the_thread_is_raised_where_the_batch_is_used():
  def make(step):
    raise ValueError(f'no batch {step}')

  with pytest.raises(ValueError, match='no batch 1'):
    batches.Ahead(make, steps=3)(1)
