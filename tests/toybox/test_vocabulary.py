"""The embedded tokenizer keeps T5's conventions and every rare word whole."""

import pathlib

import pytest
import sentencepiece

import dbflax
from dbflax.text import prompts
from dbflax.toybox import captions, vocabulary
from dbflax.toybox import scene as scene_lib

FOLDER = pathlib.Path(dbflax.__file__).parent / 'assets/toybox/tokenizer'
TEXTS = (
  'a photo of a zk dog on the beach',
  'A Painting of a SKS Teapot, wearing sunglasses!',
  'a pixel art image of a glass dog seen from behind with a bow tie',
  'x9 7% (hello) "world" a-b_c/d\\e',
  '  two   spaces ',
  '',
)


@pytest.fixture(scope='module')
def pieces():
  path = str(FOLDER / 'spiece.model')
  return sentencepiece.SentencePieceProcessor(model_file=path)


def test_special_ids(pieces):
  assert (pieces.pad_id(), pieces.eos_id(), pieces.unk_id()) == (0, 1, 2)
  assert pieces.bos_id() == -1
  assert 1200 <= len(pieces) <= 1600


def test_rare_words_are_one_piece_in_their_range(pieces):
  start, stop = vocabulary.RARE_ID_RANGE
  assert stop - start == len(captions.RARE_WORDS) and stop == len(pieces)
  for index, word in enumerate(captions.RARE_WORDS):
    assert pieces.id_to_piece(start + index) == '▁' + word
    for noun in scene_lib.CLASSES:
      ids = pieces.encode(f'a photo of a {word} {noun}')
      assert ids.count(start + index) == 1
      assert len(ids) == 6


def test_every_prompt_word_is_one_piece(pieces):
  words = {word for phrase in captions.phrases() for word in phrase.split()}
  named = (*scene_lib.CLASSES, *scene_lib.COLOURS, *scene_lib.PLACES)
  assert words >= set(' '.join(named).split())
  assert words >= {'bow', 'tie', 'pixel', 'statue', 'behind', 'gold', 'wearing'}
  assert [w for w in words if len(pieces.encode(w)) != 1] == []


@pytest.mark.parametrize('kind, noun', [('live', 'dog'), ('object', 'vase')])
def test_benchmark_prompts_are_known(pieces, kind, noun):
  """Every word in at most two pieces, none of them unknown."""
  templates = set(prompts.BENCHMARK[kind])
  templates |= {t for each in prompts.APPLICATIONS[kind].values() for t in each}
  for template in templates:
    for word in prompts.fill(template, 'zk', noun).split():
      ids = pieces.encode(word)
      assert pieces.unk_id() not in ids and len(ids) <= 2, word


def test_common_characters_are_known_and_case_is_folded(pieces):
  printable = ''.join(chr(c) for c in range(32, 127))
  assert pieces.unk_id() not in pieces.encode(printable)
  assert pieces.encode('A Red DOG') == pieces.encode('a red dog')


def test_transformers_reads_the_same_tokenizer(pieces):
  transformers = pytest.importorskip('transformers')
  other = transformers.T5Tokenizer.from_pretrained(str(FOLDER))
  assert len(other) == len(pieces)
  for text in TEXTS:
    assert other(text).input_ids == [*pieces.encode(text), 1], text


def test_training_again_gives_the_embedded_model():
  assert vocabulary.train() == (FOLDER / 'spiece.model').read_bytes()
