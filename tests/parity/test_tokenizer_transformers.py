"""The tokenizer against transformers' T5Tokenizer on the same file."""

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
_TEXTS = (
  '',
  ' ',
  'a photo of a sks dog',
  'A Photo of a ZK Dog',
  '  two  spaces\tand\nlines  ',
  'Ünïcödé, ﬁ ligature, ½, 日本, 🐶',
  'a zk dog. ' * 40,
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


def test_ids_and_masks_are_equal(pair):
  ours, theirs = pair
  for length in (8, 77):
    ids, mask = ours.ids(_TEXTS, max_length=length)
    expected = theirs(
      list(_TEXTS), padding='max_length', max_length=length, truncation=True
    )
    np.testing.assert_array_equal(ids, expected.input_ids)
    np.testing.assert_array_equal(mask, expected.attention_mask)


def test_every_piece_is_equal(pair):
  ours, theirs = pair
  pieces = [ours.piece(i) for i in range(len(ours))]
  assert theirs.convert_ids_to_tokens(range(len(ours))) == pieces
