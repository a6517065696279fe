"""subject.crop=face: the square of a photo that shows head and shoulders."""

import importlib.util
import sys
import types

import numpy as np
import pytest
from PIL import Image

from dbflax import errors
from dbflax.data import faces, images, subjects


def is_there(package: str) -> bool:
  return importlib.util.find_spec(package) is not None


needs_faces = pytest.mark.skipif(
  not (is_there('cv2') and is_there('skimage')),
  reason="needs OpenCV, pip install '.[faces]', and photos of people, "
  'pip install scikit-image',
)


def middle(box: images.Box) -> tuple[float, float]:
  left, top, right, bottom = box
  return (left + right) / 2, (top + bottom) / 2


@needs_faces
def test_a_face_at_a_border_is_kept_with_its_shoulders(tmp_path):
  from skimage import data

  # Her face, by eye, is from (170, 55) to (275, 185) of 512 x 512 pixels.
  wide = data.astronaut()[:300, 100:512]
  images.save_png(tmp_path / 'wide.png', wide)
  (photo,) = subjects.read(str(tmp_path), 64, 'face')
  place = images.kept(*wide.shape[:2], 'face', photo.box)
  assert place.left < 50 and 190 < place.left + place.side < 300
  assert place.top < 30 and 200 < place.top + place.side < 300
  kept = images.square(wide, 'face', photo.box)
  assert kept.shape == (place.side, place.side, 3)
  np.testing.assert_array_equal(
    kept, wide[place.top :, place.left :][: place.side, : place.side]
  )


@needs_faces
@pytest.mark.parametrize('is_turned', [False, True])
def test_a_profile_is_found_whichever_way_it_looks(is_turned):
  from skimage import data

  grey = data.camera()[:, ::-1] if is_turned else data.camera()
  box = faces.square(np.repeat(grey[..., None], 3, -1), 'man.png')
  # His head, by eye, is in the middle of 512 pixels' left half.
  x, y = middle(box)
  assert abs((512 - x if is_turned else x) - 215) < 40 and abs(y - 135) < 40


@needs_faces
def test_a_face_is_found_at_every_size():
  """The numbers of dbflax/data/faces.py."""
  from skimage import data

  rng = np.random.default_rng(0)
  behind = data.coffee(), data.chelsea(), data.rocket()
  found = 0
  # The first hundred are faces, as grey squares.
  for index, face in enumerate(data.lfw_subset()[:100]):
    photo = behind[index % 3].copy()
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.25, 0.6))
    left, top = rng.integers(0, width - side), rng.integers(0, height - side)
    grey = Image.fromarray((face * 255).astype(np.uint8)).resize((side, side))
    photo[top : top + side, left : left + side] = np.asarray(grey)[..., None]
    try:
      x, y = middle(faces.square(photo, str(index)))
    except errors.UserError:
      continue
    assert abs(x - left - side / 2) < side / 4
    assert abs(y - top - side / 2) < side / 4
    found += 1
  print(f'{found} of 100 faces are found')
  assert found > 95


@needs_faces
def test_of_two_faces_the_larger_one_is_kept():
  from skimage import data

  large = data.astronaut()[:256, 100:356]
  small = np.asarray(Image.fromarray(large).resize((128, 128)))
  photo = np.zeros((256, 600, 3), np.uint8)
  photo[:, 344:], photo[64:192, :128] = large, small
  assert middle(faces.square(photo, 'two.png'))[0] > 344


@needs_faces
def test_a_photo_without_a_face_is_named(tmp_path):
  images.save_png(tmp_path / 'wall.png', np.full((64, 64, 3), 90, np.uint8))
  with pytest.raises(errors.UserError, match=r"no face in '.*wall\.png'"):
    subjects.load(str(tmp_path), (64,), 'face')


@pytest.mark.parametrize('version', [None, '5'])
def test_without_opencv_4_the_extra_is_named(monkeypatch, tmp_path, version):
  module = version and types.SimpleNamespace(__file__=tmp_path / 'cv2.py')
  monkeypatch.setitem(sys.modules, 'cv2', module)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[faces\]'"):
    faces.square(np.zeros((64, 64, 3), np.uint8), 'a.png')
