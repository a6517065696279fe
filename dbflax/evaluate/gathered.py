"""Which pictures are scored, and what each was asked to show.

They are the samples of a run, or any system's in a folder for every prompt:

    FOLDER/a zk dog on the beach/*.png
    FOLDER/a {subject} in the snow/*.jpg      (names may be templates)
    FOLDER/a dog/*.png                        (the class alone, for PRES)
"""

import json
import pathlib
import re
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors
from dbflax.data import images

# The steps of a run that `of_workdir` reads.
STEPS = ('identifier', 'photos', 'samples')


class Subject(NamedTuple):
  """Whom prompts are about.

  Attributes:
    identifier: the word that names it; '' if none is known.
    noun: its class; '' if prompts say none.
  """

  identifier: str
  noun: str


class Group(NamedTuple):
  """The pictures of one prompt.

  Attributes:
    prompt: as it was drawn.
    says: the prompt without the identifier, which no judge knows.
    of_class: it names the class alone and not the subject.
    files: the pictures.
  """

  prompt: str
  says: str
  of_class: bool
  files: tuple[pathlib.Path, ...]

  def load(self) -> list[np.ndarray]:
    """uint8 [H, W, 3] of every picture."""
    return [images.load(path) for path in self.files]


def unfinished(root: pathlib.Path) -> str:
  """The first step of a run that is missing for `of_workdir`; '' if none."""
  missing = [s for s in STEPS if not (root / s / disk.MANIFEST).exists()]
  return missing[0] if missing else ''


def of_workdir(root: pathlib.Path) -> tuple[list[Group], list[np.ndarray]]:
  """(samples, photos) of a finished run; photos are uint8 [H, W, 3]."""
  who = json.loads(disk.read(root / 'identifier/identifier.json'))
  subject = Subject(who['text'], who['class_noun'])
  photos = images.list_photos(root / 'photos')
  return of_run(root / 'samples', subject), [*map(images.load, photos)]


def of_run(samples: pathlib.Path, subject: Subject) -> list[Group]:
  """What samples.json lists: of every image, the largest that was drawn.

  Methods name the subject in words of their own. The judge reads the template,
  with the class noun for all of them. Prompts that name further subjects of the
  run are left out: photos and figures are of the first.
  """
  entries = json.loads(disk.read(samples / 'samples.json'))
  pick = lambda image: samples / image[max(image)]  # stage_3 after stage_1
  return [
    Group(
      entry['prompt'],
      *read_prompt(entry['template'], subject, [entry['template']]),
      tuple(map(pick, entry['images'])),
    )
    for entry in entries
    if not names_others(entry['template'])
  ]


def names_others(template: str) -> bool:
  """Whether it is about a further subject, as '{subject_2}' is."""
  return '{subject_' in template or '{class_noun_' in template


def of_folder(
  folder: pathlib.Path, subject: Subject, bare: Collection[str]
) -> list[Group]:
  """The pictures in a folder for each prompt.

  Args:
    folder: the folder of them.
    subject: the identifier may be ''.
    bare: prompts that name the class alone, such as 'a dog'; without an
      identifier there is no other way to know.

  Raises:
    UserError: it holds no such folders, or no picture of the subject.
  """
  if not folder.is_dir():
    raise errors.UserError(
      f'evaluate.images={str(folder)!r} is no folder; give one that holds a '
      'folder for each prompt, named by it.'
    )
  named = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != '.')
  if not named:
    raise errors.UserError(
      f'{folder} holds no folders; put the pictures of each prompt into one '
      "that is named by it, such as 'a dog on the beach'."
    )
  load = images.list_photos
  groups = [_group(p.name, load(p), subject, bare) for p in named]
  if all(group.of_class for group in groups):
    raise errors.UserError(
      f'no prompt in {folder} names {subject.identifier!r}, such as '
      f'{groups[0].prompt!r}; say the word with --config.subject.identifier.'
    )
  return groups


def _group(prompt: str, found, subject: Subject, bare=()) -> Group:
  says, of_class = read_prompt(prompt, subject, bare)
  return Group(prompt, says, of_class, tuple(found))


def read_prompt(
  prompt: str, subject: Subject, bare: Collection[str] = ()
) -> tuple[str, bool]:
  """(the prompt without the identifier, whether it names the class alone).

  Without a noun nothing is left that a prompt could be about; then it says
  "something on the beach".
  """
  word, noun = subject.identifier, subject.noun
  if '{subject}' in prompt or '{class_noun}' in prompt:
    word = '{subject}'
    prompt = prompt.replace(word, f'{word} {noun}'.strip())
    prompt = prompt.replace('{class_noun}', noun)
  elif not word:
    return prompt, prompt in bare
  word = rf'{re.escape(word)}(?!\w)'
  pattern, left = (f'{word} ?', '') if noun else (f'(an? )?{word}', 'something')
  says, count = re.subn(rf'(?<!\w){pattern}', left, prompt)
  return says, not count
