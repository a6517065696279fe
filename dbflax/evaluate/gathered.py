"""Which pictures are scored, and what each was asked to show.

They are the samples of a run, or any system's in a folder for every prompt:

    FOLDER/a fo dog on the beach/*.png
    FOLDER/a {subject} in the snow/*.jpg      (names may be templates)
    FOLDER/a dog/*.png                        (the class alone, for PRES)

A run may have several subjects. Each has the prompts that name it alone; what
shows two of them is nobody's.
"""

import json
import pathlib
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors, workdir
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


class Shown(NamedTuple):
  """What is scored of one subject, and against what.

  Attributes:
    number: which one of the run it is, from 1.
    groups: its pictures, and those of its class.
    photos: uint8 [H, W, 3] each.
  """

  number: int
  groups: list[Group]
  photos: list[np.ndarray]

  @property
  def ours(self) -> list[Group]:
    """Without the class."""
    return [group for group in self.groups if not group.of_class]


def unfinished(root: pathlib.Path) -> str:
  """The first step of a run that is missing for `of_workdir`; '' if none."""
  missing = [s for s in STEPS if not (root / s / disk.MANIFEST).exists()]
  return missing[0] if missing else ''


def of_workdir(root: pathlib.Path) -> list[Shown]:
  """The subjects of a finished run that some prompt names alone."""
  first = json.loads(disk.read(root / 'identifier/identifier.json'))
  who = [
    Subject(one['text'], one['class_noun'])
    for one in (first, *first.get('others', ()))
  ]
  found = [
    Shown(number, groups, _photos(root, number))
    for number, groups in enumerate(of_run(root / 'samples', who), 1)
  ]
  return [shown for shown in found if shown.ours]


def _photos(root: pathlib.Path, number: int) -> list[np.ndarray]:
  folder = workdir.photos_of(root / 'photos', number)
  return [*map(images.load, images.list_photos(folder))]


def of_run(samples: pathlib.Path, who: Sequence[Subject]) -> list[list[Group]]:
  """What samples.json lists, of each subject of the run.

  Of every image, it is the largest that was drawn. Methods name the subject in
  words of their own. The judge reads the template, with the class noun for all
  of them.
  """
  found = [[] for _ in who]
  pick = lambda image: samples / image[max(image)]  # stage_3 after stage_1
  for entry in json.loads(disk.read(samples / 'samples.json')):
    number, *more = _named(entry['template'], who)
    if more:
      continue
    alone = re.sub(r'\{(subject|class_noun)_\d+\}', r'{\1}', entry['template'])
    group = Group(
      entry['prompt'],
      *read_prompt(alone, who[number - 1], [alone]),
      tuple(map(pick, entry['images'])),
    )
    found[number - 1].append(group)
  return found


def _named(template: str, who: Sequence[Subject]) -> list[int]:
  """The subjects that it is about, from 1: by placeholder or by word.

  Else those whose class it names, and else the first.
  """
  holders = re.findall(r'\{(?:subject|class_noun)_?(\d*)\}', template)
  has = lambda word: word and re.search(_whole(re.escape(word)), template)
  numbered = [*enumerate(who, 1)]
  named = {int(number or 1) for number in holders}
  named |= {number for number, one in numbered if has(one.identifier)}
  classes = [number for number, one in numbered if has(one.noun)]
  return sorted(named) or classes or [1]


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
  word = re.escape(word)
  pattern = f'{_whole(word)} ?' if noun else _whole(f'(an? )?{word}')
  says, count = re.subn(pattern, '' if noun else 'something', prompt)
  return says, not count


def _whole(pattern: str) -> str:
  """Of words, and not of parts of others."""
  return rf'(?<!\w){pattern}(?!\w)'
