"""Fine-tuning of little: what moves, what stays, what is left, what resumes.

A linear map stands for the network; its parameters are named as a U-Net's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from configs import default
from dbflax import cascade, sharding
from dbflax.train import finetune, loop

LORA = {'lora.rank': 2, 'lora.alpha': 4.0}
PART = {'trainable': 'to_q|norm'}
STEPS = 4


def _normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


PARAMS = {
  'mid_block': {
    'to_q': {'kernel': _normal(1, 3, 3), 'bias': _normal(2, 3)},
    'norm': {'scale': _normal(3, 3)},
  },
  'conv_in': {'kernel': _normal(4, 1, 1, 3, 3)},
}


@pytest.fixture
def traces(monkeypatch):
  """Replaces the network; a list with an item for each time it is traced."""
  seen = []

  def linear(stage, params, x_t, t, text, conditioning):
    seen.append(jax.tree.map(lambda leaf: leaf.dtype.name, params))
    mid = params['mid_block']
    y = x_t @ params['conv_in']['kernel'][0, 0]
    y = y @ mid['to_q']['kernel'] + mid['to_q']['bias']
    return jnp.concatenate([y * mid['norm']['scale'], 0 * x_t], axis=-1)

  monkeypatch.setattr(cascade, 'network', linear)
  return seen


@pytest.fixture
def run(tiny, traces, tmp_path):
  """run(steps, **fields of the stage's config) → what `finetune.run` leaves."""

  def call(steps=STEPS, folder='run', sample=None, **changes):
    hyper = default.get_config().stage_1
    hyper.update_from_flattened_dict(
      {'learning_rate': 1e-2, 'sample_every': 2, 'checkpoint_every': 2}
      | {'steps': steps, **changes}
    )
    examples = finetune.Examples(
      np.clip(_normal(5, 3, 16, 16, 3), -1, 1), _normal(6, 4, 96)
    )
    return finetune.run(
      tiny.stages['stage_1'],
      PARAMS,
      hyper,
      examples,
      finetune.Prior(examples, 1.0) if changes.get('trainable') else None,
      _normal(7, 4, 96),
      seed=0,
      folder=tmp_path / folder,
      fingerprint='same',
      mesh=sharding.make_mesh(),
      sample=sample,
    )

  return call


def _flat(tree):
  return traverse_util.flatten_dict(tree, sep='/')


def _moved(params):
  before = _flat(PARAMS)
  return {
    path
    for path, leaf in _flat(params).items()
    if not np.array_equal(leaf, before[path])
  }


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    ({}, set(_flat(PARAMS))),
    (LORA, {'mid_block/to_q/kernel'}),
    (
      PART,
      {
        *('mid_block/to_q/kernel', 'mid_block/to_q/bias'),
        'mid_block/norm/scale',
      },
    ),
    (
      {**PART, 'ema_decay': 0.9},
      {
        *('mid_block/to_q/kernel', 'mid_block/to_q/bias'),
        'mid_block/norm/scale',
      },
    ),
  ],
)
def test_what_is_trained_moves_and_the_rest_stays_to_the_bit(
  run, changes, expected
):
  tuned = run(**changes)
  assert _moved(tuned.params) == expected
  assert jax.tree.structure(tuned.params) == jax.tree.structure(PARAMS)
  for leaf in jax.tree.leaves(tuned.params):
    assert isinstance(leaf, np.ndarray) and leaf.dtype == np.float32


@pytest.mark.parametrize('ema_decay', [0.0, 0.9])
def test_the_network_is_the_base_plus_the_exported_lora(run, ema_decay):
  tuned = run(**LORA, ema_decay=ema_decay)
  factors = _flat(tuned.lora)
  product = (
    factors['mid_block/to_q/lora_A/kernel']
    @ factors['mid_block/to_q/lora_B/kernel']
  )
  assert np.abs(product).max() > 1e-3
  np.testing.assert_allclose(
    tuned.params['mid_block']['to_q']['kernel'],
    PARAMS['mid_block']['to_q']['kernel'] + product,
    atol=1e-6,
  )


@pytest.mark.parametrize('changes', [{}, PART])
def test_only_a_lora_is_exported_as_one(run, changes):
  assert run(**changes).lora is None


@pytest.mark.parametrize('changes', [LORA, PART], ids=['lora', 'part'])
def test_a_resumed_run_ends_in_the_same_bits(run, tmp_path, changes):
  through = run(**changes)
  run(steps=2, folder='resumed', **changes)
  seen = []
  resumed = run(
    folder='resumed', sample=lambda params, n: seen.append(n), **changes
  )
  assert seen == [4]  # it went on from step 2
  jax.tree.map(np.testing.assert_array_equal, resumed, through)
  logs = [loop.read(tmp_path / f / 'metrics.jsonl') for f in ('run', 'resumed')]
  assert logs[0] == logs[1]


@pytest.mark.parametrize('changes', [{}, LORA, PART])
def test_the_step_is_traced_once(run, traces, changes):
  run(**changes)
  prior_too = 1  # the class images' gradient is the same program
  assert len(traces) == prior_too


def test_previews_see_the_whole_network_lying_as_samplers_have_it(run):
  seen = []
  tuned = run(**LORA, sample=lambda params, n: seen.append(params))
  assert len(seen) == 2
  mesh = sharding.make_mesh()
  places = jax.tree.map(lambda leaf: leaf.sharding, seen[-1])
  assert places == sharding.shard_tree(PARAMS, mesh)
  jax.tree.map(np.testing.assert_array_equal, seen[-1], tuned.params)
  assert _moved(seen[0]) == {'mid_block/to_q/kernel'}


@pytest.mark.parametrize('changes', [LORA, PART], ids=['lora', 'part'])
def test_what_is_frozen_may_be_stored_in_bfloat16(run, traces, changes):
  tuned = run(**changes, frozen_dtype='bfloat16')
  types = _flat(traces[0])
  assert types['conv_in/kernel'] == 'bfloat16'
  assert types['mid_block/to_q/kernel'] == 'float32'
  assert types['mid_block/norm/scale'] == 'float32'
  # What was trained with is what is returned.
  kernel = PARAMS['conv_in']['kernel']
  rounded = kernel.astype(jnp.bfloat16).astype(np.float32)
  np.testing.assert_array_equal(tuned.params['conv_in']['kernel'], rounded)
