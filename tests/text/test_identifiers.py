"""Rare identifiers, on T5's vocabulary and on the embedded one."""

import collections
import pathlib

import pytest

import dbflax
from dbflax import errors
from dbflax.text import identifiers, prompts, words
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.toybox import vocabulary

_TOYBOX = pathlib.Path(dbflax.__file__).parent / (
  'assets/toybox/tokenizer/spiece.model'
)
_T5_RANGE = (5000, 10001)  # {5000..10000} of the paper.


@pytest.fixture(scope='module')
def t5(t5_spiece):
  return tokenizer_lib.Tokenizer(t5_spiece)


@pytest.fixture(scope='module')
def toybox():
  return tokenizer_lib.Tokenizer(_TOYBOX)


@pytest.fixture(params=['toybox', 't5'])
def case(request):
  """(tokenizer, its range of rare ids)"""
  ranges = {'toybox': vocabulary.RARE_ID_RANGE, 't5': _T5_RANGE}
  return request.getfixturevalue(request.param), ranges[request.param]


def _find(case, **changes):
  tokenizer, id_range = case
  arguments = {'seed': 0, 'count': 8, 'id_range': id_range}
  return identifiers.find(
    tokenizer, **{**arguments, 'class_noun': 'dog', **changes}
  )


def test_found_identifiers_keep_their_ids_in_every_prompt(case):
  tokenizer, (first, end) = case
  for text, ids in _find(case):
    assert all(first <= i < end for i in ids) and 1 <= len(ids) <= 3
    assert tokenizer.decode(ids) == text
    assert text not in words.COMMON and text == text.lower()
    for template in prompts.BENCHMARK['live']:
      prompt = prompts.fill(template, text, 'dog')
      for seen in (prompt, prompt.lower(), prompts.clean_caption(prompt)):
        assert _contains(tokenizer.encode(seen), ids)


def _contains(sequence, part):
  starts = range(len(sequence) - len(part) + 1)
  return any(tuple(sequence[s : s + len(part)]) == part for s in starts)


def test_found_identifiers_pass_the_check_of_user_identifiers(case):
  for found in _find(case):
    assert identifiers.verify(case[0], found.text, 'dog') == found


def test_the_draw_is_a_function_of_the_seed(case):
  assert _find(case) == _find(case)
  assert _find(case, count=3) == _find(case)[:3]
  assert _find(case, seed=1) != _find(case)
  assert len(set(_find(case))) == 8


def test_token_counts_and_lengths_are_kept(t5):
  for count in (1, 2, 3):
    found = _find((t5, _T5_RANGE), count=3, num_tokens=(count,))
    assert [len(identifier.ids) for identifier in found] == [count] * 3
  # As many as --mode=identifier compares.
  assert len(_find((t5, _T5_RANGE), count=40, num_tokens=(3,))) == 40
  short = _find((t5, _T5_RANGE), count=3, max_chars=2, num_tokens=(1,))
  assert all(len(identifier.text) == 2 for identifier in short)


def test_the_class_noun_may_have_two_words_capitals_or_be_none(case):
  for noun in ('stuffed animal', 'Border Collie dog', ' dog ', ''):
    found = _find(case, count=3, class_noun=noun)
    for identifier in found:
      assert identifiers.verify(case[0], identifier.text, noun) == identifier


def _survivors(t5):
  """How many single tokens of the paper's range are left by each check."""
  texts = {}
  for i in range(*_T5_RANGE):
    letters = t5.piece(i).replace(tokenizer_lib.SPACE, '')
    if 1 <= len(letters) <= 3:
      texts[i] = t5.decode([i])
  kept = {
    i: text
    for i, text in texts.items()
    if identifiers.occupied_ids(t5, text, 'dog') == (i,)
  }
  reasons = collections.Counter(
    (identifiers.objection(t5, text, 'dog') or 'none').split(':')[0]
    for text in kept.values()
  )
  return len(texts), len(kept), dict(reasons)


def test_survivors_of_each_check_on_the_real_vocabulary(t5):
  """The measured numbers of the module's docstring."""
  pieces, kept, reasons = _survivors(t5)
  assert (pieces, kept) == (1180, 542)
  assert reasons == {
    'is not a word of two or more letters a-z': 542 - 459,
    'changes when prompts are lower-cased': 459 - 136,
    'is a common word with a meaning of its own': 136 - 14,
    'none': 14,
  }


def test_nearly_all_rare_words_of_the_toybox_survive(toybox):
  texts = [toybox.decode([i]) for i in range(*vocabulary.RARE_ID_RANGE)]
  good = [t for t in texts if not identifiers.objection(toybox, t, 'dog')]
  assert len(good) >= 0.95 * len(texts)
  # "jpg" is one piece and no listed word, but IF's cleaning deletes it.
  if 'jpg' in texts:
    problem = identifiers.objection(toybox, 'jpg', 'dog')
    assert problem == 'is changed by caption cleaning'


@pytest.mark.parametrize(
  ('text', 'problem'),
  [
    ('sks', 'split apart .* ▁ s k s ▁dog'),
    ('ohwx', 'split apart .* o h w x'),
    ('[V]', 'not a word'),
    ('xxy5syt00', 'not a word'),
    ('two words', 'not a word'),
    ('', 'not a word'),
    ('日本', 'not a word'),
    ('Fo', 'small letters'),
    ('ski', 'common word'),
    ('dog', 'common word'),
    ('unique', 'common word'),
    ('tagsky', 'common word'),
    ('supercalifragilistic', 'split apart'),
  ],
)
def test_bad_identifiers_are_refused_with_their_pieces(t5, text, problem):
  with pytest.raises(errors.UserError, match=problem) as raised:
    identifiers.verify(t5, text, 'dog')
  assert repr(text) in str(raised.value)
  assert '--mode=identifier' in str(raised.value)


def test_the_example_of_the_docs_is_one_token_to_every_cascade(case):
  """docs/faq.md: unlike "sks", which is that to the embedded one alone."""
  assert len(identifiers.verify(case[0], 'fo', 'dog').ids) == 1


def test_the_class_noun_is_no_identifier(t5):
  assert identifiers.verify(t5, 'fo', 'dog').ids == (5575,)
  with pytest.raises(errors.UserError, match='common word'):
    identifiers.verify(t5, 'fo', 'Fo dog')


def test_worse_kinds_are_drawn_without_verification(case):
  for found in _find(case, kind='word', count=3):
    assert found.text in identifiers.EXISTING_WORDS and found.ids
  for found in _find(case, kind='random', count=3):
    assert len(found.text) == 9 and found.text.isalnum()
    assert len(found.ids) > 3


def test_cleaning_deletes_most_random_identifiers(toybox):
  found = identifiers.find(
    toybox,
    seed=0,
    count=1000,
    id_range=vocabulary.RARE_ID_RANGE,
    class_noun='dog',
    kind='random',
  )
  # The paper's example is another that IF's encoder never reads.
  texts = ['xxy5syt00', *(one.text for one in found)]
  read = [prompts.clean_caption(f'a photo of a {text} dog') for text in texts]
  assert read[0] == 'a photo of a dog'
  # docs/tuning.md has this number.
  assert read[1:].count('a photo of a dog') == 774


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'id_range': (5000, 99999)}, 'outside of the vocabulary'),
    ({'id_range': (-1, 10)}, 'outside of the vocabulary'),
    ({'id_range': (20, 20)}, 'outside of the vocabulary'),
    ({'id_range': (0, 1), 'max_chars': 2}, 'raise max_chars'),
    ({'count': 5000, 'num_tokens': (1,)}, 'of 5000 identifiers'),
    ({'num_tokens': (2, 3)}, r'num_tokens \(2, 3\) of pieces.* choose \(1,\)'),
    ({'kind': 'word', 'count': 99}, 'found 10 of 99'),
    ({'kind': 'nice'}, "'rare', 'word' or 'random'"),
  ],
)
def test_bad_arguments(toybox, changes, message):
  with pytest.raises(errors.UserError, match=message):
    _find((toybox, vocabulary.RARE_ID_RANGE), **changes)


def test_a_range_of_frequent_words_has_no_rare_identifier(t5):
  with pytest.raises(errors.UserError, match='found 0 of 1'):
    _find((t5, (8, 12)), count=1, num_tokens=(1,))
