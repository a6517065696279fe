"""Truths of the training steps, on the tiny cascade.

Where only the wiring matters, a recording fake stands for the network: it
answers something simple and tells what it was given.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import beside, cascade, rng, sharding
from dbflax.train import optimizer
from dbflax.train import state as state_lib
from dbflax.train import step as step_lib

SIMPLE = step_lib.Objective()
SUPER = step_lib.Objective(noise_level=(0.1, 0.3))
_programs = step_lib.compile_programs
ROOT = jax.random.key(7)


def _normal(seed, *shape):
  draws = np.random.default_rng(seed).normal(size=shape)
  return np.clip(draws, -1, 1).astype(np.float32)


NULL_TEXT = _normal(1, 4, 96)


def _batch(seed=0, count=2):
  return step_lib.Batch(
    _normal(seed, count, 8, 8, 3), _normal(seed + 100, count, 4, 96)
  )


def _crops(seed=0, count=2):
  """Crops of 8 pixels for stage 2 (16 → 32)."""
  return step_lib.Batch(
    _normal(seed, count, 8, 8, 3),
    _normal(seed + 100, count, 4, 96),
    _normal(seed + 200, count, 16, 16, 3),
    np.array([[0, 24], [11, 3]], np.int32),
  )


def _state(params, tx, ema=False):
  state = state_lib.create(jax.tree.map(jnp.asarray, params), tx, ema)
  mesh = sharding.make_mesh()
  shardings = sharding.shard_tree(state, mesh)
  return jax.device_put(state, shardings), mesh, shardings


def _flat(tree):
  return {
    jax.tree_util.keystr(path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


# --- With the real network -------------------------------------------------


@pytest.fixture(scope='session')
def params(tiny, random_params):
  """{stage: parameters, none of them zero}."""
  init = lambda stage: cascade.init_stage(stage, jax.random.key(0))
  shapes = lambda stage: jax.eval_shape(lambda: init(stage))
  return {name: random_params(shapes(s)) for name, s in tiny.stages.items()}


@pytest.fixture(scope='session')
def tx():
  """Adam; without clipping, mu after one step is a tenth of the gradient."""
  return optimizer.build(learning_rate=1e-3, steps=10, clip_norm=0)


@pytest.fixture(scope='session')
def plain(tiny, params, tx):
  """(step, fresh state) of the base stage, with a moving average."""
  fresh = lambda: _state(params['stage_1'], tx, ema=True)
  _, mesh, shardings = fresh()
  update = step_lib.make_denoising_step(
    _programs(tiny.stages['stage_1'], SIMPLE, tx, 0.9, mesh, shardings)
  )
  return lambda state, batch: update(state, batch, NULL_TEXT, ROOT), (
    lambda: fresh()[0]
  )


@pytest.fixture(scope='session', params=[1, 2])
def prior(request, tiny, params, tx):
  """The prior-preservation step of the same stage: f(state, b, prior, λ)."""
  _, mesh, shardings = _state(params['stage_1'], tx, ema=True)
  update = step_lib.make_prior_preservation_step(
    _programs(tiny.stages['stage_1'], SIMPLE, tx, 0.9, mesh, shardings)
  )

  def step(state, batch, other, weight):
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(beside, 'cores', lambda: request.param)
      args = (batch, other, np.float32(weight), NULL_TEXT, ROOT)
      return update(state, *args)

  return step


@pytest.fixture(scope='session')
def sr(tiny, params, tx):
  """(step, fresh state) of stage 2."""
  fresh = lambda: _state(params['stage_2'], tx)
  _, mesh, shardings = fresh()
  update = step_lib.make_denoising_step(
    _programs(tiny.stages['stage_2'], SUPER, tx, 0.0, mesh, shardings)
  )
  return lambda state, batch: update(state, batch, NULL_TEXT, ROOT), (
    lambda: fresh()[0]
  )


def _gradient(state):
  """The gradient of the step that led here from a fresh state."""
  moments = [
    s
    for s in jax.tree.leaves(
      state.opt_state, is_leaf=lambda s: hasattr(s, 'mu')
    )
    if hasattr(s, 'mu')
  ]
  return _flat(jax.tree.map(lambda m: m / 0.1, moments[0].mu))


def test_a_prior_of_no_weight_is_the_plain_step(plain, prior):
  """Bit for bit, parameters, moments and average, over two steps."""
  step, fresh = plain
  one, other = fresh(), fresh()
  for seed in range(2):
    one, metrics = step(one, _batch(seed))
    other, more = prior(other, _batch(seed), _batch(9), 0.0)
    assert metrics['instance_loss'] == more['instance_loss']
  one, other = _flat(one), _flat(other)
  assert one.keys() == other.keys()
  for name in one:
    np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_the_gradient_is_instance_plus_weighted_prior(plain, prior):
  _, fresh = plain
  gradient = {
    weight: _gradient(prior(fresh(), _batch(), _batch(9), weight)[0])
    for weight in (0.0, 1.0, 2.5)
  }
  moved, largest = 0, max(np.abs(g).max() for g in gradient[2.5].values())
  for name, instance in gradient[0.0].items():
    of_prior = gradient[1.0][name] - instance
    moved = max(moved, np.abs(of_prior).max())
    np.testing.assert_allclose(
      gradient[2.5][name],
      instance + 2.5 * of_prior,
      rtol=1e-3,
      atol=1e-5 * largest,
    )
  assert moved > 0.01 * largest


def test_losses_are_logged_apart(plain, prior):
  _, fresh = plain
  _, metrics = prior(fresh(), _batch(), _batch(9), 1.0)
  assert metrics.keys() == {
    *('instance_loss', 'instance_vlb', 'prior_loss', 'prior_vlb'),
    'grad_norm',
  }
  # What is logged is the loss itself, whatever its weight.
  _, doubled = prior(fresh(), _batch(), _batch(9), 2.0)
  assert doubled['prior_loss'] == metrics['prior_loss']


def test_the_prior_half_is_another_draw(plain, prior):
  """The same images on both sides meet other noise."""
  _, fresh = plain
  _, metrics = prior(fresh(), _batch(), _batch(), 1.0)
  assert metrics['instance_loss'] != metrics['prior_loss']


@pytest.mark.parametrize('stage', ['plain', 'sr'])
def test_every_parameter_is_trained(stage, request):
  step, fresh = request.getfixturevalue(stage)
  batch = _batch() if stage == 'plain' else _crops()
  before = _flat(fresh().params)
  after = _flat(step(fresh(), batch)[0].params)
  assert after.keys() == before.keys()
  still = [n for n in before if np.array_equal(before[n], after[n])]
  assert not still


@pytest.mark.parametrize('stage', ['plain', 'sr'])
def test_the_same_seed_gives_the_same_bits(stage, request):
  step, fresh = request.getfixturevalue(stage)
  batch = _batch() if stage == 'plain' else _crops()
  one, other = (_flat(step(fresh(), batch)) for _ in range(2))
  for name in one:
    np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_each_step_draws_anew(plain):
  """Noise follows the step number that the state carries."""
  step, fresh = plain
  state, first = step(fresh(), _batch())
  assert state.step == 1
  later = fresh()
  later = state_lib.State(
    jax.device_put(jnp.int32(1), later.step.sharding),
    later.params,
    later.opt_state,
    later.ema,
  )
  _, second = step(later, _batch())
  assert first['instance_loss'] != second['instance_loss']


def test_the_old_state_is_given_up(plain):
  step, fresh = plain
  state = fresh()
  step(state, _batch())
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


def test_the_average_follows_the_parameters(plain):
  """Warmed up: after step 0 the decay is 1/10, later it is at most 0.9."""
  step, fresh = plain
  start = _flat(fresh().params)
  state, _ = step(fresh(), _batch())
  params, average = _flat(state.params), _flat(state.ema)
  for name in start:
    expected = 0.1 * start[name] + 0.9 * params[name]
    np.testing.assert_allclose(average[name], expected, atol=1e-6)
  assert state_lib.best_params(state) is state.ema


def test_without_an_average_the_parameters_are_best(sr):
  step, fresh = sr
  state, _ = step(fresh(), _crops())
  assert state.ema is None
  assert state_lib.best_params(state) is state.params


# --- With a recording fake --------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
  """What `cascade.network` was given, call by call, also under jit."""
  seen = []

  def note(*args):
    names = ('x_t', 't', 'text', 'image', 'label')
    values = [np.asarray(a) if np.size(a) else None for a in args]
    seen.append(dict(zip(names, values, strict=True)))

  def fake(stage, params, x_t, t, text, conditioning):
    given = (jnp.zeros(0),) * 2
    if conditioning is not None:
      given = (conditioning.image, conditioning.label)
    jax.debug.callback(note, x_t, t, text, *given, ordered=True)
    return jnp.concatenate([params['a'] * x_t, 0 * x_t], axis=-1)

  monkeypatch.setattr(cascade, 'network', fake)
  return seen


def _loss(stage, objective, batch, key=ROOT):
  params = {'a': jnp.float32(0.5)}
  draws = step_lib.draw(stage, objective, batch, key)
  loss = step_lib.loss(stage, objective, params, batch, NULL_TEXT, draws)
  jax.effects_barrier()
  return loss


def test_super_resolution_sees_what_the_sampler_shows(tiny, calls):
  """Training's conditioning is the crop of sampling's, bit for bit or so."""
  stage, batch = tiny.stages['stage_2'], _crops()
  _loss(stage, SUPER, batch)
  draw = jax.random.uniform(rng.key(ROOT, 'level'), (2,))
  level = 0.1 + 0.2 * draw
  crop_noise = jax.random.normal(rng.key(ROOT, 'lowres'), batch.image.shape)
  noise = jnp.zeros((2, 32, 32, 3))
  for i, (y, x) in enumerate(batch.corner):
    noise = noise.at[i, y : y + 8, x : x + 8].set(crop_noise[i])
  shown = cascade.condition(stage, batch.low, noise, level)
  np.testing.assert_allclose(calls[0]['label'], shown.label, rtol=1e-6)
  for i, (y, x) in enumerate(batch.corner):
    whole = shown.image[i, y : y + 8, x : x + 8]
    np.testing.assert_allclose(calls[0]['image'][i], whole, atol=1e-5)


def test_super_resolution_sees_the_low_image_not_the_noised_one(tiny, calls):
  """Not cat([noisy, noisy]), and not the timestep as its level."""
  stage, batch = tiny.stages['stage_2'], _crops()
  _loss(stage, SUPER, batch)
  other = step_lib.Batch(batch.image, batch.text, -batch.low, batch.corner)
  _loss(stage, SUPER, other)
  first, second = calls
  np.testing.assert_array_equal(first['x_t'], second['x_t'])
  assert np.abs(first['image'] - second['image']).max() > 0.5
  assert np.abs(first['image'] - first['x_t']).max() > 0.1
  assert (first['label'] != first['t']).all()
  assert ((first['label'] >= 100) & (first['label'] <= 300)).all()


def test_a_level_between_two_steps_is_not_rounded(tiny, calls):
  """The paper's 1e-5 is label 0.01, which IF's integers cannot say."""
  objective = step_lib.Objective(noise_level=(1e-5, 1e-5))
  _loss(tiny.stages['stage_2'], objective, _crops())
  np.testing.assert_allclose(calls[0]['label'], 0.01, rtol=1e-5)


def test_the_base_stage_has_no_conditioning(tiny, calls):
  _loss(tiny.stages['stage_1'], SIMPLE, _batch())
  assert calls[0]['image'] is None
  assert calls[0]['x_t'].shape == (2, 8, 8, 3)


def test_the_network_sees_the_image_noised_to_its_time(tiny, calls):
  stage, batch = tiny.stages['stage_1'], _batch()
  _loss(stage, SIMPLE, batch)
  t = calls[0]['t']
  alpha, sigma = (
    f(jnp.asarray(t))[:, None, None, None]
    for f in (stage.schedule.alpha, stage.schedule.sigma)
  )
  eps = jax.random.normal(rng.key(ROOT, 'eps'), batch.image.shape)
  np.testing.assert_allclose(
    calls[0]['x_t'], alpha * batch.image + sigma * eps, atol=1e-5
  )


def test_times_cover_the_schedule(tiny, calls):
  """Whole steps from 0 to T − 1, uniform."""
  _loss(tiny.stages['stage_1'], SIMPLE, _batch(count=4000))
  t = calls[0]['t']
  assert (t == np.round(t)).all()
  assert 0 <= t.min() < 5
  assert 994 < t.max() <= 999
  assert abs(t.mean() - 499.5) < 20


def test_dropped_text_is_the_empty_prompt(tiny, calls):
  stage, batch = tiny.stages['stage_1'], _batch(count=400)
  for share in (0.0, 0.25, 1.0):
    _loss(stage, step_lib.Objective(text_drop=share), batch)
    empty = (calls[-1]['text'] == NULL_TEXT).all((1, 2))
    assert abs(empty.mean() - share) < 0.08
    kept = calls[-1]['text'][~empty]
    np.testing.assert_array_equal(kept, batch.text[~empty])


def _fake_step(tiny, make):
  tx = optimizer.build(learning_rate=1e-2, steps=10)
  state, mesh, shardings = _state({'bias': jnp.float32(0.5)}, tx, ema=True)
  of = (tiny.stages['stage_1'], SIMPLE, tx, 0.9, mesh, shardings)
  return state, make(_programs(*of))


@pytest.fixture
def rename(monkeypatch, calls):
  """The fake network under a parameter name that a sharding rule knows."""
  fake = cascade.network
  monkeypatch.setattr(
    cascade,
    'network',
    lambda stage, p, *args: fake(stage, {'a': p['bias']}, *args),
  )


@pytest.mark.usefixtures('rename')
def test_both_halves_draw_their_own_time_and_noise(tiny, calls):
  """Paper, eq. 2: t' and ε' are independent of t and ε."""
  state, step = _fake_step(tiny, step_lib.make_prior_preservation_step)
  batch = _batch(count=8)
  step(state, batch, batch, np.float32(1), NULL_TEXT, ROOT)
  jax.effects_barrier()
  assert len({tuple(call['t']) for call in calls}) == 2
  # At a like time the noised images still differ, so the noise does.
  instance, prior = (c['x_t'] for c in (calls[0], calls[-1]))
  assert np.abs(instance - prior).min(axis=0).max() > 0.1
  correlation = np.corrcoef(calls[0]['t'], calls[-1]['t'])[0, 1]
  assert abs(correlation) < 0.99


@pytest.mark.usefixtures('rename')
@pytest.mark.parametrize('with_prior', [False, True])
def test_many_steps_are_traced_once(tiny, monkeypatch, with_prior):
  traces = []
  real = cascade.network
  counting = lambda *args: (traces.append(1), real(*args))[1]
  monkeypatch.setattr(cascade, 'network', counting)
  make = step_lib.make_denoising_step
  if with_prior:
    make = step_lib.make_prior_preservation_step
  state, step = _fake_step(tiny, make)
  step = functools.partial(_call, step, with_prior)
  state, _ = step(state, 0)
  after_one = len(traces)
  for seed in range(1, 4):
    state, _ = step(state, seed)
  assert len(traces) == after_one
  assert state.step == 4


def _call(step, with_prior, state, seed):
  prior = (_batch(seed + 50), np.float32(seed)) if with_prior else ()
  return step(state, _batch(seed), *prior, NULL_TEXT, ROOT)


def test_a_batch_is_a_tree_of_arrays():
  assert len(jax.tree.leaves(_crops())) == 4
  assert len(jax.tree.leaves(_batch())) == 2


@pytest.mark.parametrize('bad', [np.nan, np.inf])
@pytest.mark.parametrize(
  'options',
  [
    *({'kind': kind} for kind in optimizer.KINDS),
    {'moments_dtype': 'bfloat16'},
  ],
  ids=str,
)
def test_a_gradient_that_is_not_finite_moves_only_the_step(bad, options):
  tx = optimizer.build(learning_rate=1e-2, steps=10, **options)
  params = {
    'conv_in': {'kernel': _normal(0, 3, 3, 3, 8), 'bias': _normal(1, 8)}
  }
  state, *_ = _state(params, tx, ema=True)
  grads = jax.tree.map(jnp.ones_like, state.params)
  grads['conv_in']['bias'] = grads['conv_in']['bias'].at[3].set(bad)
  apply = jax.jit(lambda s, g: step_lib.apply_gradients(s, g, tx, 0.9))
  found, norm = apply(state, grads)
  assert not np.isfinite(norm) and found.step == state.step + 1
  expected = _flat(state) | {'.step': found.step}
  for name, leaf in _flat(found).items():
    np.testing.assert_array_equal(leaf, expected[name], err_msg=name)
  good, _ = apply(found, state.params)
  assert not np.array_equal(
    good.ema['conv_in']['bias'], params['conv_in']['bias']
  )
