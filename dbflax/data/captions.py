"""Captions: `rex.txt` beside `rex.jpg`, as users of kohya's scripts have them.

A caption is what its photo is trained with, in place of "a zk dog". It is one
line that names the subject: by the identifier itself, or by `{subject}`, which
becomes identifier and class noun.
"""

import pathlib
import re
from collections.abc import Sequence

from dbflax import disk, errors
from dbflax.text import prompts

SUFFIX = '.txt'
# T5 reads 77 tokens of it, some 400 letters.
MAX_BYTES = 2000
OFF = '--config.subject.captions=False leaves captions unread'


def of_folder(
  folder: pathlib.Path, photos: Sequence[pathlib.Path]
) -> list[str]:
  """The caption of each photo of a folder; '' of one that has none.

  Raises:
    UserError: a caption that is none, or is no photo's.
  """
  texts = {
    path.stem: path
    for path in sorted(folder.iterdir())
    if path.suffix.lower() == SUFFIX and not path.name.startswith('.')
  }
  if strays := texts.keys() - {photo.stem for photo in photos}:
    path = texts[min(strays)]
    raise errors.UserError(
      f"'{path}' is no photo's caption: rename it like its photo, move it "
      f'away, or {OFF}'
    )
  return [
    _read(texts[photo.stem]) if photo.stem in texts else '' for photo in photos
  ]


def _read(path: pathlib.Path) -> str:
  try:
    with disk.open_file(path) as file:
      content = file.read(MAX_BYTES + 1)
  except OSError as error:
    raise errors.UserError(
      f"cannot read caption '{path}': {error.strerror}; replace or remove it"
    ) from error
  return decode(content, str(path))


def decode(content: bytes, name: str) -> str:
  """The caption in a file that is called `name`.

  Raises:
    UserError: too long, no UTF-8, empty, or more than one line.
  """
  if len(content) > MAX_BYTES:
    raise _refusal(name, f'is longer than {MAX_BYTES} bytes; shorten it')
  try:
    text = content.decode('utf-8-sig').strip()
  except UnicodeDecodeError as error:
    raise _refusal(name, 'is not UTF-8; save it as that') from error
  if not text:
    raise _refusal(name, 'is empty; describe its photo, or remove it')
  if not text.isprintable():
    raise _refusal(name, 'is not one line of plain text; make it one')
  return text


def fill(caption: str, name: str, identifier: str, noun: str) -> str:
  """The prompt that a caption stands for: "a zk dog on a sofa".

  Args:
    caption: 'a {subject} on a sofa', or 'a zk dog on a sofa'.
    name: of its photo, for messages.
    identifier: of the subject; noun: its class noun.

  Raises:
    UserError: it does not name the subject, or has another brace. Whether the
      encoder is given that name, `subject.load` checks.
  """
  # Not by `format`, whose braces can ask for much more than a word.
  text = caption.replace('{subject}', prompts.subject(identifier, noun))
  text = text.replace('{class_noun}', noun)
  if '{' in text or '}' in text:
    raise errors.UserError(
      f"the caption of '{name}' has a brace that nothing fills; write "
      '{subject} for identifier and class noun, {class_noun} for the noun'
    )
  word = rf'(?<!\w){re.escape(identifier.lower())}(?!\w)'
  if not re.search(word, text.lower()):
    raise errors.UserError(
      f"the caption of '{name}' names neither the identifier '{identifier}' "
      f"nor {{subject}}; write 'a {{subject}} …' there, or {OFF}"
    )
  return text


def _refusal(name: str, problem: str) -> errors.UserError:
  return errors.UserError(f"caption '{name}' {problem}")
