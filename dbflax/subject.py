"""The subjects of a run: their photos, identifiers and captions.

`config.subject` is the first one. `config.others` are further ones that the
same cascade learns, each with an identifier of its own; what an entry leaves
out is as in `config.subject`, but for the identifier.
"""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from dbflax import errors, methods
from dbflax.data import captions as captions_lib
from dbflax.data import subjects
from dbflax.text import identifiers, prompts
from dbflax.toybox import vocabulary

_log = logging.getLogger(__name__)
# Photos.
_FEW = 3
# The paper's range of rare tokens, for T5's own vocabulary.
_T5_RARE_IDS = (5000, 10001)
_T5_PIECES = 32_000


@dataclasses.dataclass(frozen=True)
class Subject:
  """One of them. Build them with `load`.

  Attributes:
    section: what the config says of it: photos, class_noun and so on.
    identifier: the word that it is bound to.
    photos: resolution → [N, R, R, 3].
    captions: what is said of each photo, filled in; '' is nothing.
    framed: each photo as taken, with what is kept of it outlined; none if all
      is.
  """

  section: Mapping
  identifier: identifiers.Identifier
  photos: Mapping[int, np.ndarray]
  captions: tuple[str, ...]
  framed: tuple[np.ndarray, ...]

  @property
  def noun(self) -> str:
    return self.section['class_noun'].strip()

  @property
  def count(self) -> int:
    """How many of its photos are learnt from, from the first."""
    return self.section['count'] or len(self.captions)


def sections(config) -> list[Mapping]:
  """What the config says of each subject."""
  first = config.subject.to_dict()
  filled = [{**first, 'identifier': '', **one} for one in config.others]
  return [MappingProxyType(section) for section in (first, *filled)]


def check(config) -> None:
  """Raises UserError for photos or captions that `load` would refuse."""
  for section in sections(config):
    if not section['photos'].startswith('toybox:'):
      _taken({**section, 'crop': 'centre'}, config.method, 0)


def load(config, tokenizer, sizes: Sequence[int]) -> tuple[Subject, ...]:
  """Reads the photos and finds the identifiers of all subjects.

  Raises:
    UserError: bad photos, captions, boxes or identifiers.
  """
  each = sections(config)
  taken = [_taken(section, config.method, max(sizes)) for section in each]
  for section, photos in zip(each, taken, strict=True):
    _warn_of(section, photos, max(sizes))
  words = _identifiers(config, each, tokenizer)
  loaded = tuple(map(_subject, each, taken, words, [sizes] * len(each)))
  for subject, photos in zip(loaded, taken, strict=True):
    _check_captions(subject, photos, tokenizer, config.text.max_length)
  return loaded


def _subject(section, taken, identifier, sizes) -> Subject:
  noun = section['class_noun'].strip()
  return Subject(
    section,
    identifier,
    subjects.cut(taken, sizes, section['crop']),
    tuple(
      p.caption and captions_lib.fill(p.caption, p.name, identifier.text, noun)
      for p in taken
    ),
    tuple(subjects.framed(taken, section['crop'])),
  )


def _check_captions(
  subject: Subject, photos, tokenizer, max_length: int
) -> None:
  """Raises UserError if the encoder gets a caption without the identifier."""
  word, clean = subject.identifier, prompts.clean_caption
  read = lambda text: tokenizer.ids([clean(text)], max_length)[0][0]
  # Random characters may be deleted anywhere, which is warned of.
  if not word.is_in(read(prompts.with_identifier(word.text, subject.noun))):
    return
  for photo, caption in zip(photos, subject.captions, strict=True):
    if caption and not word.is_in(read(caption)):
      raise errors.UserError(
        f"of the caption of '{photo.name}' the encoder reads "
        f'{tokenizer.decode(read(caption))!r}, without the identifier '
        f"'{word.text}'; write it as a word by itself, not in quotes, markup "
        f'or a file name, and further ahead, or {captions_lib.OFF}'
      )


def _taken(section, method: str, resolution: int) -> list[subjects.Photo]:
  """A subject's photos; UserError if fewer than shall be learnt from."""
  photos = subjects.read(
    section['photos'],
    resolution,
    section['crop'],
    # A baseline has templates of its own, or trains nothing.
    with_captions=section['captions'] and method == methods.DREAMBOOTH,
  )
  if section['count'] > len(photos):
    raise errors.UserError(
      f"subject.count={section['count']}, but '{section['photos']}' has "
      f'{len(photos)} photos; lower it, or take all with 0'
    )
  return photos


def _warn_of(section, photos: Sequence[subjects.Photo], size: int) -> None:
  """Mentions photos that are few or small; toybox's are known."""
  if section['photos'].startswith('toybox:'):
    return
  if len(photos) < _FEW:
    _log.warning(
      "'%s' has %d of the 3-5 photos that the paper takes; whatever these have "
      'in common is learnt as the subject',
      section['photos'],
      len(photos),
    )
  sides = [subjects.side(photo, section['crop']) for photo in photos]
  if min(sides) < size:
    small = sum(side < size for side in sides)
    _log.warning(
      "%d of %d photos of '%s' have fewer than %d pixels a side (the smallest "
      '%d) and are enlarged: that blur is learnt; take larger ones, or fewer '
      'cascade.stages',
      small,
      len(photos),
      section['photos'],
      size,
      min(sides),
    )


def _identifiers(config, each, tokenizer) -> list[identifiers.Identifier]:
  """A different one for each subject."""
  if config.method == methods.PROMPT_ONLY:
    return [identifiers.Identifier('', ())]
  given = [section['identifier'] for section in each if section['identifier']]
  for text in given:
    if given.count(text) > 1:
      raise errors.UserError(
        f'identifier {text!r} is given to two subjects; give each its own, '
        "or '' to one, which looks another up"
      )
  found = []
  for section in each:
    taken = {*given, *(one.text for one in found)}
    found.append(_identifier(config, section, tokenizer, taken))
  return found


def _identifier(
  config, section, tokenizer, taken: Collection[str]
) -> identifiers.Identifier:
  text, noun = section['identifier'], section['class_noun']
  if noun and not prompts.clean_caption(noun):
    raise errors.UserError(
      f'of the class noun {noun!r} the encoder reads nothing: prompts are '
      'cleaned of other scripts and of what looks like a code; say it in words '
      'of English'
    )
  if text:
    return identifiers.verify(tokenizer, text, noun)
  found = find_identifiers(config, tokenizer, len(taken) + 1, noun)
  one = next(one for one in found if one.text not in taken)
  _warn_of_deletion(one.text, noun)
  return one


def _warn_of_deletion(identifier: str, noun: str) -> None:
  """Random characters may look like what captions are cleaned of."""
  said = prompts.with_identifier(identifier, noun)
  read = prompts.clean_caption(said)
  if identifier not in read:
    _log.warning(
      'cleaning deletes %r: of %r the encoder reads %r, so the subject gets no '
      'word of its own; take identifier.kind=rare, or another identifier.seed',
      identifier,
      said,
      read,
    )


def find_identifiers(
  config, tokenizer, count: int, class_noun: str
) -> list[identifiers.Identifier]:
  """The first `count` identifiers that the config's lookup finds."""
  options = config.identifier
  id_range = tuple(options.id_range)
  if id_range == (0, 0):
    embedded = len(tokenizer) < _T5_PIECES
    id_range = vocabulary.RARE_ID_RANGE if embedded else _T5_RARE_IDS
  return identifiers.find(
    tokenizer,
    seed=options.seed,
    count=count,
    id_range=id_range,
    class_noun=class_noun,
    max_chars=options.max_chars,
    num_tokens=tuple(options.num_tokens),
    kind=options.kind,
  )
