import struct
import zlib

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import images
from dbflax.serve import uploads

LIMITS = uploads.Limits(count=3, megabytes=0.1)


def png(path, side=40, seed=0):
  pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3))
  images.save_png(path, pixels.astype(np.uint8))
  return path


def bomb(path):
  """A few bytes that say they are 10,000 x 10,000 pixels."""
  header = struct.pack('>IIBBBBB', 10_000, 10_000, 8, 2, 0, 0, 0)
  chunk = lambda kind, data: (
    struct.pack('>I', len(data))
    + kind
    + data
    + struct.pack('>I', zlib.crc32(kind + data))
  )
  path.write_bytes(
    b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', b'')
  )
  return path


def test_good_photos_are_kept_as_they_are(tmp_path):
  files = [png(tmp_path / f'{n}.png', seed=n) for n in range(2)]
  folder = tmp_path / 'kept'
  assert uploads.add(folder, [(f, f.name) for f in files], LIMITS) == []
  kept = uploads.photos(folder)
  assert [f.read_bytes() for f in kept] == [f.read_bytes() for f in files]
  uploads.add(folder, [(files[0], 'c.png')], LIMITS)
  assert [f.name for f in uploads.photos(folder)] == [
    *('000.png', '001.png', '002.png'),
  ]
  assert len(uploads.thumbnails(str(folder), 'centre')) == 3
  uploads.clear(folder)
  assert uploads.photos(folder) == []


@pytest.mark.parametrize('name', ['.DS_Store', '.000.png.7.partial'])
def test_what_is_no_photo_does_not_count(tmp_path, name):
  folder = tmp_path / 'kept'
  folder.mkdir()
  (folder / name).write_bytes(b'x')
  assert uploads.photos(folder) == []
  file = png(tmp_path / 'a.png')
  assert uploads.add(folder, [(file, 'a.png')], LIMITS) == []
  assert [f.name for f in uploads.photos(folder)] == ['000.png']
  uploads.clear(folder)
  assert not list(folder.iterdir())


def test_photos_may_lie_there_under_other_names(tmp_path):
  file = png(tmp_path / 'dog.png')
  uploads.add(tmp_path, [(file, 'a.png'), (file, 'b.png')], LIMITS)
  names = [f.name for f in uploads.photos(tmp_path)]
  assert names == ['000.png', '001.png', 'dog.png']


def test_a_name_leads_nowhere(tmp_path):
  path = png(tmp_path / 'a.png')
  uploads.add(tmp_path / 'kept', [(path, '../../../evil.png')], LIMITS)
  assert [f.name for f in (tmp_path / 'kept').iterdir()] == ['000.png']
  assert not list(tmp_path.parent.glob('evil*'))


def bad(tmp_path):
  """What is refused: (file, its name, what is said)."""
  text = tmp_path / 'text.png'
  text.write_text('<script>')
  cut = tmp_path / 'cut.png'
  cut.write_bytes(png(tmp_path / 'whole.png').read_bytes()[:300])
  return {
    'pixels': (
      bomb(tmp_path / 'b.png'),
      'b.png',
      'more than the 80 million allowed',
    ),
    'bytes': (
      png(tmp_path / 'l.png', 300),
      'l.png',
      'MB, more than the 0.1 allowed',
    ),
    'size': (png(tmp_path / 's.png', 8), 's.png', '8 x 8 pixels'),
    'content': (text, 'text.png', 'not an image'),
    'cut': (cut, 'cut.png', "cannot read 'cut.png'"),
    'ending': (png(tmp_path / 'p.png'), 'p.py', 'no photo by its name'),
  }


@pytest.mark.parametrize(
  'case', ['pixels', 'bytes', 'size', 'content', 'cut', 'ending']
)
def test_a_bad_photo_is_one_line_and_the_others_are_kept(tmp_path, case):
  path, name, message = bad(tmp_path)[case]
  good = png(tmp_path / 'good.png')
  folder = tmp_path / 'kept'
  [said] = uploads.add(folder, [(path, name), (good, 'good.png')], LIMITS)
  assert f"'{name}'" in said and message in said and '\n' not in said
  assert len(uploads.photos(folder)) == 1


def test_too_many_are_refused_and_none_is_taken(tmp_path):
  path = png(tmp_path / 'a.png')
  with pytest.raises(errors.UserError, match='4 photos are more than the 3'):
    uploads.add(tmp_path / 'kept', [(path, 'a.png')] * 4, LIMITS)
  assert uploads.photos(tmp_path / 'kept') == []
