"""Truths of Textual Inversion: what is learned, by which gradient, and resumed.

The text encoder is real, and small; a map of the text's mean to a colour stands
for the U-Net.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from dbflax import cascade, disk, sharding
from dbflax.text import t5
from dbflax.train import inversion, optimizer, step
from dbflax.train import state as state_lib

pytestmark = pytest.mark.usefixtures('compilation_cache')

VOCABULARY, WIDTH, VECTORS, LENGTH = 40, 16, 2, 6
ENCODER = t5.T5Encoder(VOCABULARY, WIDTH, 8, 24, num_layers=1, num_heads=2)
# The variance's loss has a gradient of its own, which is not its slope.
OBJECTIVE = step.Objective(vlb_weight=0.0)
ROOT = jax.random.key(3)


def _normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _data():
  """Two photos, and two prompts around the two vectors' ids."""
  ids = np.array([[7, 40, 41, 1, 0, 0], [9, 5, 40, 41, 6, 1]], np.int32)
  photos = np.clip(_normal(1, 2, 1, 1, 3) + np.zeros((2, 16, 16, 3)), -1, 1)
  mask = (ids > 0).astype(np.int32)
  return inversion.Examples(photos.astype(np.float32), ids, mask)


@pytest.fixture(scope='module')
def stage(tiny):
  """The base, with a colour by the text for its network."""

  def coloured(stage, params, x_t, t, text, conditioning):
    colour = jnp.tanh(text.mean(axis=1) @ params['proj'])[:, None, None]
    y = params['keep'] * x_t + colour
    return jnp.concatenate([y, 0 * x_t], axis=-1)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cascade, 'network', coloured)
    yield tiny.stages['stage_1']


@pytest.fixture(scope='module')
def frozen(random_params):
  init = functools.partial(cascade.init_encoder, ENCODER)
  shapes = jax.eval_shape(init, jax.random.key(0))
  unet = {'proj': 0.3 * _normal(2, WIDTH, 3), 'keep': np.float32(0.1)}
  return inversion.Frozen(random_params(shapes), unet)


@pytest.fixture(scope='module')
def gradient(stage, frozen):
  """vectors → ((loss, parts), gradient), of one batch and its noise."""
  batch = inversion.batch(_data(), seed=0, number=0, size=4)
  of = lambda v: inversion.loss(
    stage, ENCODER, OBJECTIVE, v, frozen, batch, ROOT
  )
  return jax.jit(jax.value_and_grad(of, has_aux=True))


def test_the_gradient_through_the_encoder_is_that_of_differences(gradient):
  vectors = _normal(4, VECTORS, WIDTH)
  _, grad = gradient(vectors)
  for n in range(4):
    direction = _normal(10 + n, VECTORS, WIDTH)
    loss = lambda h, d=direction: float(gradient(vectors + h * d)[0][0])
    slope = (loss(1e-3) - loss(-1e-3)) / 2e-3
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=0.01)


def test_every_vector_has_a_gradient_of_its_own(gradient):
  _, grad = gradient(np.tile(_normal(4, 1, WIDTH), (VECTORS, 1)))
  assert np.abs(grad).max(axis=1).min() > 1e-4
  assert np.abs(grad[0] - grad[1]).max() > 1e-4


def _state(vectors, tx):
  params = {'embedding': jnp.asarray(vectors)}
  state, mesh = state_lib.create(params, tx, ema=False), sharding.make_mesh()
  shardings = sharding.shard_tree(state, mesh)
  return jax.device_put(state, shardings), mesh, shardings


def test_nothing_else_is_trained(stage, frozen):
  """A step's state has the vectors alone, and it leaves the networks alone."""
  tx = optimizer.build(learning_rate=0.1, steps=4, clip_norm=0)
  before = _normal(4, VECTORS, WIDTH)
  state, mesh, shardings = _state(before, tx)
  update = inversion.make_step(stage, ENCODER, OBJECTIVE, tx, mesh, shardings)
  networks = jax.tree.map(jnp.asarray, frozen)
  batch = inversion.batch(_data(), seed=0, number=0, size=4)
  state, metrics = update(state, networks, batch, ROOT)
  jax.tree.map(np.testing.assert_array_equal, networks, frozen)
  [after] = jax.tree.leaves(state.params)
  assert after.shape == before.shape
  assert np.abs(after - before).min(axis=1).max() > 0
  assert set(metrics) == {'instance_loss', 'instance_vlb', 'grad_norm'}


def _run(stage, frozen, folder, steps, sample=None, **fields):
  hyper = default.get_config().inversion
  hyper.update_from_flattened_dict(
    {'learning_rate': 0.05, 'warmup': 1, 'checkpoint_every': 2}
    | {'steps': steps, 'batch': 4, 'sample_every': 2, **fields}
  )
  return inversion.run(
    stage,
    ENCODER,
    frozen,
    _normal(4, VECTORS, WIDTH),
    _data(),
    hyper,
    OBJECTIVE,
    seed=0,
    folder=folder,
    fingerprint='f',
    mesh=sharding.make_mesh(),
    sample=sample,
  )


def test_what_is_learned_lowers_the_loss(stage, frozen, gradient, tmp_path):
  vectors = _run(stage, frozen, tmp_path, 60, checkpoint_every=60)
  before, after = (
    float(gradient(v)[0][0]) for v in (_normal(4, VECTORS, WIDTH), vectors)
  )
  assert after < 0.8 * before


def test_a_resumed_run_ends_in_the_same_bits(stage, frozen, tmp_path):
  through = _run(stage, frozen, tmp_path / 'through', 6)
  _run(stage, frozen, tmp_path / 'a', 2)
  seen = []
  sample = lambda vectors, done: seen.append(done)
  resumed = _run(stage, frozen, tmp_path / 'a', 6, sample)
  assert seen == [2, 4, 6]  # it went on from step 2
  np.testing.assert_array_equal(resumed, through)
  log = disk.read_log(tmp_path / 'a/metrics.jsonl')
  assert log == disk.read_log(tmp_path / 'through/metrics.jsonl')
  assert [line['step'] for line in log] == list(range(6))


def test_a_batch_is_a_function_of_seed_and_step():
  data = dataclasses.replace(_data(), image=_normal(1, 5, 2, 2, 3))
  draw = lambda **options: inversion.batch(
    data, **{'seed': 0, 'number': 3, 'size': 8, **options}
  )
  jax.tree.map(np.testing.assert_array_equal, draw(), draw())
  assert not np.array_equal(draw().ids, draw(number=4).ids)
  assert not np.array_equal(draw().image, draw(seed=1).image)
  assert {*draw().ids[:, 0].tolist()} == {7, 9}  # both prompts
  np.testing.assert_array_equal(draw().mask, draw().ids > 0)


class _Words:
  """Encodes words by a table."""

  ids = {'dog': [4], 'teddy': [5], 'bear': [6]}

  def encode(self, text):
    return [i for word in text.split() for i in self.ids[word]]


def test_vectors_start_as_the_class_noun():
  table = _normal(6, VOCABULARY, WIDTH)
  one = inversion.start(_Words(), table, 'Dog ', 3)
  np.testing.assert_array_equal(one, np.stack([table[4]] * 3))
  two = inversion.start(_Words(), table, 'teddy bear', 1)
  np.testing.assert_allclose(two[0], (table[5] + table[6]) / 2, rtol=1e-6)
