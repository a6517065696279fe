"""Fine-tuning of little: what moves, what stays, what is left, what resumes.

A linear map stands for the network; its parameters are named as a U-Net's.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs import default
from dbflax import cascade, disk, sharding
from dbflax.train import finetune

# What is trained, in the fields of a stage's config.
CASES = {
  'lora': {'lora.rank': 2, 'lora.alpha': 4.0},
  'part': {'trainable': 'to_q|norm'},
  # Memory as short as can be; and what is left is the average.
  'small': {
    'lora.rank': 2,
    'lora.targets': 'to_q',
    'frozen_dtype': 'bfloat16',
    'ema_decay': 0.9,
  },
}
ALL = pytest.mark.parametrize('case', CASES)


def _normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


PARAMS = {
  'mid_block': {
    'to_q': {'kernel': _normal(1, 3, 3), 'bias': _normal(2, 3)},
    'norm': {'scale': _normal(3, 3)},
  },
  'conv_in': {'kernel': _normal(4, 1, 1, 3, 3)},
}


@pytest.fixture(scope='module')
def network():
  """Replaces the network; the types of its parameters, trace by trace."""
  seen = []

  def linear(stage, params, x_t, t, text, conditioning):
    seen.append(jax.tree.map(lambda leaf: leaf.dtype.name, params))
    mid = params['mid_block']
    y = x_t @ params['conv_in']['kernel'][0, 0]
    y = y @ mid['to_q']['kernel'] + mid['to_q']['bias']
    return jnp.concatenate([y * mid['norm']['scale'], 0 * x_t], axis=-1)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cascade, 'network', linear)
    yield seen


def _run(stage, folder, case, steps):
  """(what fine-tuning leaves, the previews' {step: parameters})."""
  hyper = default.get_config().stage_1
  hyper.update_from_flattened_dict(
    {'learning_rate': 1e-2, 'sample_every': 2, 'checkpoint_every': 2}
    | {'steps': steps, **CASES[case]}
  )
  examples = finetune.Examples(
    np.clip(_normal(5, 3, 16, 16, 3), -1, 1), _normal(6, 4, 96)
  )
  previews = {}
  tuned = finetune.run(
    stage,
    PARAMS,
    hyper,
    examples,
    finetune.Prior(examples, 1.0) if case == 'part' else None,
    _normal(7, 4, 96),
    seed=0,
    folder=folder,
    fingerprint='same',
    mesh=sharding.make_mesh(),
    sample=lambda params, step: previews.update({step: params}),
  )
  return tuned, previews


@pytest.fixture(scope='module')
def run(tiny, network, compilation_cache, tmp_path_factory):
  """run(case) → (Tuned, previews, types in each trace, metrics) of 4 steps."""

  @functools.cache
  def once(case):
    folder = tmp_path_factory.mktemp(case)
    before = len(network)
    tuned, previews = _run(tiny.stages['stage_1'], folder, case, 4)
    log = disk.read_log(folder / 'metrics.jsonl')
    return tuned, previews, network[before:], log

  return once


def _flat(tree):
  return traverse_util.flatten_dict(tree, sep='/')


def _stored(case):
  """The pre-trained parameters as the training sees them."""
  if case != 'small':
    return PARAMS
  types = lambda leaf: jnp.bfloat16 if leaf.ndim > 1 else np.float32
  return jax.tree.map(
    lambda leaf: leaf.astype(types(leaf)).astype(np.float32), PARAMS
  )


def _moved(params, case):
  before = _flat(_stored(case))
  return {
    path
    for path, leaf in _flat(params).items()
    if not np.array_equal(leaf, before[path])
  }


@ALL
def test_what_is_trained_moves_and_the_rest_stays_to_the_bit(run, case):
  tuned, *_ = run(case)
  expected = {'mid_block/to_q/kernel'}
  if case == 'part':
    expected |= {'mid_block/to_q/bias', 'mid_block/norm/scale'}
  assert _moved(tuned.params, case) == expected
  assert jax.tree.structure(tuned.params) == jax.tree.structure(PARAMS)
  for leaf in jax.tree.leaves(tuned.params):
    assert isinstance(leaf, jax.Array) and leaf.dtype == np.float32


@pytest.mark.parametrize('case', ['lora', 'small'])
def test_the_network_is_the_base_plus_the_exported_lora(run, case):
  tuned, *_ = run(case)
  factors = _flat(tuned.lora)
  product = (
    factors['mid_block/to_q/lora_A/kernel']
    @ factors['mid_block/to_q/lora_B/kernel']
  )
  assert np.abs(product).max() > 1e-3
  np.testing.assert_allclose(
    tuned.params['mid_block']['to_q']['kernel'],
    _stored(case)['mid_block']['to_q']['kernel'] + product,
    atol=1e-6,
  )


def test_only_a_lora_is_exported_as_one(run):
  assert run('part')[0].lora is None


@ALL
def test_the_step_is_traced_once(run, case):
  """Over four steps, and for the class images too."""
  *_, traces, log = run(case)
  assert len(traces) == 1
  assert [line['step'] for line in log] == [0, 1, 2, 3]
  assert all(('prior_loss' in line) == (case == 'part') for line in log)


@pytest.mark.parametrize('case', ['lora', 'part'])
def test_a_resumed_run_ends_in_the_same_bits(run, tiny, tmp_path, case):
  through, _, _, log = run(case)
  _run(tiny.stages['stage_1'], tmp_path, case, 2)
  resumed, previews = _run(tiny.stages['stage_1'], tmp_path, case, 4)
  assert list(previews) == [2, 4]  # it went on from step 2
  same = np.testing.assert_array_equal
  jax.tree.map(same, resumed.params, through.params)
  jax.tree.map(same, resumed.lora, through.lora)
  assert disk.read_log(tmp_path / 'metrics.jsonl') == log


@ALL
def test_previews_see_the_whole_network_lying_as_samplers_have_it(run, case):
  tuned, previews, *_ = run(case)
  assert list(previews) == [2, 4]
  places = jax.tree.map(lambda leaf: leaf.sharding, previews[4])
  assert places == sharding.shard_tree(PARAMS, sharding.make_mesh())
  jax.tree.map(np.testing.assert_array_equal, previews[4], tuned.params)
  assert _moved(previews[2], case) == _moved(tuned.params, case)


def test_frozen_matrices_are_bfloat16_within_the_step(run):
  _, _, traces, _ = run('small')
  assert _flat(traces[0]) == {
    'conv_in/kernel': 'bfloat16',
    # Summed with its update in float32.
    'mid_block/to_q/kernel': 'float32',
    'mid_block/to_q/bias': 'float32',
    'mid_block/norm/scale': 'float32',
  }
