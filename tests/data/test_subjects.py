import numpy as np
import pytest

from dbflax import errors
from dbflax.data import images, photo_folder, subjects


@pytest.fixture
def photos(tmp_path):
  """A folder of three noise photos, none of them square."""
  folder = tmp_path / 'photos'
  generator = np.random.default_rng(0)
  for index, shape in enumerate([(80, 60), (60, 90), (60, 70)]):
    image = generator.integers(0, 256, (*shape, 3), np.uint8)
    images.save_png(folder / f'{index}.png', image)
  return folder


def test_every_resolution_shows_the_same_photos(photos):
  loaded = subjects.load(str(photos), (16, 60))
  assert {size: array.shape for size, array in loaded.items()} == {
    16: (3, 16, 16, 3),
    60: (3, 60, 60, 3),
  }
  for low, high in zip(loaded[16], loaded[60], strict=True):
    assert low.dtype == high.dtype == np.float32
    assert np.abs(low).max() <= 1
    shrunk = images.resize(images.to_uint8(high), 16)
    np.testing.assert_array_equal(images.to_uint8(low), shrunk)


def test_a_tfds_data_set_equals_the_folder_it_was_made_of(photos, tmp_path):
  source = photo_folder.prepare(photos, tmp_path / 'tfds')
  from_folder = subjects.load(str(photos), (32,))[32]
  from_tfds = subjects.load(source, (32,))[32]
  np.testing.assert_array_equal(from_folder, from_tfds)


def test_a_data_set_is_of_the_folder_that_was_named_last(photos, tmp_path):
  photo_folder.prepare(photos, tmp_path / 'tfds')
  images.save_png(tmp_path / 'others/0.png', np.zeros((40, 40, 3), np.uint8))
  source = photo_folder.prepare(tmp_path / 'others', tmp_path / 'tfds')
  assert (subjects.load(source, (32,))[32] == -1).all()


def test_all_photos_that_cannot_be_taken_are_named(photos):
  (photos / '0.png').write_bytes(b'no picture')
  with pytest.raises(errors.UserError, match=r"read '.*/0.png'.*remove it$"):
    subjects.load(str(photos), (32,))
  (photos / '1.jpg').write_bytes(b'no picture either')
  images.save_png(photos / '2.png', np.zeros((9, 9, 3), np.uint8))
  with pytest.raises(
    errors.UserError,
    match=r"0.png'.*remove it. Nor can be taken: '1.jpg', '2.png'$",
  ):
    subjects.load(str(photos), (32,))


@pytest.mark.parametrize('crop', ['centre', 'pad'])
def test_square_photos_are_never_distorted(tmp_path, crop):
  # A square drawn on a wide photo stays a square, whichever way it is cut.
  image = np.zeros((60, 120, 3), np.uint8)
  image[20:40, 50:70] = 255
  images.save_png(tmp_path / 'a.png', image)
  loaded = subjects.load(str(tmp_path), (60,), crop)[60][0, ..., 0] > 0
  height, width = loaded.any(1).sum(), loaded.any(0).sum()
  assert height == width > 5


def test_a_long_photo_is_not_padded_beyond_what_memory_holds(
  photos, monkeypatch
):
  monkeypatch.setattr(images, 'MAX_PIXELS', 80 * 80)
  subjects.load(str(photos), (32,))
  with pytest.raises(
    errors.UserError, match=r"1\.png' .* crop='pad' makes 90 x 90"
  ):
    subjects.load(str(photos), (32,), 'pad')


@pytest.mark.parametrize('shape', [(1, 1), (31, 400)])
def test_a_tiny_photo_is_refused(tmp_path, shape):
  images.save_png(tmp_path / 'dot.png', np.zeros((*shape, 3), np.uint8))
  with pytest.raises(errors.UserError, match=r'dot.png.* x .*at least 32'):
    subjects.load(str(tmp_path), (64,))


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    ('tfds:nowhere', 'must look like'),
    ('tfds:no_such_set:train', "cannot read 'tfds:no_such_set:train'"),
    ('toybox:unicorn', "no embedded subject 'toybox:unicorn'.*toybox:cat/3"),
    ('toybox:unicorn/3', "no class 'unicorn'"),
  ],
)
def test_an_unknown_source_is_named_in_one_line(source, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    subjects.load(source, (64,))
  assert '\n' not in str(caught.value)


def test_an_unknown_split_is_named(photos, tmp_path):
  source = photo_folder.prepare(photos, tmp_path / 'tfds')
  with pytest.raises(errors.UserError, match='cannot read.*tset'):
    subjects.load(source.replace(':train', ':tset'), (64,))


def test_a_drawn_subject_is_drawn_the_same_each_time():
  first, again = (subjects.load('toybox:dog/5', (64,))[64] for _ in range(2))
  np.testing.assert_array_equal(first, again)
  # The embedded dog is this one, stored in fewer colours and a larger size.
  stored = subjects.load('toybox:dog', (64,))[64]
  assert first.shape == stored.shape == (5, 64, 64, 3)
  distance = np.abs(first[:, None] - stored).mean((2, 3, 4))
  np.testing.assert_array_equal(distance.argmin(1), np.arange(5))
