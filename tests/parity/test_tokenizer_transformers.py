"""The tokenizer against transformers' T5Tokenizer on the same file.

SentencePiece, which defines the vocabularies, runs here; transformers has it
anew in Rust. Two things that the latter does otherwise stay out of the
prompts: it takes the control character U+0085 for a space, and drops what joins
the character before it (a combining mark, U+200D) where that is a space.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest

import dbflax
from dbflax.text import tokenizer as tokenizer_lib

transformers = pytest.importorskip(
  'transformers', reason='parity needs transformers'
)
pytestmark = pytest.mark.parity

_TOYBOX = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/tokenizer'
_WRITTEN = (
  '',
  ' ',
  'a photo of a sks dog',
  'A Photo of a ZK Dog',
  '  two  spaces\tand\nlines  ',
  'Ünïcödé, ﬁ ligature, ½, 日本, 🐶',
  '해변에 있는 강아지 사진',
  'a 강아지 on the 해변, 夕方',
  'собака на пляже, σκύλος, كلب, כלב, कुत्ता, สุนัข',
  'family 👨‍👩‍👧‍👦, flag 🇰🇷, skin 👍🏽, heart ❤️',
  'control \x00\x01\x07\x1b[31m \x7f end',
  'joined\u200bwords\u200d\ufeff\u00adend',
  'every\u00a0kind\u2003of\u3000space\u2028line',
  'e\u0301 é \u1100\u1161 가 ｆｕｌｌ ① Ⅳ ㎏',
  '\u2581 the mark of a space \u2581\u2581twice',
  '{subject} [V] (dog) | \\ / * ~ <b> & "quoted" \'s',
  'a zk dog. ' * 40,
  '강아지 ' * 90,
  'x' * 500,
  '🐶' * 100,
)
# Characters that random prompts are made of.
_SCRIPTS = (
  'abcdefghijklmnopqrstuvwxyz',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
  'àéîõüßøçñłşž',
  ('e\u0301', 'o\u0308', 'ç', '\u1100\u1161'),
  '강아지사진해변모자눈산꽃고양이',
  'собакапляжЖЩЫ',
  '犬猫海山のをにカメラ',
  '🐶🐱🏖🎩❤👍🇰🇷',
  '.,;:!?\'"()[]{}<>/@#%&*-_=+~^|',
  '\x01\x08\x1f\x7f\u200b\ufeff',
  '   \t\n\u00a0\u2009\u3000',
)


def _random_prompt(rng) -> str:
  """Words of 1 to 40, each of one script, with odd spaces between."""
  words = []
  for _ in range(rng.integers(1, 41)):
    script = list(_SCRIPTS[rng.integers(len(_SCRIPTS) - 1)])
    words += [*rng.choice(script, rng.integers(1, 9))]
    words += [*rng.choice(list(_SCRIPTS[-1]), rng.integers(0, 3))]
  return ''.join(words)


_RNG = np.random.default_rng(0)
_TEXTS = (
  *_WRITTEN,
  *(_random_prompt(_RNG) for _ in range(200 - len(_WRITTEN))),
)


@pytest.fixture(scope='module', params=['t5', 'toybox'])
def pair(request, tmp_path_factory):
  """(ours, transformers') of T5's own and of the embedded vocabulary."""
  if request.param == 'toybox':
    return tokenizer_lib.Tokenizer(_TOYBOX / 'spiece.model'), (
      transformers.T5Tokenizer.from_pretrained(_TOYBOX)
    )
  spiece = request.getfixturevalue('t5_spiece')
  folder = tmp_path_factory.mktemp('tokenizer')
  shutil.copy(spiece, folder / 'spiece.model')
  (folder / 'tokenizer_config.json').write_text(json.dumps({'extra_ids': 0}))
  theirs = transformers.T5Tokenizer.from_pretrained(folder)
  return tokenizer_lib.Tokenizer(spiece), theirs


@pytest.mark.parametrize('length', [8, 77])
def test_ids_and_masks_are_equal(pair, length):
  """Of 200 prompts in many scripts, short and cut."""
  ours, theirs = pair
  ids, mask = ours.ids(_TEXTS, max_length=length)
  expected = theirs(
    list(_TEXTS), padding='max_length', max_length=length, truncation=True
  )
  assert ids.shape == mask.shape == (200, length)
  cut = mask.sum(axis=1) == length
  assert 0 < cut.sum() < len(_TEXTS)
  for text, *rows in zip(
    _TEXTS, ids, mask, expected.input_ids, expected.attention_mask, strict=True
  ):
    np.testing.assert_array_equal(rows[0], rows[2], err_msg=repr(text))
    np.testing.assert_array_equal(rows[1], rows[3], err_msg=repr(text))


def test_every_piece_is_equal(pair):
  ours, theirs = pair
  pieces = [ours.piece(i) for i in range(len(ours))]
  assert theirs.convert_ids_to_tokens(range(len(ours))) == pieces
