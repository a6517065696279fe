"""A toybox scene: a small vector of parameters that a picture is drawn from.

A scene holds what is drawn (class, individual, accessory, expression, view),
where (place, position, light) and how (style). `sample` draws one from a key;
everything is an array, so scenes vmap and jit. Word tables give every index
its word; indices never change their meaning, new words are appended.

An individual is a vector of `INDIVIDUAL` numbers that never changes between
its photos: three colours, six proportions, a kind of marking (one-hot) and
the marking's place on the body.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax import rng

CLASSES = ('dog', 'cat', 'duck', 'teapot', 'backpack', 'car')
ANIMALS = ('dog', 'cat', 'duck')
PLACES = (
  'on the beach',
  'in the snow',
  'in the jungle',
  'on the street',
  'in the kitchen',
  'in the desert',
  'in the meadow',
  'at night',
)
STYLES = ('photo', 'painting', 'pencil sketch')
ACCESSORIES = ('none', 'hat', 'scarf', 'sunglasses')
EXPRESSIONS = ('neutral', 'happy', 'sad', 'sleepy')
VIEWS = ('side', 'front')
MARKINGS = ('plain', 'spots', 'belly', 'stripes', 'saddle')

COLOUR_TABLE = {
  'red': (0.82, 0.16, 0.15),
  'orange': (0.95, 0.55, 0.15),
  'yellow': (0.96, 0.83, 0.25),
  'green': (0.25, 0.62, 0.27),
  'blue': (0.20, 0.42, 0.82),
  'purple': (0.53, 0.28, 0.70),
  'pink': (0.96, 0.58, 0.72),
  'white': (0.94, 0.93, 0.90),
  'grey': (0.55, 0.56, 0.58),
  'black': (0.16, 0.16, 0.19),
  'brown': (0.48, 0.29, 0.16),
}
COLOURS = tuple(COLOUR_TABLE)
COLOUR_RGB = np.array(list(COLOUR_TABLE.values()), np.float32)  # [colours, 3]

# Slices of the individual vector.
PRIMARY, SECONDARY, ACCENT = slice(0, 3), slice(3, 6), slice(6, 9)
SHAPE = slice(9, 15)  # proportions, each in [-1, 1]
MARK = slice(15, 20)  # one-hot over MARKINGS
MARK_AT = slice(20, 22)  # where the marking sits, each in [-1, 1]
INDIVIDUAL = 22

# How often a scene is in each style, accessory and expression. The defaults
# dominate because a prompt that does not name one means the default.
STYLE_ODDS = (0.7, 0.15, 0.15)
ACCESSORY_ODDS = (0.64, 0.12, 0.12, 0.12)
EXPRESSION_ODDS = (0.64, 0.12, 0.12, 0.12)
VIEW_ODDS = (0.6, 0.4)
_JITTER = 0.08  # of each colour channel around its word's colour


class Scene(NamedTuple):
  """One scene. Every field is an array; `_replace` makes variations.

  Attributes:
    class_id, place_id, style_id, accessory_id, expression_id, view_id: int32
      indices into the word tables above.
    individual: float32 [INDIVIDUAL], see the slices above.
    position: [x, y] of the ground contact, in frame widths from the lower
      left corner.
    size: height of the subject in frame heights.
    facing: +1 looks to the right, -1 to the left.
    light: [x, y, z] unit vector towards the light (x right, y up, z out).
    accessory_colour: rgb in [0, 1].
    mood: [4] in [-1, 1]; varies the place: shift, horizon, warmth, mirror.
  """

  class_id: Int[Array, '']
  place_id: Int[Array, '']
  style_id: Int[Array, '']
  accessory_id: Int[Array, '']
  expression_id: Int[Array, '']
  view_id: Int[Array, '']
  individual: Float[Array, 'individual']
  position: Float[Array, '2']
  size: Float[Array, '']
  facing: Float[Array, '']
  light: Float[Array, '3']
  accessory_colour: Float[Array, '3']
  mood: Float[Array, '4']


def _choice(key, odds) -> Int[Array, '']:
  logits = jnp.log(jnp.asarray(odds, jnp.float32))
  return jax.random.categorical(key, logits).astype(jnp.int32)


def _colour(key, odds) -> tuple[Int[Array, ''], Float[Array, '3']]:
  index = _choice(rng.key(key, 'word'), odds)
  jitter = jax.random.uniform(
    rng.key(key, 'jitter'), (3,), minval=-_JITTER, maxval=_JITTER
  )
  return index, jnp.clip(jnp.asarray(COLOUR_RGB)[index] + jitter, 0.0, 1.0)


def _reserved(class_id, colour_id):
  """The one marking that no trained individual of class and colour has."""
  return (2 * colour_id + class_id) % len(MARKINGS)


def individual(
  key, class_id, *, held_out: bool = False
) -> Float[Array, 'individual']:
  """The identity-defining numbers of one individual of a class.

  For every class and colour word one marking is kept out of pre-training:
  individuals with it are met only with `held_out=True`.
  """
  odds = np.ones(len(COLOURS))
  colour_id, primary = _colour(rng.key(key, 'primary'), odds)
  # The second colour is a neutral half of the time and never the first.
  second = odds + np.isin(COLOURS, ('white', 'black', 'brown')) * 3.0
  second = jnp.where(jnp.arange(len(COLOURS)) == colour_id, 1e-9, second)
  _, secondary = _colour(rng.key(key, 'secondary'), second)
  _, accent = _colour(rng.key(key, 'accent'), odds)
  numbers = jax.random.uniform(
    rng.key(key, 'numbers'), (8,), minval=-1.0, maxval=1.0
  )
  mark = jax.random.randint(rng.key(key, 'mark'), (), 0, len(MARKINGS))
  reserved = _reserved(class_id, colour_id)
  other = jnp.where(mark == reserved, (mark + 1) % len(MARKINGS), mark)
  mark = reserved if held_out else other
  one_hot = jax.nn.one_hot(mark, len(MARKINGS))
  return jnp.concatenate(
    [primary, secondary, accent, numbers[:6], one_hot, numbers[6:]]
  )


def nearest_colour(numbers: Float[Array, 'individual']) -> Int[Array, '']:
  """The index of the colour word nearest to the main colour."""
  return ((COLOUR_RGB - numbers[PRIMARY]) ** 2).sum(-1).argmin()


def recolour(
  numbers: Float[Array, 'individual'], colour: int
) -> Float[Array, 'individual']:
  """The same individual with its main colour replaced by a named one."""
  return jnp.asarray(numbers).at[PRIMARY].set(COLOUR_RGB[colour])


def held_out(scene: Scene):
  """Whether the scene shows an individual kept out of pre-training."""
  mark = scene.individual[MARK].argmax()
  return mark == _reserved(scene.class_id, nearest_colour(scene.individual))


def sample(key) -> Scene:
  """One scene of the pre-training world; jit and vmap over keys."""
  k = lambda name: rng.key(key, name)
  class_id = jax.random.randint(k('class'), (), 0, len(CLASSES))
  animal = jnp.isin(class_id, _ANIMAL_IDS)
  expression = _choice(k('expression'), EXPRESSION_ODDS)
  return staged(
    k('staging'),
    individual=individual(k('individual'), class_id),
    class_id=class_id,
    place_id=jax.random.randint(k('place'), (), 0, len(PLACES)),
    style_id=_choice(k('style'), STYLE_ODDS),
    accessory_id=_choice(k('accessory'), ACCESSORY_ODDS),
    expression_id=jnp.where(animal, expression, 0),
    view_id=_choice(k('view'), VIEW_ODDS),
  )


def staged(
  key,
  *,
  individual,
  class_id,
  place_id=0,
  style_id=0,
  accessory_id=0,
  expression_id=0,
  view_id=0,
) -> Scene:
  """A scene with given contents and drawn position, light and mood."""
  k = lambda name: rng.key(key, name)
  spread = lambda name, n: jax.random.uniform(
    k(name), (n,), minval=-1.0, maxval=1.0
  )
  tilt = spread('light', 2)
  light = jnp.stack([0.55 * tilt[0], 0.62 + 0.12 * tilt[1], jnp.array(0.62)])
  x, y, size = spread('pose', 3)
  return Scene(
    class_id=jnp.asarray(class_id, jnp.int32),
    place_id=jnp.asarray(place_id, jnp.int32),
    style_id=jnp.asarray(style_id, jnp.int32),
    accessory_id=jnp.asarray(accessory_id, jnp.int32),
    expression_id=jnp.asarray(expression_id, jnp.int32),
    view_id=jnp.asarray(view_id, jnp.int32),
    individual=jnp.asarray(individual, jnp.float32),
    position=jnp.stack([0.5 + 0.07 * x, 0.15 + 0.03 * y]),
    size=0.62 + 0.06 * size,
    facing=jnp.where(jax.random.bernoulli(k('facing')), 1.0, -1.0),
    light=light / jnp.linalg.norm(light),
    accessory_colour=_colour(k('accessory'), np.ones(len(COLOURS)))[1],
    mood=spread('mood', 4),
  )


_ANIMAL_IDS = np.array([CLASSES.index(name) for name in ANIMALS])
