"""SentencePiece with T5's conventions.

A prompt is one line of plain text: pieces, then the end mark 1, then padding
0 up to a fixed length. Piece 2 stands for every character that the vocabulary
lacks. A control mark typed in a prompt, such as `</s>`, is read as the
characters it is written with.
"""

import copy
import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
import sentencepiece
from jaxtyping import Int

from dbflax import disk, errors

PAD, EOS, UNKNOWN = 0, 1, 2
# SentencePiece writes the space before a word as this character.
SPACE = '\u2581'


class Tokenizer:
  """A vocabulary read from a `spiece.model` file.

  Attributes:
    fingerprint: sha256 of the file, in hex.
  """

  def __init__(self, spiece_path: str | os.PathLike):
    """Reads the file.

    Raises:
      UserError: it is absent, no SentencePiece model, or not of the T5 kind.
    """
    try:
      content = disk.read(spiece_path)
    except OSError as error:
      raise errors.UserError(
        f'tokenizer {spiece_path} cannot be read ({error.strerror}): give the '
        'spiece.model of the cascade.'
      ) from error
    self.fingerprint = hashlib.sha256(content).hexdigest()
    self._word, self._stands_for = (), ()
    self._model = sentencepiece.SentencePieceProcessor()
    try:
      self._model.load_from_serialized_proto(content)
    except RuntimeError as error:
      raise errors.UserError(
        f'tokenizer {spiece_path} is not a SentencePiece model '
        f'({len(content)} bytes): fetch the file again.'
      ) from error
    marks = self._model.pad_id(), self._model.eos_id(), self._model.unk_id()
    if marks != (PAD, EOS, UNKNOWN):
      raise errors.UserError(
        f'tokenizer {spiece_path} has pad, eos, unk = {marks}, T5 has '
        f'{(PAD, EOS, UNKNOWN)}: give a T5 vocabulary.'
      )

  def __len__(self) -> int:
    return len(self._model)

  def encode(self, text: str) -> list[int]:
    """The piece ids of `text`, without end mark or padding."""
    ids = self._model.encode(text)
    return _replaced(ids, self._word, self._stands_for)

  def with_word(self, word: Sequence[int], ids: Sequence[int]) -> 'Tokenizer':
    """A copy that reads the pieces `word`, wherever they stand, as `ids`.

    A pseudo-word: it is typed as a word, and means ids that the vocabulary
    need not have. The copy's fingerprint is another.
    """
    other = copy.copy(self)
    other._word, other._stands_for = tuple(word), tuple(ids)
    key = json.dumps([self.fingerprint, other._word, other._stands_for])
    other.fingerprint = hashlib.sha256(key.encode()).hexdigest()
    return other

  def decode(self, ids: Sequence[int]) -> str:
    """The text of `ids`; control marks vanish."""
    return self._model.decode([int(i) for i in ids])

  def piece(self, piece_id: int) -> str:
    """The piece as stored, a space before a word written as SPACE."""
    return self._model.id_to_piece(int(piece_id))

  def ids(
    self, texts: Sequence[str], max_length: int = 77
  ) -> tuple[Int[np.ndarray, 'N L'], Int[np.ndarray, 'N L']]:
    """Encodes `texts` for the encoder, cut so that the end mark is kept.

    Returns:
      (ids, mask), int32 [N, max_length]; mask is 1 up to the end mark.
    """
    ids = np.full((len(texts), max_length), PAD, np.int32)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
      sequence = [*self.encode(text)[: max_length - 1], EOS]
      ids[row, : len(sequence)] = sequence
      mask[row, : len(sequence)] = 1
    return ids, mask


def _replaced(ids: list[int], old: tuple, new: tuple) -> list[int]:
  """`ids` with every run of `old` made `new`; an empty `old` is nowhere."""
  out, n = [], 0
  while n < len(ids):
    if old and tuple(ids[n : n + len(old)]) == old:
      out, n = [*out, *new], n + len(old)
    else:
      out, n = [*out, ids[n]], n + 1
  return out
