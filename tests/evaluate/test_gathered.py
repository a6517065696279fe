"""Truths of what is scored: prompts, folders, samples of a run."""

import json

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import images
from dbflax.evaluate import gathered

DOG = gathered.Subject('zk', 'dog')
NAMELESS = gathered.Subject('', 'dog')
CLASSLESS = gathered.Subject('zk', '')


def _pictures(folder, count):
  for n in range(count):
    images.save_png(folder / f'{n}.png', np.full((40, 40, 3), n, np.uint8))


@pytest.mark.parametrize(
  ('prompt', 'subject', 'says', 'of_class'),
  [
    ('a photo of a zk dog', DOG, 'a photo of a dog', False),
    ('a dog', DOG, 'a dog', True),
    # Whole words only.
    ('a zky dog', DOG, 'a zky dog', True),
    ('a zk, wet dog', DOG, 'a , wet dog', False),
    ('a {subject} in the snow', NAMELESS, 'a dog in the snow', False),
    ('a {class_noun}', NAMELESS, 'a dog', True),
    ('a happy dog', NAMELESS, 'a happy dog', False),
    ('a dog', NAMELESS, 'a dog', True),
    ('a photo of a zk', CLASSLESS, 'a photo of something', False),
    ('a red zk at night', CLASSLESS, 'a red something at night', False),
    ('a {subject} in the snow', CLASSLESS, 'something in the snow', False),
    ('a dog', CLASSLESS, 'a dog', True),
  ],
)
def test_what_a_prompt_says_and_of_whom(prompt, subject, says, of_class):
  found = gathered.read_prompt(prompt, subject, bare=('a dog',))
  assert found == (says, of_class)


def test_a_folder_for_each_prompt(tmp_path):
  _pictures(tmp_path / 'a zk dog on the beach', 2)
  _pictures(tmp_path / 'a dog', 1)
  (tmp_path / '.cache').mkdir()
  groups = gathered.of_folder(tmp_path, DOG, ('a dog',))
  found = {g.prompt: (g.says, g.of_class, len(g.files)) for g in groups}
  assert found == {
    'a dog': ('a dog', True, 1),
    'a zk dog on the beach': ('a dog on the beach', False, 2),
  }
  assert [int(p.max()) for p in groups[1].load()] == [0, 1]


def test_of_a_run_the_largest_pictures_are_scored(tmp_path):
  [group] = _of_run(tmp_path, DOG, 'a zk dog', 'a {subject}')
  assert group.files == (tmp_path / '2/0.png',)
  assert group.says == 'a dog' and not group.of_class


def _of_run(folder, subject, prompt, template):
  images = [{'stage_2': '2/0.png', 'stage_1': '1/0.png'}]
  entry = {'prompt': prompt, 'template': template, 'images': images}
  (folder / 'samples.json').write_text(json.dumps([entry]))
  [groups] = gathered.of_run(folder, [subject])
  return groups


@pytest.mark.parametrize(
  ('prompt', 'template', 'subject', 'says', 'of_class'),
  [
    ('a zk in the snow', 'a {subject} in the snow', DOG, None, False),
    ('an orange dog', 'a {subject}', NAMELESS, 'a dog', False),
    ('a dog', 'a {class_noun}', NAMELESS, 'a dog', True),
    ('a dog', 'a dog', NAMELESS, 'a dog', True),
    ('a zk dog', 'a zk dog', DOG, 'a dog', False),
  ],
)
def test_whatever_stands_for_the_subject_judges_read_the_class_noun(
  tmp_path, prompt, template, subject, says, of_class
):
  [group] = _of_run(tmp_path, subject, prompt, template)
  assert group.says == (says or 'a dog in the snow')
  assert (group.prompt, group.of_class) == (prompt, of_class)


def test_folders_that_cannot_be_meant_are_told(tmp_path):
  of = lambda folder: gathered.of_folder(folder, DOG, ('a dog',))
  with pytest.raises(errors.UserError, match='is no folder'):
    of(tmp_path / 'nowhere')
  with pytest.raises(errors.UserError, match='holds no folders'):
    of(tmp_path)
  _pictures(tmp_path / 'a sks dog', 1)
  with pytest.raises(errors.UserError, match=r"'zk'.*subject\.identifier"):
    of(tmp_path)
  (tmp_path / 'a zk dog').mkdir()
  with pytest.raises(errors.UserError, match='no photo in'):
    of(tmp_path)
