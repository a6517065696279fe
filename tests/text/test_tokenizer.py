"""Tokenizer truths, on T5's own vocabulary and on broken files."""

import hashlib
import pathlib

import numpy as np
import pytest
import sentencepiece

import dbflax
from dbflax import errors
from dbflax.text import tokenizer as tokenizer_lib


@pytest.fixture(scope='module')
def tokenizer(t5_spiece):
  return tokenizer_lib.Tokenizer(t5_spiece)


# Published or measured encodings, without the end mark.
_VECTORS = {
  'translate English to German: The house is wonderful.': (
    [13959, 1566, 12, 2968, 10, 37, 629, 19, 1627, 5]
  ),
  'a sks dog': [3, 9, 3, 7, 157, 7, 1782],
  'a [V] dog': [3, 9, 784, 553, 908, 1782],
}


@pytest.mark.parametrize('text', _VECTORS)
def test_known_encodings(tokenizer, text):
  assert tokenizer.encode(text) == _VECTORS[text]
  assert tokenizer.decode(_VECTORS[text]) == text


def test_known_pieces(tokenizer):
  assert len(tokenizer) == 32000
  assert tokenizer.piece(5000) == 'Ver'
  assert tokenizer.piece(3) == tokenizer_lib.SPACE
  assert tokenizer.piece(tokenizer_lib.EOS) == '</s>'


def test_empty_text_is_the_end_mark_alone(tokenizer):
  ids, mask = tokenizer.ids([''], max_length=4)
  np.testing.assert_array_equal(ids, [[1, 0, 0, 0]])
  np.testing.assert_array_equal(mask, [[1, 0, 0, 0]])


def test_long_text_is_cut_and_keeps_the_end_mark(tokenizer):
  text = 'dog ' * 100
  ids, mask = tokenizer.ids([text, 'dog'], max_length=10)
  assert ids.shape == mask.shape == (2, 10)
  assert ids.dtype == mask.dtype == np.int32
  np.testing.assert_array_equal(ids[0, :9], tokenizer.encode(text)[:9])
  assert ids[0, 9] == tokenizer_lib.EOS
  np.testing.assert_array_equal(mask.sum(axis=1), [10, 2])


def test_unknown_characters_and_typed_control_marks(tokenizer):
  assert tokenizer.encode('日本') == [3, tokenizer_lib.UNKNOWN]
  # Typed marks are text: a prompt cannot end itself.
  assert tokenizer_lib.EOS not in tokenizer.encode('a </s> b <pad>')


def test_spaces_do_not_matter(tokenizer):
  assert tokenizer.encode('  a   dog\n\t') == tokenizer.encode('a dog')


def test_fingerprint_is_that_of_the_file(tokenizer, t5_spiece):
  expected = hashlib.sha256(t5_spiece.read_bytes()).hexdigest()
  assert tokenizer.fingerprint == expected
  assert expected.startswith('d60acb12')


def test_missing_and_broken_files_are_named(tmp_path):
  with pytest.raises(errors.UserError, match='absent.model cannot be read'):
    tokenizer_lib.Tokenizer(tmp_path / 'absent.model')
  broken = tmp_path / 'spiece.model'
  for content in (b'', b'version https://git-lfs.github.com/spec/v1\n'):
    broken.write_bytes(content)
    with pytest.raises(errors.UserError, match='not a SentencePiece model'):
      tokenizer_lib.Tokenizer(broken)


def test_a_vocabulary_of_another_kind_is_refused(tmp_path):
  """SentencePiece's own defaults: no padding, unknown 0."""
  path = tmp_path / 'spiece.model'
  with path.open('wb') as file:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(['a photo of a dog', 'a zk dog']),
      model_writer=file,
      vocab_size=20,
      hard_vocab_limit=False,
      minloglevel=2,
    )
  with pytest.raises(errors.UserError, match='give a T5 vocabulary'):
    tokenizer_lib.Tokenizer(path)


# --- A pseudo-word, on toybox's vocabulary, which is always there. -----------


@pytest.fixture(scope='module')
def plain():
  return tokenizer_lib.Tokenizer(
    pathlib.Path(dbflax.__file__).parent
    / 'assets/toybox/tokenizer/spiece.model'
  )


@pytest.mark.parametrize('word', ['zk', 'qsd zk'])
@pytest.mark.parametrize('count', [1, 3])
def test_a_pseudo_word_is_read_as_other_ids(plain, word, count):
  """Wherever it stands, and as many as wanted; nothing else changes."""
  ids = list(range(5000, 5000 + count))
  other = plain.with_word(plain.encode(word), ids)
  before, after = plain.encode('a photo of a'), plain.encode('on the beach')
  assert other.encode(f'a photo of a {word} on the beach') == [
    *before,
    *ids,
    *after,
  ]
  assert other.encode(f'{word} {word}') == ids * 2
  assert other.encode('a photo of a dog') == plain.encode('a photo of a dog')
  found, mask = other.ids([f'a {word}'], 8)
  assert mask.sum() == len(plain.encode('a')) + count + 1
  assert found[0, mask.sum() - 1] == tokenizer_lib.EOS


def test_a_pseudo_word_makes_another_tokenizer(plain):
  zk = plain.encode('zk')
  other, third = plain.with_word(zk, [5000]), plain.with_word(zk, [5000, 5001])
  assert len({plain.fingerprint, other.fingerprint, third.fingerprint}) == 3
  assert plain.encode('zk') == zk
