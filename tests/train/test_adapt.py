"""Truths of training everything, a part, or a LoRA."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs import default
from dbflax import cascade, errors
from dbflax.train import adapt, finetune, optimizer
from dbflax.train import state as state_lib

KEY = jax.random.key(3)
TARGETS = default.get_config().stage_1.lora.targets


def _flat(tree):
  return traverse_util.flatten_dict(tree, sep='/')


def _equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def _lora(rank=2, alpha=0.0, targets=TARGETS):
  return adapt.build(rank=rank, alpha=alpha, targets=targets, field='stage_1')


@pytest.fixture(scope='module')
def params(tiny, random_params):
  """Parameters of a real U-Net, none of them zero."""
  init = lambda key: cascade.init_stage(tiny.stages['stage_2'], key)
  return random_params(jax.eval_shape(init, jax.random.key(0)))


@pytest.fixture
def factors(params):
  """A LoRA in the middle of its training, A and B of rank 2."""
  shapes, _ = _lora().split(params, KEY)
  draw = np.random.default_rng(0).normal
  return jax.tree.map(
    lambda leaf: draw(size=leaf.shape).astype(np.float32), shapes
  )


def test_everything_is_the_network_itself(params):
  trainable, frozen = adapt.EVERYTHING.split(params, KEY)
  assert trainable is params and frozen == {}
  assert adapt.EVERYTHING.compose(trainable, frozen) is params
  assert adapt.WHOLE(params) is params
  assert adapt.EVERYTHING.lora(params) is None
  assert adapt.build() is adapt.EVERYTHING


@pytest.mark.parametrize('alpha', [0.0, 5.0])
def test_a_lora_starts_from_the_network_to_the_bit(params, alpha):
  lora = _lora(rank=3, alpha=alpha)
  trainable, frozen = lora.split(params, KEY)
  _equal(jax.jit(lora.compose)(trainable, frozen), params)


def test_a_lora_is_beside_every_attention_matrix(params):
  trainable, _ = _lora(rank=3).split(params, KEY)
  names = ('to_q', 'to_k', 'to_v', 'to_out_0', 'add_k_proj', 'add_v_proj')
  matrices = {
    path.removesuffix('/kernel'): leaf
    for path, leaf in _flat(params).items()
    if path.endswith(tuple(f'/{name}/kernel' for name in names))
  }
  assert len(matrices) >= 6
  shapes = {path: leaf.shape for path, leaf in _flat(trainable).items()}
  assert shapes == {
    f'{path}/{factor}/kernel': shape
    for path, leaf in matrices.items()
    for factor, shape in (
      ('lora_A', (leaf.shape[0], 3)),
      ('lora_B', (3, leaf.shape[1])),
    )
  }


def test_a_is_drawn_uniformly_and_b_is_zero(params):
  trainable, _ = _lora(rank=64).split(params, KEY)
  drawn = []
  for path, leaf in _flat(trainable).items():
    if 'lora_B' in path:
      assert not np.asarray(leaf).any()
      continue
    scaled = np.asarray(leaf) * np.sqrt(leaf.shape[0])
    assert 0.9 < np.abs(scaled).max() <= 1
    assert abs(scaled.std() - 1 / np.sqrt(3)) < 0.05
    drawn.append(scaled[0, 0])
  # Every matrix draws from a stream of its own, which the key roots.
  assert len(set(drawn)) == len(drawn)
  again, other = (
    _lora(64).split(params, k)[0] for k in (KEY, jax.random.key(4))
  )
  _equal(trainable, again)
  assert not np.array_equal(
    *(np.asarray(jax.tree.leaves(tree)[0]) for tree in (trainable, other))
  )


@pytest.mark.parametrize(('alpha', 'scale'), [(0.0, 1.0), (5.0, 2.5)])
def test_a_merged_matrix_is_base_plus_scaled_product(
  params, factors, alpha, scale
):
  lora = _lora(rank=2, alpha=alpha)
  merged, base = _flat(lora.compose(factors, params)), _flat(params)
  flat = _flat(factors)
  changed = {path for path in base if merged[path] is not base[path]}
  assert len(changed) == len(flat) / 2
  for path in changed:
    parent = path.removesuffix('kernel')
    product = flat[f'{parent}lora_A/kernel'] @ flat[f'{parent}lora_B/kernel']
    np.testing.assert_allclose(
      merged[path], base[path] + scale * product, rtol=1e-5, atol=1e-5
    )


def test_a_program_takes_what_is_frozen_as_an_argument(params, factors):
  """Constants would be kept once more by every program, and unsharded."""
  complete = adapt.Completion(_lora(), params)
  assert len(jax.tree.leaves(complete)) == len(jax.tree.leaves(params))
  program = jax.make_jaxpr(lambda c, f: c(f))(complete, factors)
  assert not program.consts


def test_what_is_exported_has_the_scale_within(params, factors):
  exported = _lora(alpha=5.0).lora(factors)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    _lora(alpha=0.0).compose(exported, params),
    _lora(alpha=5.0).compose(factors, params),
  )


def test_the_gradient_of_a_lora_is_the_chain_rules(params, factors):
  """W' = W + s A B: dA = s dW Bᵀ, dB = s Aᵀ dW."""
  factors, params = ({'m': tree['mid_block']} for tree in (factors, params))
  loss = lambda params: sum(
    jnp.sum(jnp.sin(3 * leaf)) for leaf in jax.tree.leaves(params)
  )
  lora, scale = _lora(alpha=5.0), 2.5
  full = _flat(jax.jit(jax.grad(loss))(lora.compose(factors, params)))
  through = lambda factors: loss(lora.compose(factors, params))
  found = _flat(jax.jit(jax.grad(through))(factors))
  flat = _flat(factors)
  for path in [path for path in flat if 'lora_A' in path]:
    other = path.replace('lora_A', 'lora_B')
    dw = full[path.replace('/lora_A', '')]
    for name, expected in (
      (path, scale * dw @ flat[other].T),
      (other, scale * flat[path].T @ dw),
    ):
      np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('pattern', ['attentions', r'^mid_block/.*bias$', '.*'])
def test_a_part_and_the_rest_are_the_network(params, pattern):
  part = adapt.build(trainable=pattern)
  trainable, frozen = part.split(params, KEY)
  _equal(part.compose(trainable, frozen), params)
  expected = {path for path in _flat(params) if re.search(pattern, path)}
  assert set(_flat(trainable)) == expected
  assert set(_flat(frozen)) == set(_flat(params)) - expected
  assert part.lora(trainable) is None


def test_moments_and_average_are_kept_of_the_trainable_part_only(params):
  tx = optimizer.build(learning_rate=1e-3, steps=10)
  sizes = {}
  for name, adaptation in {
    'everything': adapt.EVERYTHING,
    'part': adapt.build(trainable='attentions'),
    'lora': _lora(rank=2),
  }.items():
    trainable, _ = adaptation.split(params, KEY)
    state = jax.eval_shape(lambda t=trainable: state_lib.create(t, tx, True))
    count = sum(leaf.size for leaf in jax.tree.leaves(trainable))
    sizes[name] = sum(4 * leaf.size for leaf in jax.tree.leaves(state))
    # Parameters, two moments, average; beside them a few step counters.
    assert 0 <= sizes[name] - 4 * 4 * count < 100
  assert sizes['lora'] < sizes['part'] / 4 < sizes['everything'] / 8


def test_frozen_matrices_are_stored_small_and_vectors_as_they_are(params):
  stored = _flat(adapt.store(params, 'bfloat16'))
  for path, leaf in _flat(params).items():
    assert stored[path].dtype == (jnp.bfloat16 if leaf.ndim > 1 else np.float32)
  _equal(adapt.store(params, 'float32'), params)


# --- Errors ------------------------------------------------------------------


@pytest.mark.parametrize(
  ('field', 'options'),
  [
    ('stage_1.trainable', {'trainable': 'attention_blocks'}),
    (
      'stage_1.lora.targets',
      {'rank': 2, 'targets': 'attention_blocks', 'trainable': ''},
    ),
  ],
)
def test_a_pattern_that_fits_nothing_is_shown_real_paths(
  params, field, options
):
  adaptation = adapt.build(**options, field='stage_1')
  with pytest.raises(errors.UserError) as caught:
    adaptation.split(params, KEY)
  message = str(caught.value)
  assert f"{field}='attention_blocks'" in message
  shown = [path for path in _flat(params) if path in message]
  assert 3 <= len(shown) <= 5


def test_a_lora_of_a_convolution_is_refused_by_name(params):
  with pytest.raises(errors.UserError, match=r'conv1/kernel \(3, 3, 3?') as e:
    _lora(targets='resnets_0/(conv1|time_emb_proj)').split(params, KEY)
  assert 'stage_1.lora.targets' in str(e.value)
  assert 'time_emb_proj/kernel (' not in str(e.value)


def _hyper(**changes):
  hyper = default.get_config().stage_1
  hyper.update_from_flattened_dict(changes)
  return hyper


def test_a_part_and_a_lora_at_once_are_refused():
  hyper = _hyper(**{'trainable': 'norm', 'lora.rank': 4})
  with pytest.raises(errors.UserError, match='stage_1.lora.rank=4.*trainable'):
    finetune.adaptation_of('stage_1', hyper)


def test_storing_small_what_is_trained_is_refused():
  with pytest.raises(errors.UserError, match='stage_1.frozen_dtype.*frozen'):
    finetune.adaptation_of('stage_1', _hyper(frozen_dtype='bfloat16'))
  for changes in ({'lora.rank': 4}, {'trainable': 'norm'}):
    hyper = _hyper(frozen_dtype='bfloat16', **changes)
    finetune.adaptation_of('stage_1', hyper)
