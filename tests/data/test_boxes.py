"""boxes.json: where the subject is in a photo, and the square around it."""

import json
import os

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import boxes, framing, images, subjects


@pytest.fixture
def folder(tmp_path):
  """A wide and a tall photo whose pixels say where they are: (y, x, 0)."""
  for name, (height, width) in {'wide': (100, 200), 'tall': (200, 100)}.items():
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
    images.save_png(tmp_path / f'{name}.png', pixels)
  return tmp_path


def write(folder, tall=(10, 20, 90, 60), **more):
  found = {'wide.png': [120, 30, 180, 70], 'tall.png': list(tall), **more}
  (folder / boxes.NAME).write_text(json.dumps(found))


def refusal(folder):
  with pytest.raises(errors.UserError) as caught:
    subjects.load(str(folder), (80,), 'box')
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_the_square_around_the_box_is_what_is_seen(folder):
  write(folder)
  tall, wide = subjects.read(str(folder), 64, 'box')
  assert (tall.box, wide.box) == ((10, 20, 90, 60), (120, 30, 180, 70))
  # 80 wide and 40 high around y = 40; 60 and 40 around x = 150, y = 50.
  for photo, corner, side in ((tall, (0, 10), 80), (wide, (20, 120), 60)):
    square = images.square(photo.image, 'box', photo.box)
    assert square.shape == (side, side, 3)
    np.testing.assert_array_equal(square[0, 0, :2], corner)
    np.testing.assert_array_equal(square[-1, -1, :2], np.add(corner, side - 1))
  seen = subjects.load(str(folder), (80,), 'box')[80]
  np.testing.assert_array_equal(
    images.to_uint8(seen[0]), images.square(tall.image, 'box', tall.box)
  )


@pytest.mark.parametrize(
  ('box', 'square'),
  [
    # In the middle, at a border, in a corner, all of it.
    ((40, 50, 60, 80), (50, 35, 30)),
    ((80, 50, 100, 90), (50, 60, 40)),
    ((0, 0, 50, 20), (0, 0, 50)),
    ((0, 0, 100, 100), (0, 0, 100)),
    # Longer than the photo is wide: it reaches over the borders.
    ((20, 30, 80, 170), (30, -20, 140)),
  ],
)
def test_the_square_holds_the_box_and_stays_inside_if_it_can(box, square):
  kept = images.kept(200, 100, 'box', box)
  assert kept == square
  left, top, right, bottom = box
  assert kept.top <= top and bottom <= kept.top + kept.side
  assert kept.left <= left and right <= kept.left + kept.side


def test_beyond_the_borders_border_pixels_are_repeated(folder):
  tall = images.load(folder / 'tall.png')
  seen = images.square(tall, 'box', (20, 30, 80, 170))
  assert seen.shape == (140, 140, 3)
  np.testing.assert_array_equal(seen[:, 20:120], tall[30:170])
  assert (seen[:, :20, 1] == 0).all() and (seen[:, 120:, 1] == 99).all()


def test_every_photo_needs_a_box_and_every_box_a_photo(folder):
  assert "needs a file '" in refusal(folder)
  write(folder, gone=[0, 0, 50, 50])
  assert "a box for 'gone', which is no photo" in refusal(folder)
  (folder / boxes.NAME).write_text('{"wide.png": [0, 0, 50, 50]}')
  assert "no box for 'tall.png'" in refusal(folder)


@pytest.mark.parametrize(
  'box',
  [[1, 2, 3], [0, 0, 50.5, 50], [0, 0, '50', 50], [0, 0, True, 50], None, {}],
)
def test_a_box_that_is_none_is_named(folder, box):
  write(folder, **{'tall.png': box})
  line = refusal(folder)
  assert f"{json.dumps(box)} is no box for 'tall.png'" in line


@pytest.mark.parametrize(
  'box', [[-1, 0, 50, 50], [0, 0, 101, 50], [50, 50, 40, 90], [9, 60, 50, 60]]
)
def test_a_box_outside_of_its_photo_is_refused(folder, box):
  write(folder, tall=box)
  assert f'the box {box} of' in refusal(folder)
  assert 'does not lie in its 100 x 200 pixels' in refusal(folder)


def test_a_box_of_a_few_pixels_is_refused(folder):
  write(folder, tall=[0, 0, 31, 20])
  assert 'is 31 x 20 pixels large; a side needs at least 32' in refusal(folder)


@pytest.mark.parametrize(
  'content', [b'', b'{', b'[' * 100_000, b'\xff', b'[]', b'{"a": ' * 300_000]
)
def test_a_file_that_is_no_json_object_is_refused(folder, content):
  (folder / boxes.NAME).write_bytes(content)
  assert f"'{folder / boxes.NAME}'" in refusal(folder)


def test_a_pipe_is_refused_at_once(folder):
  os.mkfifo(folder / boxes.NAME)
  assert f"'{folder / boxes.NAME}' is a pipe" in refusal(folder)


@pytest.mark.parametrize('source', ['toybox:dog', 'toybox:cat/3', 'tfds:a:b'])
def test_other_sources_have_no_boxes(source):
  assert f"and '{source}' is none" in refusal(source)


def test_what_is_kept_is_outlined_and_the_rest_is_dimmed():
  white = np.full((1000, 2000, 3), 255, np.uint8)
  drawn = framing.draw(white, images.Square(200, 800, 600))
  assert drawn.shape == (256, 512, 3)
  scale = 512 / 2000
  inside, outside = (int(n * scale) for n in (500, 100))
  assert (drawn[inside, int(1100 * scale)] == 255).all()
  assert (drawn[outside, outside] < 200).all()
  edge = np.all(drawn == framing._LINE, axis=-1)
  top, left = np.argwhere(edge).min(0)
  bottom, right = np.argwhere(edge).max(0)
  want = (200 * scale, 800 * scale, 800 * scale, 1400 * scale)
  np.testing.assert_allclose((top, left, bottom, right), want, atol=1.5)


def test_photos_that_are_kept_whole_are_not_drawn(folder):
  wide = subjects.Photo(images.load(folder / 'wide.png'), 'wide')
  whole = subjects.Photo(wide.image[:, :100], 'square')
  assert subjects.framed([whole], 'centre') == []
  assert subjects.framed([whole], 'pad') == []
  assert [a.shape for a in subjects.framed([wide, whole], 'centre')] == [
    (100, 200, 3),
    (100, 100, 3),
  ]
  assert subjects.framed([wide], 'pad')[0].shape == (200, 200, 3)
