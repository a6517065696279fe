"""Rare-token identifiers: the word that a subject is bound to.

The paper (section 3.2) draws k = 1..3 tokens uniformly without replacement
from a range of rare ids, tokens of at most three characters, and inverts them
with the de-tokenizer. That alone is not enough: on T5's vocabulary 45 % of
such draws come back as the same tokens in a prompt, whatever k, and most of
those are changed by lower-casing, or mean something. So every draw is verified
in the prompt that it will be used in; 1.2 %, 0.27 % and 0.06 % pass for k = 1,
2 and 3. A draw takes some 25 microseconds, so that is no loss.

Of the 1180 pieces of at most three characters in T5's ids 5000..10000, this is
how many are left, in "a photo of a X dog":

     542   that come back as the same single token
     459   that are also words of two or more letters, a-z in any case
     136   that also survive lower-casing
      14   that are not common words either; all survive caption cleaning
"""

import re
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dbflax import errors
from dbflax import rng as rng_lib
from dbflax.text import prompts, words
from dbflax.text import tokenizer as tokenizer_lib

# What the paper compares rare tokens with (figure 4): existing words come with
# a meaning of their own ...
EXISTING_WORDS = (
  'unique',
  'special',
  'particular',
  'specific',
  'certain',
  'singular',
  'distinct',
  'individual',
  'exclusive',
  'original',
)
# ... and random characters fall apart into letters, each with its own.
_RANDOM_LENGTH = 9

_MAX_PIECES = 3
# Of three tokens a draw in 1600 passes, of fewer one in 400.
_MAX_DRAWS, _MAX_DRAWS_OF_3 = 20_000, 200_000
# A vocabulary holds longer words whole only where they are frequent.
_LONG_WORD = 4


class Identifier(NamedTuple):
  """A word and the piece ids that it is in a prompt."""

  text: str
  ids: tuple[int, ...]

  def is_in(self, prompt: Sequence[int]) -> bool:
    """Whether the ids of a prompt have its ids, one after the other."""
    count = len(self.ids)
    starts = range(len(prompt) - count + 1)
    return any(tuple(prompt[s : s + count]) == self.ids for s in starts)


def find(
  tokenizer: tokenizer_lib.Tokenizer,
  *,
  seed: int,
  count: int,
  id_range: tuple[int, int],
  class_noun: str,
  max_chars: int = 3,
  num_tokens: Sequence[int] = (1, 2, 3),
  kind: str = 'rare',
) -> list[Identifier]:
  """Draws `count` different identifiers, a pure function of `seed`.

  Args:
    id_range: first rare id, and the id after the last: (5000, 10001) on T5.
    class_noun: of the subject, or ''; part of the prompt that verifies a draw.
    max_chars: the most characters of one drawn token, without the space.
    num_tokens: the numbers of tokens to choose among.
    kind: 'rare'; or one of the paper's two worse choices, which are drawn for
      comparison and not verified: 'word', an existing word; 'random', random
      characters like 'xxy5syt00' (which caption cleaning may even delete).

  Raises:
    UserError: bad arguments, or fewer than `count` identifiers were found.
  """
  noun = class_noun.strip()
  rng = rng_lib.numpy(seed, 'identifier')
  if kind == 'rare':
    pool = _pool(tokenizer, id_range, max_chars)
    _check_joints(tokenizer, pool, num_tokens)
    texts = _rare_texts(tokenizer, rng, pool, num_tokens, noun)
  elif kind == 'word':
    texts = iter(rng.permutation(EXISTING_WORDS).tolist())
  elif kind == 'random':
    texts = (_random_text(rng) for _ in range(_MAX_DRAWS))
  else:
    raise errors.UserError(
      f"identifier kind {kind!r} is unknown: choose 'rare', 'word' or 'random'."
    )
  chosen = _first_distinct(texts, count)
  if len(chosen) < count:
    raise errors.UserError(
      f'found {len(chosen)} of {count} identifiers of kind {kind!r}, id range '
      f'{tuple(id_range)}, num_tokens {tuple(num_tokens)}: ask for fewer, or '
      'widen the range.'
    )
  return [
    Identifier(text, occupied_ids(tokenizer, text, noun)) for text in chosen
  ]


def _first_distinct(texts: Iterator[str], count: int) -> list[str]:
  chosen = {}
  for text in texts:
    chosen[text] = None
    if len(chosen) == count:
      break
  return list(chosen)


def verify(
  tokenizer: tokenizer_lib.Tokenizer, text: str, class_noun: str
) -> Identifier:
  """Accepts an identifier that a user chose.

  Raises:
    UserError: what is wrong with it, its pieces, and what to do.
  """
  noun = class_noun.strip()
  problem = objection(tokenizer, text, noun)
  if problem:
    prompt = prompts.with_identifier(text, noun)
    raise errors.UserError(
      f'identifier {text!r} {problem} (the pieces of {prompt!r} are '
      f'{" ".join(map(tokenizer.piece, tokenizer.encode(prompt)))}): choose '
      'one that --mode=identifier lists.'
    )
  return Identifier(text, occupied_ids(tokenizer, text, noun))


def occupied_ids(
  tokenizer: tokenizer_lib.Tokenizer, text: str, class_noun: str
) -> tuple[int, ...]:
  """The ids of `text` in its prompt; empty if it merges with a neighbour."""
  return _between(
    tokenizer, prompts.with_identifier(text, class_noun), class_noun
  )


def _between(tokenizer, prompt: str, noun: str) -> tuple[int, ...]:
  """The ids of `prompt` between its opening and its class noun."""
  ids = tokenizer.encode(prompt)
  before = tokenizer.encode(prompts.OPENING)
  after = tokenizer.encode(noun)
  end = len(ids) - len(after)
  if ids[: len(before)] != before or ids[end:] != after:
    return ()
  return tuple(ids[len(before) : end])


def objection(
  tokenizer: tokenizer_lib.Tokenizer, text: str, class_noun: str
) -> str | None:
  """Why `text` is no good as a rare identifier, or None if it is.

  It must be letters only, in at most three pieces of two or more letters each
  (a single letter means a letter), unchanged by lower-casing and by caption
  cleaning, and no word. A word is what the list of short words names, the
  class noun, or any whole piece of four or more letters. Its first piece must
  not be a short word either: "▁tag" in "tagsky" is a tag to the encoder. A
  joint of rare syllables that happens to be a long word is not noticed.
  """
  if not re.fullmatch('[a-z]{2,}', text):
    if re.fullmatch('[a-z]{2,}', text.lower()):
      return 'changes when prompts are lower-cased: write it in small letters'
    return 'is not a word of two or more letters a-z'
  ids = occupied_ids(tokenizer, text, class_noun)
  pieces = [_letters(tokenizer, i) for i in ids]
  # A space before the word may be a piece of its own; it says nothing.
  pieces = pieces[1:] if pieces and not pieces[0] else pieces
  if not ids or tokenizer_lib.UNKNOWN in ids:
    return 'is not in the vocabulary'
  if len(pieces) > _MAX_PIECES or min(map(len, pieces)) < 2:
    return 'is split apart by the tokenizer'
  if _is_word(text, pieces, class_noun):
    return 'is a common word with a meaning of its own'
  cleaned = prompts.clean_caption(prompts.with_identifier(text, class_noun))
  noun = prompts.clean_caption(class_noun)
  if _between(tokenizer, cleaned, noun) != ids:
    return 'is changed by caption cleaning'
  return None


def _is_word(text: str, pieces: Sequence[str], noun: str) -> bool:
  whole = len(pieces) == 1 and len(text) >= _LONG_WORD
  known = words.COMMON.union(noun.lower().split())
  return whole or text in known or pieces[0] in known


def _letters(tokenizer, piece_id: int) -> str:
  return tokenizer.piece(piece_id).replace(tokenizer_lib.SPACE, '')


def _pool(tokenizer, id_range: tuple[int, int], max_chars: int) -> np.ndarray:
  """The ids in the range whose pieces have 1 to `max_chars` characters."""
  first, end = id_range
  if not 0 <= first < end <= len(tokenizer):
    raise errors.UserError(
      f'id range {first} to {end} lies outside of the vocabulary: choose '
      f'numbers within 0 to {len(tokenizer)}, the first the smaller.'
    )
  pool = [
    i
    for i in range(first, end)
    if 1 <= len(_letters(tokenizer, i)) <= max_chars
  ]
  if not pool:
    raise errors.UserError(
      f'no piece in the ids {first} to {end - 1} has {max_chars} characters or '
      'fewer: widen the range or raise max_chars.'
    )
  return np.array(pool)


def _check_joints(tokenizer, pool: np.ndarray, num_tokens) -> None:
  """Raises UserError if no two pieces of the pool make one word."""
  spaced = [tokenizer.piece(i).startswith(tokenizer_lib.SPACE) for i in pool]
  if min(num_tokens) > 1 and all(spaced):
    raise errors.UserError(
      f'identifier.num_tokens {tuple(num_tokens)} of pieces that all begin '
      'with a space, as the rare ones of the embedded cascade, make no word: '
      'choose (1,), or another range.'
    )


def _rare_texts(
  tokenizer, rng: np.random.Generator, pool: np.ndarray, num_tokens, noun: str
) -> Iterator[str]:
  """Verified draws, until the draws are used up."""
  seen = set()
  for _ in range(_MAX_DRAWS_OF_3 if 3 in num_tokens else _MAX_DRAWS):
    size = min(rng.choice(num_tokens), len(pool))
    ids = tuple(rng.choice(pool, size, replace=False).tolist())
    if ids in seen:
      continue
    seen.add(ids)
    text = tokenizer.decode(ids)
    drawn = occupied_ids(tokenizer, text, noun) == ids
    if drawn and objection(tokenizer, text, noun) is None:
      yield text


def _random_text(rng: np.random.Generator) -> str:
  letters = list(string.ascii_lowercase + string.digits)
  return ''.join(rng.choice(letters, _RANDOM_LENGTH))
