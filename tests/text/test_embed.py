"""Embedding prompts, and the cache of text states on disk."""

import pathlib

import jax
import numpy as np
import pytest

import dbflax
from dbflax.text import embed, t5
from dbflax.text import tokenizer as tokenizer_lib

_SPIECE = pathlib.Path(dbflax.__file__).parent / (
  'assets/toybox/tokenizer/spiece.model'
)
_PROMPTS = ['a photo of a dog', '', 'a sks dog in the snow', 'a photo of a dog']
_LENGTH = 12


@pytest.fixture(scope='module')
def tokenizer():
  return tokenizer_lib.Tokenizer(_SPIECE)


@pytest.fixture(scope='module')
def encoder(tokenizer):
  return t5.T5Encoder(
    vocab_size=len(tokenizer),
    d_model=16,
    d_kv=8,
    d_ff=24,
    num_layers=1,
    num_heads=2,
  )


@pytest.fixture(scope='module')
def params(encoder):
  ids = np.ones((1, 3), np.int32)
  return jax.jit(encoder.init)(jax.random.key(0), ids, ids)['params']


@pytest.fixture
def embedded(encoder, params, tokenizer):
  return lambda prompts, **options: embed.embed(
    encoder, params, tokenizer, prompts, **{'max_length': _LENGTH, **options}
  )


def test_states_are_those_of_the_encoder(embedded, encoder, params, tokenizer):
  ids, mask = tokenizer.ids(_PROMPTS, _LENGTH)
  expected = encoder.apply({'params': params}, ids, mask)
  states = embedded(_PROMPTS)
  assert states.dtype == np.float32 and states.shape == (4, _LENGTH, 16)
  np.testing.assert_allclose(states, expected, atol=1e-5)


def test_the_batch_size_does_not_matter(embedded):
  for batch in (1, 2, 3):
    np.testing.assert_allclose(
      embedded(_PROMPTS, batch=batch), embedded(_PROMPTS), atol=1e-5
    )


def test_prompts_are_cleaned_and_encoded_once(embedded, monkeypatch, tokenizer):
  encoded = []
  ids = tokenizer.ids
  monkeypatch.setattr(
    tokenizer, 'ids', lambda texts, n: encoded.extend(texts) or ids(texts, n)
  )
  states = embedded(['A  Dog', 'a dog', 'a dog in the sea'])
  assert len(encoded) == len(set(encoded)) == 2
  np.testing.assert_array_equal(states[0], states[1])


def test_parameters_on_a_mesh_give_the_same_states(
  embedded, encoder, params, tokenizer
):
  mesh = jax.make_mesh((1,), ('fsdp',))
  sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  placed = jax.device_put(params, sharding)
  states = embed.embed(encoder, placed, tokenizer, _PROMPTS, max_length=_LENGTH)
  np.testing.assert_allclose(states, embedded(_PROMPTS), atol=1e-6)


def test_a_cut_prompt_is_reported(embedded, caplog):
  embedded(['a photo of a dog'])
  assert not caplog.records
  embedded(['a dog and ' * 10])
  assert 'prompt cut from' in caplog.text


class _Encoder:
  """Remembers what it was asked to encode."""

  def __init__(self, embedded):
    self.embedded = embedded
    self.calls = []

  def __call__(self, prompts):
    self.calls.append(list(prompts))
    return self.embedded(prompts)


@pytest.fixture
def spy(embedded):
  return _Encoder(embedded)


def _cached(folder, spy, tokenizer, prompts=_PROMPTS, weights='w'):
  return embed.cached(
    folder, weights, spy, tokenizer, prompts, max_length=_LENGTH
  )


def test_the_cache_returns_what_the_encoder_gave(
  tmp_path, spy, embedded, tokenizer
):
  first = _cached(tmp_path, spy, tokenizer)
  second = _cached(tmp_path, spy, tokenizer)
  assert spy.calls == [_PROMPTS[:3]]
  np.testing.assert_array_equal(first, second)
  np.testing.assert_array_equal(first, embedded(_PROMPTS))


def test_only_new_prompts_are_encoded(tmp_path, spy, tokenizer):
  _cached(tmp_path, spy, tokenizer, _PROMPTS[:2])
  _cached(tmp_path, spy, tokenizer, ['', 'a cat', _PROMPTS[0]])
  assert spy.calls == [_PROMPTS[:2], ['a cat']]


def test_other_weights_are_encoded_anew(tmp_path, spy, tokenizer):
  _cached(tmp_path, spy, tokenizer, weights='one')
  _cached(tmp_path, spy, tokenizer, weights='two')
  assert len(spy.calls) == 2


def test_a_damaged_file_is_encoded_anew(tmp_path, spy, tokenizer):
  expected = _cached(tmp_path, spy, tokenizer)
  for number, content in enumerate((b'', b'\x93NUMPY', None)):
    path = sorted(tmp_path.iterdir())[number]
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    np.testing.assert_array_equal(_cached(tmp_path, spy, tokenizer), expected)
    assert len(spy.calls[-1]) == 1
  assert len(spy.calls) == 4


def test_states_of_another_length_are_refused(tmp_path, spy, tokenizer):
  with pytest.raises(ValueError, match='of 13 tokens'):
    embed.cached(tmp_path, 'w', spy, tokenizer, _PROMPTS, max_length=13)
  assert not list(tmp_path.iterdir())


# --- Vectors that are not in the table ---------------------------------------


@pytest.fixture(scope='module')
def with_word(tokenizer, encoder):
  """Reads 'zk' as the first two ids behind the encoder's table."""
  first = encoder.vocab_size
  return tokenizer.with_word(tokenizer.encode('zk'), [first, first + 1])


def _table_rows(params, ids):
  return np.asarray(params['shared']['embedding'])[np.array(ids)]


def test_vectors_stand_for_words(encoder, params, tokenizer, with_word):
  """With the vectors of two words, a pseudo-word says what they say."""
  words = tokenizer.encode('happy dog')
  assert len(words) == 2
  states = embed.embed(
    encoder,
    params,
    with_word,
    ['a zk in the snow', 'a cat'],
    max_length=_LENGTH,
    vectors=_table_rows(params, words),
  )
  expected = embed.embed(
    encoder,
    params,
    tokenizer,
    ['a happy dog in the snow', 'a cat'],
    max_length=_LENGTH,
  )
  np.testing.assert_allclose(states, expected, atol=1e-6)


def test_a_word_without_vectors_is_an_error(encoder, params, with_word):
  draw = lambda **options: embed.embed(
    encoder, params, with_word, ['a zk'], max_length=_LENGTH, **options
  )
  with pytest.raises(ValueError, match='has no embedding'):
    draw()
  with pytest.raises(ValueError, match='has no embedding'):
    draw(vectors=np.zeros((1, 16), np.float32))
