"""The Flax T5 encoder against transformers' T5EncoderModel, random weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.text import t5

torch = pytest.importorskip('torch', reason='parity needs torch')
transformers = pytest.importorskip(
  'transformers', reason='parity needs transformers'
)
pytestmark = pytest.mark.parity

_CONFIGS = {
  'square': {'d_model': 32, 'd_kv': 8, 'num_heads': 4},
  'inner width differs': {'d_model': 24, 'd_kv': 16, 'num_heads': 3},
  'few buckets': {
    'd_model': 32,
    'd_kv': 8,
    'num_heads': 4,
    'relative_attention_num_buckets': 8,
    'relative_attention_max_distance': 20,
    'layer_norm_epsilon': 1e-3,
  },
}


def _config(name):
  return {
    'vocab_size': 64,
    'd_ff': 40,
    'num_layers': 3,
    'feed_forward_proj': 'gated-gelu',
    **_CONFIGS[name],
  }


def _reference(config):
  torch.manual_seed(0)
  model = transformers.T5EncoderModel(transformers.T5Config(**config)).eval()
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.copy_(torch.randn_like(parameter) * 0.3)
  return model


def _flax_params(model):
  """The state dict as a tree, by the naming rule of the weights."""
  leaf = {'shared': 'embedding', 'relative_attention_bias': 'embedding'}
  tree = {}
  for name, tensor in model.state_dict().items():
    if name == 'encoder.embed_tokens.weight':  # The same tensor as `shared`.
      continue
    *parts, owner, _ = (
      name.replace('block.', 'block_').replace('layer.', 'layer_').split('.')
    )
    norm = owner.endswith('layer_norm')
    kind = leaf.get(owner, 'scale' if norm else 'kernel')
    value = tensor.numpy()
    node = tree
    for part in (*parts, owner):
      node = node.setdefault(part, {})
    node[kind] = value.T if kind == 'kernel' else value
  return tree


def _inputs(length):
  rng = np.random.default_rng(length)
  ids = rng.integers(0, 64, (3, length)).astype(np.int32)
  lengths = np.array([length, max(1, length // 2), 1])
  mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
  return ids, mask


@pytest.mark.parametrize('name', _CONFIGS)
@pytest.mark.parametrize('length', [1, 77, 300])
def test_states_equal_transformers(name, length):
  config = _config(name)
  model = _reference(config)
  ids, mask = _inputs(length)
  with torch.no_grad():
    expected = model(
      torch.tensor(ids, dtype=torch.long), torch.tensor(mask)
    ).last_hidden_state.numpy()
  encoder = t5.from_config(config)
  states = jax.jit(encoder.apply)({'params': _flax_params(model)}, ids, mask)
  np.testing.assert_allclose(states, expected, atol=1e-4, rtol=1e-4)


def test_the_trees_have_the_same_paths_and_shapes():
  config = _config('square')
  ids, mask = _inputs(4)
  variables = jax.eval_shape(
    t5.from_config(config).init, jax.random.key(0), ids, mask
  )
  ours = jax.tree.map(jnp.shape, variables['params'])
  theirs = jax.tree.map(jnp.shape, _flax_params(_reference(config)))
  assert ours == theirs


def test_buckets_equal_transformers():
  from transformers.models.t5 import modeling_t5

  bucket = modeling_t5.T5Attention._relative_position_bucket
  distance = np.arange(-2000, 2001)
  for buckets, furthest in ((32, 128), (8, 20), (64, 256)):
    expected = bucket(torch.tensor(distance), True, buckets, furthest)
    ours = t5.relative_position_bucket(distance, buckets, furthest)
    np.testing.assert_array_equal(ours, expected.numpy())


def test_vectors_equal_rows_of_inputs_embeds():
  """Ids behind the vocabulary, against transformers' `inputs_embeds`."""
  config = _config('square')
  model, (ids, mask) = _reference(config), _inputs(12)
  vectors = np.random.default_rng(1).normal(size=(3, 32)).astype(np.float32)
  rows = model.shared.weight.detach().numpy()[ids]
  places = [(0, 2, 0), (0, 3, 1), (1, 1, 2), (2, 0, 1)]
  for b, n, v in places:
    ids[b, n], rows[b, n] = config['vocab_size'] + v, vectors[v]
  with torch.no_grad():
    expected = model(
      inputs_embeds=torch.tensor(rows), attention_mask=torch.tensor(mask)
    ).last_hidden_state.numpy()
  states = jax.jit(t5.from_config(config).apply)(
    {'params': _flax_params(model)}, ids, mask, vectors
  )
  np.testing.assert_allclose(states, expected, atol=1e-4, rtol=1e-4)
