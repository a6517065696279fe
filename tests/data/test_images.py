import io
import os

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from dbflax import errors
from dbflax.data import images


def gradient(height=40, width=30):
  """uint8 [height, width, 3] with no symmetry."""
  y, x = np.mgrid[:height, :width]
  return np.stack([y * 5, x * 7, (x + y) * 3], -1).astype(np.uint8)


def test_rgb_png_is_read_exactly(tmp_path):
  images.save_png(tmp_path / 'a.png', gradient())
  np.testing.assert_array_equal(images.load(tmp_path / 'a.png'), gradient())
  assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_exif_rotation_is_applied(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6  # "Rotate 90 clockwise to show."
  Image.fromarray(gradient()).save(tmp_path / 'a.png', exif=exif)
  np.testing.assert_array_equal(
    images.load(tmp_path / 'a.png'), np.rot90(gradient(), k=-1)
  )


@pytest.mark.parametrize('mode', ['L', '1', 'P', 'CMYK', 'LA', 'RGBA', 'YCbCr'])
def test_every_mode_reads_as_what_it_shows(tmp_path, mode):
  image = Image.fromarray(gradient()).convert('RGB').convert(mode)
  suffix = 'tif' if mode in ('CMYK', 'YCbCr') else 'png'
  image.save(tmp_path / f'a.{suffix}')
  loaded = images.load(tmp_path / f'a.{suffix}')
  assert loaded.dtype == np.uint8
  np.testing.assert_allclose(
    loaded.astype(int), np.asarray(image.convert('RGB'), int), atol=2
  )


_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
# Red and green have changed places.
_SWAPPED = _SRGB.replace(b'rXYZ', b'_XYZ').replace(b'gXYZ', b'rXYZ')
_SWAPPED = _SWAPPED.replace(b'_XYZ', b'gXYZ')


def with_profile(path, image, profile):
  """What is loaded of an image that is written with a profile."""
  image.save(path, icc_profile=profile)
  assert Image.open(path).info['icc_profile'] == profile
  return images.load(path)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P', 'PA'])
def test_colours_are_those_that_the_profile_says(tmp_path, mode):
  image = Image.fromarray(gradient())
  if mode.endswith('A'):
    image.putalpha(Image.linear_gradient('L').resize(image.size))
  image = image.quantize() if mode.startswith('P') else image
  image.save(tmp_path / 'plain.png')
  plain = images.load(tmp_path / 'plain.png')
  shown = with_profile(tmp_path / 'a.png', image, _SWAPPED)
  assert np.abs(plain[..., 0].astype(int) - plain[..., 1]).max() > 50
  np.testing.assert_allclose(shown.astype(int), plain[..., [1, 0, 2]], atol=1)


@pytest.mark.parametrize(
  ('mode', 'profile'),
  [
    *((mode, _SRGB) for mode in ('RGB', 'RGBA', 'P', 'L', 'LA', 'CMYK')),
    # Broken, and of another mode.
    *(('RGB', broken) for broken in (b'none', _SWAPPED[:400])),
    *((mode, _SWAPPED) for mode in ('L', 'CMYK')),
    ('RGB', _SWAPPED.replace(b'RGB ', b'GRAY', 1)),
  ],
)
def test_a_profile_of_srgb_or_of_nothing_changes_no_level(
  tmp_path, mode, profile
):
  image = Image.fromarray(gradient()).convert(mode)
  image.save(tmp_path / 'plain.tif')
  np.testing.assert_array_equal(
    with_profile(tmp_path / 'a.tif', image, profile),
    images.load(tmp_path / 'plain.tif'),
  )


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path):
  grey = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
  Image.fromarray(grey).save(tmp_path / 'a.png')
  loaded = images.load(tmp_path / 'a.png')
  np.testing.assert_array_equal(
    loaded[..., 0].ravel(), np.arange(256, dtype=np.uint8)
  )
  assert (loaded == loaded[..., :1]).all()


@pytest.mark.parametrize(
  ('pixel', 'dtype', 'said'),
  [
    (0.5, np.float32, 'floats'),
    (2**31 - 1, np.int32, 'numbers outside'),
    (-1, np.int32, 'numbers outside'),
  ],
)
def test_pixels_without_a_known_white_are_refused(tmp_path, pixel, dtype, said):
  image = Image.fromarray(np.full((4, 4), pixel, dtype))
  image.save(tmp_path / 'a.tif')
  with pytest.raises(errors.UserError, match=rf"a\.tif' has {said}.*16-bit"):
    images.load(tmp_path / 'a.tif')


def test_32_bit_integers_may_hold_16_bits(tmp_path):
  image = Image.fromarray(np.array([[0, 257, 65535]], np.int32))
  image.save(tmp_path / 'a.tif')
  assert images.load(tmp_path / 'a.tif')[0, :, 0].tolist() == [0, 1, 255]


def test_transparency_lies_over_white(tmp_path):
  image = np.zeros((2, 1, 4), np.uint8)
  image[1, 0] = (10, 20, 30, 255)
  Image.fromarray(image).save(tmp_path / 'a.png')
  np.testing.assert_array_equal(
    images.load(tmp_path / 'a.png'), [[[255] * 3], [[10, 20, 30]]]
  )


def damaged_files():
  buffer = io.BytesIO()
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  Image.fromarray(noise).save(buffer, format='JPEG')
  whole = buffer.getvalue()
  png = io.BytesIO()
  Image.fromarray(noise).save(png, format='PNG')
  return {
    'truncated.jpg': whole[: len(whole) // 2],
    'truncated.png': png.getvalue()[: len(png.getvalue()) // 2],
    'text.png': b'no image at all',
    'empty.jpg': b'',
    'photo.heic': b'\x00\x00\x00\x18ftypheic',
  }


@pytest.mark.parametrize('name', damaged_files())
def test_a_damaged_file_is_named_in_one_line(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(damaged_files()[name])
  with pytest.raises(errors.UserError, match=name) as caught:
    images.load(path)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
  make(tmp_path / 'a.png')
  with pytest.raises(errors.UserError, match=r"a\.png' is a (folder|pipe)"):
    images.load(tmp_path / 'a.png')


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
  images.save_png(tmp_path / 'a.png', gradient())
  monkeypatch.setattr(images, 'MAX_PIXELS', 40 * 30 - 1)
  monkeypatch.setattr(images, '_to_rgb', lambda _: pytest.fail('decoded'))
  with pytest.raises(errors.UserError, match='30 x 40 pixels'):
    images.load(tmp_path / 'a.png')


def test_centre_crop_and_padding():
  image = gradient(40, 30)
  np.testing.assert_array_equal(images.square(image), image[5:35])
  padded = images.square(image, 'pad')
  assert padded.shape == (40, 40, 3)
  np.testing.assert_array_equal(padded[:, 5:35], image)
  np.testing.assert_array_equal(padded[:, 0], image[:, 0])


def test_resize_keeps_colour_and_removes_what_it_cannot_show():
  flat = np.full((64, 64, 3), (200, 100, 50), np.uint8)
  for resolution in (16, 64, 100):
    scaled = images.resize(flat, resolution)
    assert scaled.shape == (resolution, resolution, 3)
    assert (scaled == flat[0, 0]).all()
  # A one-pixel checkerboard averages to grey instead of aliasing.
  board = np.indices((64, 64)).sum(0) % 2 * 255
  board = np.repeat(board[..., None], 3, -1).astype(np.uint8)
  inner = images.resize(board, 16)[2:-2, 2:-2].astype(int)
  assert np.abs(inner - 128).max() < 12


def test_float_round_trip_is_exact():
  levels = np.arange(256, dtype=np.uint8)
  scaled = images.to_float(levels)
  assert scaled.dtype == np.float32
  assert scaled.min() == -1
  assert scaled.max() == 1
  np.testing.assert_array_equal(images.to_uint8(scaled), levels)
  np.testing.assert_array_equal(images.to_uint8([-9.0, 9.0]), [0, 255])


def test_grid_places_every_image():
  sheet = images.grid(np.stack([gradient(4, 3)] * 3), columns=2, gap=1)
  assert sheet.shape == (9, 7, 3)
  np.testing.assert_array_equal(sheet[:4, 4:], gradient(4, 3))
  np.testing.assert_array_equal(sheet[5:, :3], gradient(4, 3))
  assert (sheet[5:, 3:] == 255).all()


def test_photos_are_listed_in_order_and_other_files_are_left(tmp_path):
  for name in ('b.JPG', 'a.png', '.hidden.png', 'notes.txt'):
    (tmp_path / name).touch()
  assert [path.name for path in images.list_photos(tmp_path)] == [
    'a.png',
    'b.JPG',
  ]


def test_a_wrong_photo_folder_is_named(tmp_path):
  file = tmp_path / 'a.txt'
  file.touch()
  for path, message in (
    (tmp_path / 'none', 'no photo folder'),
    (file, 'is a file'),
    (tmp_path, 'no photo in'),
  ):
    with pytest.raises(errors.UserError, match=message) as caught:
      images.list_photos(path)
    assert str(path) in str(caught.value)


def test_no_program_is_started_for_a_file_that_asks_for_one(
  tmp_path, monkeypatch
):
  """PostScript under the name of a photo; Pillow would have it interpreted."""
  started = []
  monkeypatch.setattr(
    EpsImagePlugin, 'Ghostscript', lambda *given: started.append(given)
  )
  path = tmp_path / 'photo.png'
  content = '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n'
  path.write_text(content + '(%pipe%touch harm) (w) file\n%%EOF\n')
  with pytest.raises(errors.UserError, match='not an image of a kind'):
    images.load(path)
  assert not started
