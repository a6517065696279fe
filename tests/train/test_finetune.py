"""Batches of photos, and the first state, without a network."""

import dataclasses

import numpy as np

from dbflax.train import finetune

SIDE, LOW = 16, 4


def _examples(with_low=True):
  """Images whose pixels say where they are: channels (n, y, x)."""
  n, y, x = np.meshgrid(
    np.arange(5), np.arange(SIDE), np.arange(SIDE), indexing='ij'
  )
  image = np.stack([n, y, x], axis=-1).astype(np.float32)
  low = image[:, :: SIDE // LOW, :: SIDE // LOW]
  text = np.ones((3, 2), np.float32)
  return finetune.Examples(image, text, low if with_low else None)


def _draw(number=0, seed=0, **options):
  options = {'size': 4, 'crop': 0, 'flip': False, **options}
  examples = _examples(options.pop('with_low', True))
  return finetune.batch(
    examples, 'stage_2/instance', seed=seed, number=number, **options
  )


def test_a_crop_is_cut_at_its_corner_of_the_image_beside_its_low_image():
  for number in range(5):
    batch = _draw(number, crop=6)
    assert batch.image.shape == (4, 6, 6, 3)
    np.testing.assert_array_equal(batch.image[:, 0, 0, 1:], batch.corner)
    np.testing.assert_array_equal(batch.image[:, -1, -1, 1:], batch.corner + 5)
    # The lower image is whole, and of the same photo.
    assert batch.low.shape == (4, LOW, LOW, 3)
    np.testing.assert_array_equal(
      batch.low[:, 0, 0, 0], batch.image[:, 0, 0, 0]
    )


def test_an_image_keeps_its_own_prompt():
  examples = _examples()
  text = np.arange(2 * 3 * 2).reshape(2, 3, 2).astype(np.float32)
  says = np.array([0, 1, 1, 0, 1])
  mixed = dataclasses.replace(examples, text=text, says=says)
  for number in range(5):
    drawn = finetune.batch(mixed, 'a', seed=0, number=number, size=4, crop=6)
    photo = drawn.image[:, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(drawn.text, text[says[photo]])
    # Prompts change nothing else of a batch.
    same = finetune.batch(examples, 'a', seed=0, number=number, size=4, crop=6)
    np.testing.assert_array_equal(drawn.image, same.image)
    np.testing.assert_array_equal(drawn.low, same.low)


def test_no_crop_is_the_whole_image():
  batch = _draw()
  assert batch.image.shape == (4, SIDE, SIDE, 3)
  assert (batch.corner == 0).all()


def test_crops_reach_every_border():
  corners = np.concatenate([_draw(n, crop=14).corner for n in range(40)])
  assert {tuple(c) for c in corners} == {
    (y, x) for y in range(3) for x in range(3)
  }


def test_image_and_low_image_are_mirrored_together():
  turned = 0
  for number in range(8):
    batch = _draw(number, flip=True)
    for image, low in zip(batch.image, batch.low, strict=True):
      mirrored = image[0, 0, 2] > image[0, -1, 2]
      assert mirrored == (low[0, 0, 2] > low[0, -1, 2])
      turned += mirrored
  assert 0 < turned < 32


def test_a_batch_is_a_function_of_seed_and_step():
  same = [_draw(3, crop=6) for _ in range(2)]
  np.testing.assert_array_equal(same[0].image, same[1].image)
  assert not np.array_equal(same[0].corner, _draw(4, crop=6).corner)
  assert not np.array_equal(same[0].corner, _draw(3, seed=1, crop=6).corner)


def test_every_photo_is_seen_once_an_epoch():
  seen = [int(_draw(n, size=1).image[0, 0, 0, 0]) for n in range(10)]
  assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5))


def test_the_base_stage_has_no_low_image():
  batch = _draw(with_low=False)
  assert batch.low is None and batch.corner is None
  assert batch.text.shape == (4, 3, 2)
