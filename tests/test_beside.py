"""Two programs at once on a CPU: that they are, when, and in which order."""

import threading
import types

import jax
import numpy as np
import pytest

from dbflax import beside, sharding
from dbflax.train import step


@pytest.fixture
def roomy(monkeypatch):
  """A machine of two cores, whatever this one has."""
  monkeypatch.setattr(beside, 'cores', lambda: 2)


@pytest.fixture(scope='module')
def work():
  """work(n): a program that does n products; 1 takes next to no time."""
  square = jax.numpy.eye(256)
  run = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda _, a: a @ a, square))
  run(1).block_until_ready()
  return run


LONG = 4_000


def test_programs_run_at_once(roomy, work):
  long, short = work(LONG), beside.call(work, 1)
  short.block_until_ready()
  assert not long.is_ready()
  np.testing.assert_array_equal(long, short)


def test_one_thread_has_them_in_turn(work):
  """Else there would be no need of the other thread."""
  long, short = work(LONG), work(1)
  short.block_until_ready()
  assert long.is_ready()


def test_each_does_two_at_once(roomy, work):
  long, short = beside.each(work, [LONG, 1])
  short.block_until_ready()
  assert not long.is_ready()


def test_results_are_in_order_and_one_more_is_begun(roomy):
  begun = []
  results = beside.each(lambda n: begun.append(n) or n, range(5))
  seen = [(n, len(begun)) for n in results]
  assert seen == [(0, 2), (1, 3), (2, 4), (3, 5), (4, 5)]
  assert list(beside.each(begun.append, [])) == []


@pytest.mark.parametrize(
  'platform,devices,cores,room',
  [
    ('cpu', 1, 2, True),
    ('cpu', 1, 1, False),
    ('cpu', 8, 8, False),
    ('gpu', 1, 16, False),
    ('tpu', 1, 96, False),
  ],
)
def test_where_there_is_room(monkeypatch, platform, devices, cores, room):
  monkeypatch.setattr(jax, 'default_backend', lambda: platform)
  monkeypatch.setattr(jax, 'device_count', lambda: devices)
  monkeypatch.setattr(beside, 'cores', lambda: cores)
  assert beside.has_room() == room
  threads = [beside.call(threading.get_ident) for _ in range(2)]
  assert (threading.get_ident() in threads) != room


def test_errors_are_the_callers(roomy):
  with pytest.raises(ZeroDivisionError):
    beside.call(lambda: 1 / 0)
  assert beside.call(lambda: 1) == 1


@pytest.mark.parametrize('cores', [1, 2])
def test_a_step_takes_both_gradients_at_once(monkeypatch, cores):
  """With one core it adds the second where the first lies."""
  threads = {}

  def gradient(
    complete, params, batch, null_text, key, weight, half=None, others=()
  ):
    threads[batch] = threading.get_ident()
    return (*others, (batch, weight)), {'mse': 0.0}

  monkeypatch.setattr(beside, 'cores', lambda: cores)
  stage = types.SimpleNamespace(name='stage_1')
  state = types.SimpleNamespace(step=0, params={})
  programs = step.Programs(
    stage,
    sharding.make_mesh(devices=jax.devices()[:1]),
    1,
    None,
    gradient,
    lambda state, *grads: (grads, 0.0),
  )
  update = step.make_prior_preservation_step(programs)
  root = jax.random.key(0)
  grads, _ = update(state, 'photos', 'class images', 0.5, None, root)
  photos, class_images = ('photos', 1), ('class images', 0.5)
  if cores == 2:
    assert grads == ((photos,), (class_images,))
  else:
    assert grads == ((photos, class_images),)
  assert threads['photos'] == threading.get_ident()
  assert (threads['class images'] != threading.get_ident()) == (cores == 2)
