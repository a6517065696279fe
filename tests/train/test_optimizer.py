"""Truths of the optimizer."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dbflax.train import optimizer


def _rates(steps=10, **options):
  """Sizes of the steps under a gradient of one: Adam's step is its rate."""
  tx = optimizer.build(learning_rate=0.1, steps=steps, clip_norm=0, **options)
  params = {'kernel': jnp.zeros(())}
  state, sizes = tx.init(params), []
  update = jax.jit(tx.update)
  for _ in range(steps):
    updates, state = update({'kernel': jnp.ones(())}, state, params)
    sizes.append(-float(updates['kernel']))
  return np.array(sizes)


def test_the_rate_is_constant_by_default():
  np.testing.assert_allclose(_rates(), 0.1, rtol=1e-4)


def test_warmup_rises_in_a_line():
  rates = _rates(warmup=4)
  np.testing.assert_allclose(rates[:4], [0.02, 0.04, 0.06, 0.08], atol=1e-5)
  np.testing.assert_allclose(rates[4:], 0.1, rtol=1e-4)


@pytest.mark.parametrize('decay, start', [(1.0, 5), (0.4, 14)])
def test_decay_ends_at_zero_with_the_run(decay, start):
  rates = _rates(steps=20, warmup=5, decay=decay)
  np.testing.assert_allclose(rates[5 : start + 1], 0.1, rtol=1e-4)
  assert (np.diff(rates[start:]) < 0).all()
  assert rates[-1] < 0.01


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_gradients_are_clipped_by_their_common_norm(scale):
  """Above the norm, a gradient's size is forgotten; its direction is not."""
  tx = optimizer.build(learning_rate=0.1, steps=5, clip_norm=0.5)
  params = {'a': jnp.zeros(()), 'b': jnp.zeros(())}
  grads = {'a': scale * jnp.float32(3), 'b': scale * jnp.float32(4)}
  _, state = tx.update(grads, tx.init(params), params)
  first = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype != jnp.int32]
  np.testing.assert_allclose(first[0], 0.1 * 0.3, rtol=1e-4)
  np.testing.assert_allclose(first[1], 0.1 * 0.4, rtol=1e-4)


@pytest.mark.parametrize('clip_norm', [0.5, 100.0])
def test_adamw_is_optax_s(clip_norm):
  options = dict(weight_decay=0.1, b2=0.99)
  ours = optimizer.build(learning_rate=0.1, clip_norm=clip_norm, **options)
  theirs = optax.chain(
    optax.clip_by_global_norm(clip_norm),
    optax.adamw(0.1, **options),
  )
  draw = np.random.default_rng(0)
  tree = lambda: {
    'a': jnp.asarray(draw.normal(size=(4, 3)), jnp.float32),
    'b': jnp.asarray(draw.normal(size=5), jnp.float32),
  }
  params = tree()
  states = [tx.init(params) for tx in (ours, theirs)]
  for _ in range(4):
    grads, found = tree(), []
    for number, tx in enumerate((ours, theirs)):
      updates, states[number] = tx.update(grads, states[number], params)
      found.append(updates)
    for name in params:
      # Of updates of 0.1; where a moment nearly cancels, last bits are left.
      np.testing.assert_allclose(found[0][name], found[1][name], 1e-5, 1e-8)


IN_PLACE = """
from dbflax import xla_flags
xla_flags.set_defaults()  # as `dbflax.main` has them
import jax, jax.numpy as jnp
from dbflax.train import optimizer, state as state_lib, step
tx = optimizer.build(learning_rate=0.1)
params = {name: jnp.ones((64, 64)) for name in 'abcdefgh'}
state = state_lib.create(params, tx, ema=False)
apply = lambda state, grads: step.apply_gradients(state, grads, tx, 0.0)
apply = jax.jit(apply, donate_argnums=0).lower(state, params).compile()
print(apply.memory_analysis().temp_size_in_bytes / params['a'].nbytes)
"""


@pytest.mark.skipif(
  jax.default_backend() != 'cpu', reason="it is about XLA's CPU backend"
)
def test_a_cpu_updates_in_place():
  """No copies of parameters, moments or clipped gradients are made."""
  made = subprocess.run(
    [sys.executable, '-c', IN_PLACE], capture_output=True, text=True, check=True
  )
  assert float(made.stdout) < 1


def test_weight_decay_pulls_towards_zero():
  tx = optimizer.build(learning_rate=0.1, steps=5, weight_decay=0.5)
  params = {'a': jnp.float32(2)}
  updates, _ = tx.update({'a': jnp.float32(0)}, tx.init(params), params)
  np.testing.assert_allclose(updates['a'], -0.1 * 0.5 * 2, rtol=1e-5)


def test_muon_moves_all_directions_of_a_matrix_alike():
  """A gradient's strong directions do not drown its weak ones."""
  tx = optimizer.build(learning_rate=0.1, steps=5, kind='muon', clip_norm=0)
  left, right = (
    np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0]
    for seed in range(2)
  )
  strengths = np.logspace(0, -1.5, 8)
  params = {'a': {'kernel': jnp.zeros((8, 8))}}
  grads = {'a': {'kernel': jnp.asarray(left * strengths @ right, jnp.float32)}}
  updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
  moved = np.linalg.svd(updates['a']['kernel'], compute_uv=False)
  assert moved.max() / moved.min() < 2 < strengths.max() / strengths.min()
  size = np.sqrt(np.square(updates['a']['kernel']).mean())
  assert size == pytest.approx(0.1 * 0.2, rel=0.2)  # as large as AdamW's


def test_muon_leaves_pixel_layers_and_vectors_to_adamw():
  kinds = optimizer._matrices(
    {
      'conv_in': {'kernel': jnp.zeros((3, 3, 3, 4)), 'bias': jnp.zeros(4)},
      'block': {'conv1': {'kernel': jnp.zeros((3, 3, 4, 4))}},
      'to_q': {'kernel': jnp.zeros((4, 4))},
      'embedding': jnp.zeros((9, 4)),
    }
  )
  assert kinds['conv_in'] == {'kernel': None, 'bias': None}
  assert kinds['embedding'] is None
  assert kinds['block']['conv1']['kernel'].reduction_axis == (0, 1, 2)
  assert kinds['to_q']['kernel'].output_axis == 1


OPTIONS = {
  'adamw': {},
  'bfloat16': {'moments_dtype': 'bfloat16'},
  'adafactor': {'kind': 'adafactor'},
  'muon': {'kind': 'muon'},
}


@pytest.mark.parametrize('name', OPTIONS)
def test_each_of_them_lowers_a_loss(name):
  """A least-squares problem, whose matrix is large enough to be factored."""
  draw = np.random.default_rng(0).normal
  inputs, wanted = draw(size=(128, 64)), draw(size=(64, 48)) / 8
  targets = inputs @ wanted
  loss = lambda p: jnp.square(inputs @ p['kernel'] + p['bias'] - targets).mean()
  tx = optimizer.build(learning_rate=0.03, steps=60, **OPTIONS[name])
  params = {'kernel': jnp.zeros((64, 48)), 'bias': jnp.ones(48)}

  @jax.jit
  def step(params, state):
    updates, state = tx.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state

  before, state = loss(params), tx.init(params)
  kinds = jax.tree.map(lambda a: (a.shape, a.dtype), state)
  for _ in range(60):
    params, state = step(params, state)
  assert loss(params) < 0.1 * before
  assert jax.tree.map(lambda a: (a.shape, a.dtype), state) == kinds


@pytest.mark.parametrize(
  ('name', 'a_matrix', 'a_vector'),
  [
    ('adamw', 8 * 64 * 48, 8 * 48),
    ('bfloat16', 4 * 64 * 48, 4 * 48),
    # Means of rows and of columns; what is not factored has one number each.
    ('adafactor', 4 * (64 + 48), 4 * 48),
    ('muon', 4 * 64 * 48, 8 * 48),
  ],
)
def test_the_state_takes_the_bytes_that_it_should(name, a_matrix, a_vector):
  tx = optimizer.build(learning_rate=0.1, steps=5, **OPTIONS[name])
  params = {'kernel': jnp.zeros((64, 48)), 'bias': jnp.zeros(48)}
  found = sum(leaf.nbytes for leaf in jax.tree.leaves(tx.init(params)))
  small = 64  # counters, and what stands for what is not there
  assert 0 <= found - a_matrix - a_vector < small


NETWORK = {
  'conv': {'bias': jnp.arange(3.0), 'kernel': jnp.ones((4, 3))},
  'norm': {'bias': jnp.full(2, 7.0), 'scale': jnp.ones(2)},
}


@pytest.mark.parametrize('name', OPTIONS)
def test_vectors_are_one_but_for_adafactor(name):
  """And each of them gets what it is due."""
  tx = optimizer.build(learning_rate=0.1, steps=5, **OPTIONS[name])
  state = tx.init(NETWORK)
  shapes = {leaf.shape for leaf in jax.tree.leaves(state)}
  assert ((7,) in shapes) != (name == 'adafactor')
  decreased = jax.tree.map(lambda p: -p, NETWORK)
  updates, _ = tx.update(decreased, state, NETWORK)
  same = jax.tree.map(lambda u, p: jnp.sign(u) == jnp.sign(p), updates, NETWORK)
  for path, equal in jax.tree_util.tree_leaves_with_path(same):
    # Muon's direction is that of a whole matrix.
    assert equal.all() or (name == 'muon' and 'kernel' in str(path)), path


def test_without_vectors_there_is_none():
  tx = optimizer.build(learning_rate=0.1)
  params = {'lora_A': {'kernel': jnp.ones((4, 2))}}
  updates, _ = tx.update(params, tx.init(params), params)
  assert jax.tree.structure(updates) == jax.tree.structure(params)


def _moments(state):
  """The part of an optimizer's state that has Adam's moments."""
  is_adam = lambda part: hasattr(part, 'nu')
  leaves = jax.tree.leaves(state, is_leaf=is_adam)
  return next(part for part in leaves if is_adam(part))


def test_bfloat16_moments_follow_those_of_float32():
  """Also down, a thousandth at a time, where rounding to the nearest sticks."""
  sizes = np.full(200, 10.0), np.full(1500, 1.0)
  params, found = {'kernel': jnp.zeros((32, 32))}, {}
  for dtype in ('float32', 'bfloat16'):
    tx = optimizer.build(
      learning_rate=0.1, steps=5, clip_norm=0, moments_dtype=dtype
    )

    def update(state, size, tx=tx):
      grads = jax.tree.map(lambda p: jnp.full_like(p, size), params)
      return tx.update(grads, state, params)[1], None

    run = jax.jit(lambda s, g, f=update: jax.lax.scan(f, s, g)[0])
    state = run(tx.init(params), jnp.concatenate(sizes))
    found[dtype] = _moments(state)
  exact, rounded = found['float32'], found['bfloat16']
  assert rounded.mu['kernel'].dtype == rounded.nu['kernel'].dtype == 'bfloat16'
  nu = np.asarray(rounded.nu['kernel'], np.float32)
  expected = float(exact.nu['kernel'][0, 0])
  assert expected < 0.3 * (10**2 * 0.18)  # it has fallen
  assert nu.mean() == pytest.approx(expected, rel=0.01)
  assert 0 < nu.std() < 0.1 * expected
  mu = np.asarray(rounded.mu['kernel'], np.float32)
  np.testing.assert_allclose(mu, exact.mu['kernel'], rtol=0.02)


def test_rounding_at_random_is_right_on_average():
  x = jnp.full(40_000, 1.001)  # between 1 and 1.0078, the next bfloat16
  path = (jax.tree_util.DictKey('kernel'),)
  found = optimizer._round_at_random(3, path, x)
  drawn = np.asarray(found, np.float32)
  assert set(np.unique(drawn)) == {1.0, 1.0078125}
  assert drawn.mean() == pytest.approx(1.001, abs=1e-4)
  again, other = (optimizer._round_at_random(n, path, x) for n in (3, 4))
  np.testing.assert_array_equal(found, again)
  assert (found != other).any()


@pytest.mark.parametrize('name', ['bfloat16', 'adafactor'])
def test_every_optimizer_decays_by_its_rate(name):
  """By lr λ w each step, as AdamW does, beside a gradient of zero."""
  tx = optimizer.build(
    learning_rate=0.1, steps=5, weight_decay=0.5, **OPTIONS[name]
  )
  params = {'kernel': jnp.full((40, 40), 2.0)}
  grads = {'kernel': jnp.zeros((40, 40))}
  updates, _ = tx.update(grads, tx.init(params), params)
  np.testing.assert_allclose(updates['kernel'], -0.1 * 0.5 * 2, rtol=1e-5)


def test_adafactors_steps_are_no_longer_than_the_rate():
  """Whatever the parameters' size, in the mean square (no relative step)."""
  tx = optimizer.build(learning_rate=0.1, steps=5, kind='adafactor')
  draw = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
  grads = {'kernel': jnp.asarray(draw)}
  for size in (1e-3, 1.0):
    params = {'kernel': jnp.full((40, 50), size)}
    updates, _ = tx.update(grads, tx.init(params), params)
    rms = float(jnp.sqrt(jnp.square(updates['kernel']).mean()))
    assert 0.09 < rms <= 0.1 * (1 + 1e-5)


def test_moments_are_bfloat16_for_adamw_only():
  with pytest.raises(ValueError, match="'bfloat16' is not for 'muon'"):
    optimizer.build(
      learning_rate=0.1, steps=5, kind='muon', moments_dtype='bfloat16'
    )


def test_unknown_optimizers_are_refused():
  with pytest.raises(ValueError, match="'sgd' is not one of"):
    optimizer.build(learning_rate=0.1, steps=5, kind='sgd')
