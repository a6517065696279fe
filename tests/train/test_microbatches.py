"""A batch in parts: the gradient, losses and draws are those of the whole.

A map with every parameter of which an example meets all that it is given
stands for the network.
"""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dbflax import beside, cascade, jitted, sharding
from dbflax.train import adapt, step
from dbflax.train import state as state_lib

ROOT = jax.random.key(7)
ADAPTATIONS = {
  'everything': adapt.EVERYTHING,
  'part': adapt.build(trainable='mid/'),
  'lora': adapt.build(rank=2, targets='mid/'),
}


def _normal(seed, *shape):
  draws = np.random.default_rng(seed).normal(size=shape)
  return np.clip(draws, -1, 1).astype(np.float32)


PARAMS = {
  'mid': {'kernel': _normal(1, 3, 8), 'bias': _normal(2, 8)},
  'text': {'kernel': _normal(3, 5, 8)},
  'out': {'kernel': _normal(4, 8, 3)},
}
NULL_TEXT = _normal(5, 4, 5)


@pytest.fixture
def sizes(monkeypatch):
  """Replaces the network; how many examples it saw, trace by trace."""
  seen = []

  def network(stage, params, x_t, t, text, conditioning):
    seen.append(len(x_t))
    h = x_t @ params['mid']['kernel'] + params['mid']['bias']
    h += (text.mean(1) @ params['text']['kernel'])[:, None, None]
    h *= (1 + t / 1000)[:, None, None, None]
    if conditioning is not None:
      h *= (1 + conditioning.label / 1000)[:, None, None, None]
      h += conditioning.image.mean(-1, keepdims=True)
    y = jnp.sin(h) @ params['out']['kernel']
    return jnp.concatenate([y, 0.1 * y], axis=-1)

  monkeypatch.setattr(cascade, 'network', network)
  return seen


def _batch(stage, seed=0):
  image, text = _normal(seed, 8, 8, 8, 3), _normal(seed + 100, 8, 4, 5)
  if not stage.is_super_resolution:
    return step.Batch(image, text)
  corner = np.random.default_rng(seed).integers(0, 25, (8, 2), np.int32)
  return step.Batch(image, text, _normal(seed + 200, 8, 16, 16, 3), corner)


def _run(stage, kind, microbatches, with_prior):
  """(gradient, metrics): one step of plain descent of rate 1."""
  tx, mesh = optax.sgd(1.0), sharding.make_mesh()
  trainable, frozen = ADAPTATIONS[kind].split(PARAMS, ROOT)
  trainable = jax.tree.map(lambda a: a + 0.1, trainable)  # B of a LoRA is 0
  state = state_lib.create(trainable, tx, ema=False)
  shardings = sharding.shard_tree(state, mesh)
  make = step.make_denoising_step
  given = (_batch(stage),)
  if with_prior:
    make = step.make_prior_preservation_step
    given += (_batch(stage, 50), np.float32(0.7))
  objective = step.Objective('simple', (0.1, 0.3), text_drop=0.5)
  complete = adapt.Completion(ADAPTATIONS[kind], frozen)
  args = (objective, tx, 0.0, mesh, shardings, complete, microbatches)
  new, metrics = make(step.compile_programs(stage, *args))(
    jax.device_put(jax.tree.map(jnp.array, state), shardings),
    *given,
    NULL_TEXT,
    ROOT,
  )
  return jax.tree.map(jnp.subtract, trainable, new.params), metrics


def _assert_alike(found, expected):
  close = lambda a, b: np.testing.assert_allclose(
    a, b, rtol=0, atol=1e-5 * float(np.abs(b).max())
  )
  jax.tree.map(close, found, expected)


@pytest.mark.parametrize(
  ('name', 'kind', 'with_prior'),
  [
    ('stage_1', 'everything', True),
    ('stage_2', 'everything', False),
    ('stage_1', 'part', False),
    ('stage_1', 'lora', True),
  ],
)
def test_the_gradient_is_that_of_the_whole_batch(
  tiny, sizes, monkeypatch, name, kind, with_prior
):
  monkeypatch.setattr(beside, 'cores', lambda: 1)
  whole = _run(tiny.stages[name], kind, 1, with_prior)
  assert set(sizes) == {8}
  sizes.clear()
  parts = _run(tiny.stages[name], kind, 4, with_prior)
  _assert_alike(parts, whole)
  # One trace serves all parts; class images' gradients are added to others.
  assert sizes == [2] * (1 + with_prior)


@pytest.mark.parametrize('kind', ADAPTATIONS)
def test_two_halves_at_once_are_the_whole_batch(tiny, sizes, monkeypatch, kind):
  stage = tiny.stages['stage_2']
  monkeypatch.setattr(beside, 'cores', lambda: 1)
  whole = _run(stage, kind, 1, False)
  sizes.clear()
  monkeypatch.setattr(beside, 'cores', lambda: 2)
  threads, begin = set(), jitted.Jitted.__call__

  def call(self, *args):
    threads.add(threading.get_ident())
    return begin(self, *args)

  monkeypatch.setattr(jitted.Jitted, '__call__', call)
  halves = _run(stage, kind, 1, False)
  _assert_alike(halves, whole)
  assert sizes == [4] and len(threads) == 2


@pytest.mark.parametrize(
  ('name', 'microbatches', 'size', 'cores', 'expected'),
  [
    ('stage_2', 1, 8, 2, 2),
    ('stage_1', 1, 8, 2, 1),  # small pictures gain nothing
    ('stage_2', 2, 8, 2, 1),  # who asks for them lacks memory
    ('stage_2', 1, 1, 2, 1),
    ('stage_2', 1, 8, 1, 1),
  ],
)
def test_in_how_many_parts_a_batch_goes(
  tiny, monkeypatch, name, microbatches, size, cores, expected
):
  monkeypatch.setattr(beside, 'cores', lambda: cores)
  of = lambda mesh: step.parts(tiny.stages[name], mesh, microbatches, size)
  assert of(sharding.make_mesh()) == expected
  assert of(sharding.abstract_mesh(1)) == 1  # of a plan: elsewhere


def test_a_part_is_every_nth_example(tiny):
  """So that a device, which has a run of them, has some of every part."""
  mesh, batch = sharding.make_mesh(), _batch(tiny.stages['stage_2'])
  cut = jax.jit(lambda b: sharding.microbatches(b, 4, mesh))(batch)
  assert cut.image.shape == (4, 2, 8, 8, 3) and cut.corner.shape == (4, 2, 2)
  for number in range(4):
    np.testing.assert_array_equal(cut.image[number], batch.image[number::4])
    np.testing.assert_array_equal(cut.corner[number], batch.corner[number::4])
