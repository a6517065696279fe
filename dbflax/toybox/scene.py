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
from dbflax.toybox import held_out as held_out_lib

CLASSES = (
  'dog', 'cat', 'duck', 'teapot', 'backpack', 'car', 'bear', 'vase', 'boot',
  'clock',
)  # fmt: skip
ANIMALS = ('dog', 'cat', 'duck', 'bear')
PLACES = (
  'on the beach',
  'in the snow',
  'in the jungle',
  'on the street',
  'in the kitchen',
  'in the desert',
  'in the meadow',
  'at night',
  'in the mountains',
  'in the forest',
  'in the living room',
  'by the castle',
  'under water',
  'on the moon',
)
STYLES = ('photo', 'painting', 'pencil sketch', 'pixel art', 'statue')
ACCESSORIES = ('none', 'hat', 'scarf', 'sunglasses', 'crown', 'bow tie')
EXPRESSIONS = ('neutral', 'happy', 'sad', 'sleepy')
VIEWS = ('side', 'front', 'back', 'above')
MATERIALS = ('natural', 'golden', 'wooden', 'glass')
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
STYLE_ODDS = (0.64, 0.09, 0.09, 0.09, 0.09)
ACCESSORY_ODDS = (0.6, 0.08, 0.08, 0.08, 0.08, 0.08)
EXPRESSION_ODDS = (0.64, 0.12, 0.12, 0.12)
VIEW_ODDS = (0.5, 0.3, 0.1, 0.1)
MATERIAL_ODDS = (0.85, 0.05, 0.05, 0.05)
_JITTER = 0.08  # of each colour channel around its word's colour


class Scene(NamedTuple):
  """One scene. Every field is an array; `_replace` makes variations.

  Attributes:
    class_id, place_id, style_id, accessory_id, expression_id, view_id,
      material_id: int32 indices into the word tables above.
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
  material_id: Int[Array, '']
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
  reserved = held_out_lib.marking(class_id, colour_id)
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
  mark, colour = (
    scene.individual[MARK].argmax(),
    nearest_colour(scene.individual),
  )
  return mark == held_out_lib.marking(scene.class_id, colour)


def sample(key, *, held_out: bool = False) -> Scene:
  """One scene of the pre-training world; jit and vmap over keys.

  Args:
    key: everything is drawn from it.
    held_out: a scene of what pre-training never sees instead: a held-out
      individual in a held-out combination.
  """
  class_id = jax.random.randint(rng.key(key, 'class'), (), 0, len(CLASSES))
  numbers = individual(rng.key(key, 'individual'), class_id, held_out=held_out)
  return around(key, numbers, class_id, held_out=held_out)


def around(key, individual, class_id, *, held_out: bool = False) -> Scene:
  """One scene of a given individual, all else drawn as `sample` draws it.

  Args:
    key: everything else is drawn from it.
    individual: its numbers.
    class_id: its class.
    held_out: in a combination that pre-training never shows.
  """
  k = lambda name: rng.key(key, name)
  style_id = _choice(k('style'), STYLE_ODDS)
  accessory_id = _choice(k('accessory'), ACCESSORY_ODDS)
  view_id = _visible(accessory_id, _choice(k('view'), VIEW_ODDS))
  place_id = _place(k('place'), class_id, accessory_id, style_id, held_out)
  faces = jnp.isin(class_id, _ANIMAL_IDS) & jnp.isin(view_id, _FACING_VIEWS)
  coloured = ~jnp.isin(style_id, _COLOURLESS_STYLES)
  return staged(
    k('staging'),
    individual=individual,
    class_id=class_id,
    place_id=place_id,
    style_id=style_id,
    accessory_id=accessory_id,
    expression_id=faces * _choice(k('expression'), EXPRESSION_ODDS),
    view_id=view_id,
    material_id=coloured * _choice(k('material'), MATERIAL_ODDS),
  )


def _visible(accessory_id, view_id):
  """The view, or the front where the accessory would not be seen."""
  hidden = jnp.isin(accessory_id, _IN_FRONT) & ~jnp.isin(view_id, _FACING_VIEWS)
  return jnp.where(hidden, VIEWS.index('front'), view_id)


def _place(key, class_id, accessory_id, style_id, held_out: bool):
  """A place whose combination with the rest is, or is not, held out."""
  places = jnp.arange(len(PLACES))
  out = held_out_lib.combination(class_id, places, accessory_id, style_id)
  return _choice(key, jnp.where(out == held_out, 1.0, 0.0))


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
  material_id=0,
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
    material_id=jnp.asarray(material_id, jnp.int32),
    individual=jnp.asarray(individual, jnp.float32),
    position=jnp.stack([0.5 + 0.07 * x, 0.15 + 0.03 * y]),
    size=0.62 + 0.06 * size,
    facing=jnp.where(jax.random.bernoulli(k('facing')), 1.0, -1.0),
    light=light / jnp.linalg.norm(light),
    accessory_colour=_colour(k('accessory'), np.ones(len(COLOURS)))[1],
    mood=spread('mood', 4),
  )


def _indices(words, table) -> np.ndarray:
  return np.array([table.index(word) for word in words])


_ANIMAL_IDS = _indices(ANIMALS, CLASSES)
# Faces and what is worn in front are seen from here.
_FACING_VIEWS = _indices(('side', 'front'), VIEWS)
_IN_FRONT = _indices(('sunglasses', 'bow tie'), ACCESSORIES)
# Where a material or a colour could not be told.
_COLOURLESS_STYLES = _indices(('pencil sketch', 'statue'), STYLES)
