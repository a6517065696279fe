"""Folders at URLs: what is fetched, when again, and what is refused.

They lie in fsspec's `memory://`, which is read like a bucket.
"""

import logging
import shutil
import sys

import fsspec
import numpy as np
import pytest

from dbflax import errors, pretrained
from dbflax.data import images, remote, subjects
from dbflax.weights import files

URL = 'memory://bucket/rex'


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  """A bucket, and a home of its own."""
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  system = fsspec.filesystem('memory')
  yield system
  system.rm('/bucket', recursive=True)


@pytest.fixture
def photos(bucket, tmp_path):
  """Photos a.png and b.png, with a caption and boxes, here and at URL."""
  folder = tmp_path / 'photos'
  for name in 'ab':
    generator = np.random.default_rng(ord(name))
    pixels = generator.integers(0, 256, (48, 64, 3), np.uint8)
    images.save_png(folder / f'{name}.png', pixels)
  (folder / 'a.txt').write_text('a {subject}')
  (folder / 'boxes.json').write_text(
    '{"a.png": [0, 0, 40, 40], "b.png": [9, 9, 48, 48]}'
  )
  bucket.put(str(folder), '/bucket/rex', recursive=True)
  return folder


def read(source):
  return subjects.read(str(source), 64, 'box', with_captions=True)


def fetched(caplog):
  """Names of the files that were fetched since this was last asked."""
  names = [r.args[0] for r in caplog.records if r.msg.startswith('fetching')]
  caplog.clear()
  return names


@pytest.fixture(autouse=True)
def logged(caplog):
  caplog.set_level(logging.INFO, 'dbflax')


def test_photos_at_a_url_equal_those_here(photos):
  for here, there in zip(read(photos), read(URL), strict=True):
    np.testing.assert_array_equal(here.image, there.image)
    assert (here.caption, here.box) == (there.caption, there.box)
    assert there.name.endswith(f'/rex/{here.name[-5:]}')


def test_only_what_is_read_is_fetched_and_only_once(photos, bucket, caplog):
  bucket.pipe('/bucket/rex/film.mp4', b'x' * 1000)
  bucket.pipe('/bucket/rex/more/c.png', b'not in that folder itself')
  read(URL)
  assert fetched(caplog) == ['a.png', 'a.txt', 'b.png', 'boxes.json']
  read(URL + '/')
  assert fetched(caplog) == []


def test_what_changed_is_fetched_again_and_what_is_gone_goes(
  photos, bucket, caplog
):
  first = read(URL)
  fetched(caplog)
  bucket.pipe('/bucket/rex/a.txt', b'a wet {subject}')
  bucket.pipe('/bucket/rex/a.png', (photos / 'b.png').read_bytes())
  assert read(URL)[0].caption == 'a wet {subject}'
  assert fetched(caplog) == ['a.png', 'a.txt']
  np.testing.assert_array_equal(read(URL)[0].image, first[1].image)
  bucket.rm('/bucket/rex/a.txt')
  assert read(URL)[0].caption == ''


def test_a_copy_that_is_damaged_by_hand_is_fetched_again(photos, caplog):
  [folder] = {remote.fetch(URL, lambda name: True) for _ in range(2)}
  (folder / 'b.png').unlink()
  fetched(caplog)
  read(URL)
  assert fetched(caplog) == ['b.png']


def test_a_fetch_that_fails_leaves_no_half_file(photos, bucket, monkeypatch):
  def fail(path, target, **_):
    with open(target, 'wb') as file:
      file.write(b'half')
    raise ConnectionError('gone')

  with monkeypatch.context() as patch:
    patch.setattr(type(bucket), 'get_file', lambda self, *a, **k: fail(*a, **k))
    with pytest.raises(errors.UserError, match='cannot read.*gone'):
      read(URL)
  assert len(read(URL)) == 2


def test_names_that_lead_out_of_the_copy_are_passed_over(photos, bucket):
  bucket.store['/bucket/rex/../../evil.png'] = bucket.store['/bucket/rex/a.png']
  try:
    folder = remote.fetch(URL, lambda name: True)
  finally:
    del bucket.store['/bucket/rex/../../evil.png']
  home = folder.parents[4]
  assert not list(home.rglob('evil.png'))


@pytest.mark.parametrize(
  ('url', 'message'),
  [
    ('memory://bucket/nowhere', "no files at 'memory://bucket/nowhere'"),
    ('nosuch://bucket/rex', "cannot read 'nosuch://bucket/rex': Protocol"),
    ('gs://bucket/rex', r"pip install '\.\[gcs\]'"),
    ('gs://', "'gs://' names no bucket"),
  ],
)
def test_what_cannot_be_had_is_one_line(photos, monkeypatch, url, message):
  monkeypatch.setitem(sys.modules, 'gcsfs', None)  # As if not installed.
  with pytest.raises(errors.UserError, match=message) as caught:
    read(url)
  assert '\n' not in str(caught.value)


def test_a_cascade_at_a_url_is_that_here(bucket, tmp_path, caplog):
  tiny = pretrained.ASSETS / 'tiny'
  bucket.put(str(tiny), '/bucket/tiny', recursive=True)
  here = pretrained.load(tiny, ('stage_1',))
  there = pretrained.load('memory://bucket/tiny', ('stage_1',))
  names = fetched(caplog)
  assert any(name.startswith('stage_1/unet/') for name in names)
  assert not any(name.startswith('stage_2') for name in names)
  for part in ('text_encoder', 'stage_1'):
    one, other = (pretrained.sources(m, part) for m in (here, there))
    assert one.keys() == other.keys()
    for name in one:
      assert one[name].read_bytes() == other[name].read_bytes()


def test_for_a_plan_no_weights_are_fetched(bucket, caplog):
  bucket.put(str(pretrained.ASSETS / 'tiny'), '/bucket/tiny', recursive=True)
  wanted = files.Format(weights=False)
  pretrained.load('memory://bucket/tiny', ('stage_1',), wanted=wanted)
  assert not any('safetensors' in name for name in fetched(caplog))


def test_a_url_without_photos_is_said_as_a_folder_without_them(bucket):
  bucket.pipe('/bucket/rex/readme.md', b'none')
  with pytest.raises(errors.UserError, match="no photo in '.*/rex'"):
    read(URL)


def test_copies_of_two_folders_do_not_mix(photos, bucket):
  bucket.copy('/bucket/rex/a.png', '/bucket/other/rex/c.png')
  shown = [photo.name[-5:] for photo in read(URL)]
  others = subjects.read('memory://bucket/other/rex', 64)
  assert shown == ['a.png', 'b.png']
  assert [photo.name[-5:] for photo in others] == ['c.png']
  shutil.rmtree(photos)
