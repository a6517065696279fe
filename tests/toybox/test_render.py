"""Pictures: resolutions agree, windows are crops, parameters show."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax.toybox import render, styles
from dbflax.toybox import scene as scene_lib

LEVEL = 127.5  # a difference in [-1, 1] to a difference in 0 … 255


@functools.cache
def _drawer(resolution):
  return jax.jit(lambda scene: render.render(scene, resolution))


def _draw(scene, resolution=64):
  return np.asarray(_drawer(resolution)(scene))


# Of a large picture each style draws another quarter: its corner, in quarters
# of a side.
CORNERS = ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1))


@jax.jit
def _draw_quarter(scene, top, left):
  return render.render(scene, 1024, (256 * top, 256 * left, 512))


def _quarter(image, corner):
  top, left = (len(image) // 4 * edge for edge in corner)
  side = len(image) // 2
  return image[top : top + side, left : left + side]


def _staged(**contents):
  numbers = scene_lib.individual(jax.random.key(5), contents['class_id'])
  return scene_lib.staged(jax.random.key(6), individual=numbers, **contents)


def _average(image, factor):
  """Area downsampling of [H, W, 3]."""
  side = image.shape[0] // factor
  return image.reshape(side, factor, side, factor, 3).mean((1, 3))


@pytest.mark.parametrize('style', range(len(scene_lib.STYLES)))
def test_resolutions_agree(style):
  corner = CORNERS[style]
  sample = jax.jit(scene_lib.sample)
  keys = jax.random.split(jax.random.key(style), 4)
  scenes = [sample(k)._replace(style_id=jnp.int32(style)) for k in keys]
  off = lambda fine, coarse: (
    LEVEL * np.abs(_average(fine, fine.shape[0] // coarse.shape[0]) - coarse)
  )
  errors = []
  for index, scene in enumerate(scenes):
    small, middle = _draw(scene, 64), _draw(scene, 256)
    errors.append(off(middle, small).mean())
    if index == 0:  # A large picture costs as much as all the others.
      large = np.asarray(_draw_quarter(scene, *corner))
      errors += [
        off(large, _quarter(image, corner)).mean() for image in (small, middle)
      ]
  assert np.mean(errors) < 2.0
  assert np.max(errors) < 3.0


def test_window_is_a_crop():
  scene = scene_lib.sample(jax.random.key(2))
  whole = _draw(scene, 256)
  crop = jax.jit(lambda s, y, x: render.render(s, 256, (y, x, 64)))
  for top, left in ((0, 0), (17, 101), (192, 192)):
    window = np.asarray(crop(scene, top, left))
    expected = whole[top : top + 64, left : left + 64]
    assert np.abs(window - expected).max() * LEVEL < 1.0


@pytest.fixture(scope='module')
def batch():
  """Eight scenes and their pictures of 64 px, drawn together."""
  draw = lambda scenes: jax.vmap(lambda s: render.render(s, 64))(scenes)
  keys = jax.random.split(jax.random.key(4), 8)
  scenes = jax.jit(jax.vmap(scene_lib.sample))(keys)
  return scenes, np.asarray(jax.jit(draw)(scenes))


def test_batches_equal_single_pictures(batch):
  scenes, together = batch
  for i in range(4):
    one = jax.tree.map(lambda field, i=i: field[i], scenes)
    # Rows divide by nearly zero at their tips; rounding differs a little.
    np.testing.assert_allclose(_draw(one), together[i], atol=2e-3)


def test_pictures_are_finite_and_in_range(batch):
  _, images = batch
  assert images.dtype == jnp.float32
  assert np.all(np.isfinite(images))
  assert np.min(images) >= -1.0 and np.max(images) <= 1.0


@pytest.mark.parametrize(
  'field, count',
  [
    ('class_id', len(scene_lib.CLASSES)),
    ('place_id', len(scene_lib.PLACES)),
    ('style_id', len(scene_lib.STYLES)),
    ('accessory_id', len(scene_lib.ACCESSORIES)),
    ('expression_id', len(scene_lib.EXPRESSIONS)),
    ('view_id', len(scene_lib.VIEWS)),
    ('material_id', len(scene_lib.MATERIALS)),
  ],
)
def test_every_value_of_every_field_looks_different(field, count):
  base = _staged(class_id=1)
  images = [_draw(base._replace(**{field: i})) for i in range(count)]
  for i in range(count):
    for j in range(i):
      assert np.abs(images[i] - images[j]).max() * LEVEL > 40, (i, j)


def test_subject_has_its_colour():
  """The commonest change between two coats is the change of coat."""
  base = _staged(class_id=0)
  paint = lambda name: base._replace(
    individual=scene_lib.recolour(
      base.individual, scene_lib.COLOURS.index(name)
    )
  )
  red, blue = _draw(paint('red')), _draw(paint('blue'))
  moved = np.abs(red - blue).max(-1) > 0.3
  assert 0.04 < moved.mean() < 0.4
  assert np.mean((red - blue)[moved], axis=0)[0] > 0.3
  assert np.mean((red - blue)[moved], axis=0)[2] < -0.3


def test_a_statue_has_no_colour():
  """A yellow and a blue subject differ in lightness only, once in stone."""

  def hue_change(style):
    base = _staged(class_id=0, style_id=scene_lib.STYLES.index(style))
    yellow, blue = (
      scene_lib.recolour(base.individual, scene_lib.COLOURS.index(name))
      for name in ('yellow', 'blue')
    )
    change = _draw(base._replace(individual=yellow)) - _draw(
      base._replace(individual=blue)
    )
    assert np.abs(change).max() * LEVEL > 20
    return np.ptp(change, axis=-1).max() * LEVEL

  assert hue_change('photo') > 80
  assert hue_change('statue') < 8


def test_pixel_art_is_made_of_blocks():
  style = scene_lib.STYLES.index('pixel art')
  scene = _staged(class_id=2, style_id=style, accessory_id=1)
  small, large = _draw(scene, 64), _draw(scene, 256)
  factor = 64 // styles.BLOCKS
  blocks = small[::factor, ::factor]
  np.testing.assert_array_equal(
    small, blocks.repeat(factor, 0).repeat(factor, 1)
  )
  np.testing.assert_allclose(large, small.repeat(4, 0).repeat(4, 1), atol=1e-5)


def test_places_are_seen_through_glass_alone():
  def difference(material):
    scene = _staged(class_id=3, material_id=material)
    snow, night = (_draw(scene._replace(place_id=i)) for i in (1, 7))
    x, y = scene.position  # The belly of the teapot, in pixels.
    row, column = int(64 * (1 - y - 0.35 * scene.size)), int(64 * x)
    belly = np.s_[row - 2 : row + 2, column - 2 : column + 2]
    return np.abs(snow - night)[belly].mean()

  natural, glass = (
    difference(scene_lib.MATERIALS.index(name)) for name in ('natural', 'glass')
  )
  assert glass > 1.25 * natural


def test_facing_mirrors_the_subject_alone():
  """Looking left is looking right, mirrored about the ground contact."""
  scene = _staged(class_id=3)._replace(
    position=jnp.array([0.5, 0.15]), light=jnp.array([0.0, 0.6, 0.8])
  )
  right = _draw(scene._replace(facing=jnp.float32(1)))
  left = _draw(scene._replace(facing=jnp.float32(-1)))
  changed = (np.abs(right - left).max(-1) > 0.2).any(0)  # columns
  assert changed.any()
  np.testing.assert_array_equal(changed, changed[::-1])
