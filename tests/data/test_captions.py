"""Captions beside photos: which are taken, and which are refused."""

import os

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import captions, images, photo_folder, subjects


@pytest.fixture
def folder(tmp_path):
  """Photos a.png and b.png."""
  for name in 'ab':
    pixels = np.full((48, 48, 3), ord(name), np.uint8)
    images.save_png(tmp_path / f'photos/{name}.png', pixels)
  return tmp_path / 'photos'


def said(source):
  photos = subjects.read(str(source), 64, with_captions=True)
  return [photo.caption for photo in photos]


def refusal(source):
  with pytest.raises(errors.UserError) as caught:
    said(source)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_a_caption_is_its_photos(folder):
  (folder / 'b.txt').write_bytes(b'\xef\xbb\xbf a {subject} on a sofa\r\n')
  (folder / '.notes.txt').write_text('hidden')
  assert said(folder) == ['', 'a {subject} on a sofa']
  # By default nobody reads them.
  photos = subjects.read(str(folder), 64)
  assert [photo.caption for photo in photos] == ['', '']


def test_a_link_to_a_caption_is_followed(folder, tmp_path):
  (tmp_path / 'blob').write_text('a {subject}')
  (folder / 'a.txt').symlink_to(tmp_path / 'blob')
  assert said(folder) == ['a {subject}', '']


@pytest.mark.parametrize(
  ('content', 'problem'),
  [
    (b'', 'is empty'),
    (b' \n', 'is empty'),
    ('ein schöner {subject}'.encode('latin-1'), 'is not UTF-8'),
    (b'a {subject}\nand a cat', 'is not one line'),
    (b'a \x1b[31m{subject}', 'is not one line'),
    (b'a {subject} ' * 1000, 'is longer than 2000 bytes'),
  ],
)
def test_a_caption_that_is_none_is_refused(folder, content, problem):
  (folder / 'a.txt').write_bytes(content)
  assert f"{folder / 'a.txt'}' {problem}" in refusal(folder)


@pytest.mark.parametrize(
  ('kind', 'said'),
  [
    ('folder', "'{}' is a folder"),
    ('pipe', "'{}' is a pipe"),
    ('broken link', "cannot read caption '{}': No such file"),
  ],
)
def test_what_is_no_file_is_refused_at_once(folder, kind, said):
  path = folder / 'a.txt'
  if kind == 'folder':
    path.mkdir()
  elif kind == 'pipe':
    os.mkfifo(path)
  else:
    path.symlink_to('nowhere')
  assert said.format(path) in refusal(folder)


def test_a_text_without_a_photo_is_named(folder):
  (folder / 'c.txt').write_text('a {subject}')
  line = refusal(folder)
  assert f"'{folder / 'c.txt'}' is no photo's caption" in line
  assert '--config.subject.captions=False' in line


def test_a_data_set_has_the_captions_of_its_folder(folder, tmp_path):
  (folder / 'b.txt').write_text('ein schöner {subject}')
  source = photo_folder.prepare(folder, tmp_path / 'tfds')
  assert said(source) == said(folder) == ['', 'ein schöner {subject}']


def test_a_folder_with_a_bad_caption_leaves_no_data_set(folder, tmp_path):
  (folder / 'b.txt').write_text('')
  with pytest.raises(errors.UserError, match=r'b\.txt. is empty'):
    photo_folder.prepare(folder, tmp_path / 'tfds')
  assert not (tmp_path / 'tfds').exists()


@pytest.mark.parametrize(
  ('caption', 'filled'),
  [
    ('a {subject} on a sofa', 'a zk dog on a sofa'),
    ('{subject}, a good {class_noun}', 'zk dog, a good dog'),
    # As kohya's users write them: sentences or tags.
    ('photo of ZK dog', 'photo of ZK dog'),
    ('zk, sofa, indoors', 'zk, sofa, indoors'),
  ],
)
def test_a_caption_that_names_the_subject_is_filled(caption, filled):
  assert captions.fill(caption, 'a.png', 'zk', 'dog') == filled


@pytest.mark.parametrize(
  ('caption', 'problem'),
  [
    ('a dog on a sofa', "names neither the identifier 'zk' nor {subject}"),
    ('a zkdog', 'names neither'),
    ('a {class_noun}', 'names neither'),
    ('a {subject} {here|there}', 'has a brace that nothing fills'),
    ('a {subject:>99999999999}', 'has a brace that nothing fills'),
    ('a {subject.__class__}', 'has a brace that nothing fills'),
  ],
)
def test_a_caption_of_somebody_else_is_refused(caption, problem):
  with pytest.raises(errors.UserError) as caught:
    captions.fill(caption, 'x/a.png', 'zk', 'dog')
  assert f"the caption of 'x/a.png' {problem}" in str(caught.value)
