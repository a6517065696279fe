"""The oracle: reads out of a picture what toybox scene it shows.

A small residual network for pictures of 64 pixels. It answers one question of
each kind (class, place, …), guesses the individual's numbers, and maps the
picture to a unit vector that tells individuals apart: two pictures show the
same individual if the vectors' dot product is large.

Its folder holds `config.json`, with the words it was trained on, and
`model.safetensors`.
"""

import dataclasses
import functools
import pathlib
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import disk, errors
from dbflax.models import blocks, group_norm
from dbflax.toybox import scene
from dbflax.weights import diffusers, files

FOLDER = pathlib.Path(__file__).parents[1] / 'assets/toybox/oracle'
RESOLUTION = 64
# What a picture is asked for: fields of Scene and their words.
QUESTIONS = {
  'class_id': scene.CLASSES,
  'place_id': scene.PLACES,
  'accessory_id': scene.ACCESSORIES,
  'style_id': scene.STYLES,
  'expression_id': scene.EXPRESSIONS,
  'view_id': scene.VIEWS,
  'material_id': scene.MATERIALS,
}
_BATCH = 64  # pictures read at a time
_GROUP = 8  # channels normalised together

Image = Float[Array, 'B H W 3']


class Reading(NamedTuple):
  """What the oracle sees in each of B pictures."""

  logits: dict[str, Float[Array, 'B values']]  # by QUESTIONS
  numbers: Float[Array, 'B individual']  # as in scene; MARK holds logits
  identity: Float[Array, 'B embedding']  # unit vectors


def _norm(channels: int, name: str) -> group_norm.GroupNorm:
  """Groups of a few channels: a place and a subject are on different scales."""
  return group_norm.GroupNorm(channels // _GROUP, name=name)


class _Block(nn.Module):
  """norm – relu – conv, twice, beside a shortcut."""

  channels: int

  @nn.compact
  def __call__(self, x: Float[Array, 'B H W C']):
    conv = functools.partial(blocks.conv3x3, self.channels, dtype=x.dtype)
    h = conv('conv1')(nn.relu(_norm(x.shape[-1], 'norm1')(x)))
    # Zero at the start: every block begins as its shortcut.
    h = conv('conv2', zero=True)(nn.relu(_norm(self.channels, 'norm2')(h)))
    if x.shape[-1] != self.channels:
      x = nn.Dense(self.channels, use_bias=False, name='shortcut')(x)
    return x + h


class Network(nn.Module):
  """Pictures [B, 64, 64, 3] in [-1, 1] → Reading.

  Attributes:
    widths: channels at 32, 16, 8, … pixels, multiples of 8.
    blocks: residual blocks at each of them.
    features: width of the vector that all answers are read from.
    embedding: length of the identity vector.
  """

  widths: tuple[int, ...]
  blocks: tuple[int, ...]
  features: int
  embedding: int

  @nn.compact
  def __call__(self, images: Image) -> Reading:
    b, h, w, c = images.shape
    # Four pixels become one of four times the channels: nothing is lost.
    x = images.reshape(b, h // 2, 2, w // 2, 2, c).swapaxes(2, 3)
    x = x.reshape(b, h // 2, w // 2, 4 * c)
    x = blocks.conv3x3(self.widths[0], 'stem', x.dtype)(x)
    levels = zip(self.widths, self.blocks, strict=True)
    for level, (width, count) in enumerate(levels):
      if level:
        x = blocks.average_pool(x)
      for number in range(count):
        x = _Block(width, name=f'level{level}_{number}')(x)
    x = nn.relu(_norm(x.shape[-1], 'norm')(x))
    # Not averaged over pixels: the subject stands in the middle, the place
    # around it, and both would be mixed up.
    x = x.reshape(b, -1)
    x = nn.relu(nn.Dense(self.features, name='features')(x))
    # Zero at the start: no answer is better than another.
    read = lambda count, name: nn.Dense(
      count, kernel_init=nn.initializers.zeros, name=name
    )(x)
    answers = {
      name: read(len(words), name) for name, words in QUESTIONS.items()
    }
    numbers = read(scene.INDIVIDUAL, 'numbers')
    identity = nn.Dense(self.embedding, use_bias=False, name='identity')(x)
    length = jnp.sqrt(jnp.square(identity).sum(-1, keepdims=True) + 1e-12)
    return Reading(answers, numbers, identity / length)


@dataclasses.dataclass(frozen=True)
class Oracle:
  """A trained network and its parameters."""

  network: Network
  params: dict


def init(network: Network, key) -> dict:
  """Fresh parameters."""
  return network.init(key, jnp.zeros((1, RESOLUTION, RESOLUTION, 3)))['params']


def save(folder: pathlib.Path, oracle: Oracle) -> None:
  """Writes config.json and model.safetensors into `folder`, named oracle."""
  size = {name: getattr(oracle.network, name) for name in _SIZE}
  disk.write_json(folder / 'config.json', {**size, 'words': QUESTIONS})
  diffusers.write_params(folder, oracle.params)


def load(folder: pathlib.Path = FOLDER) -> Oracle:
  """Reads what `save` wrote.

  Raises:
    UserError: files are missing or damaged, or the words are not toybox's.
  """
  config = files.read_json(folder / 'config.json')
  words = {name: tuple(table) for name, table in config['words'].items()}
  if words != QUESTIONS:
    changed = sorted(
      name
      for name in words.keys() | QUESTIONS.keys()
      if words.get(name) != QUESTIONS.get(name)
    )
    raise errors.UserError(
      f'the oracle in {folder} knows other words than toybox '
      f'({", ".join(changed)}); train it anew with configs/toybox.py:oracle.'
    )
  frozen = lambda value: tuple(value) if isinstance(value, list) else value
  network = Network(**{name: frozen(config[name]) for name in _SIZE})
  shapes = jax.eval_shape(lambda key: init(network, key), jax.random.key(0))
  params = diffusers.read_params(folder, shapes)
  return Oracle(network, jax.device_put(params))


_SIZE = ('widths', 'blocks', 'features', 'embedding')


def read(oracle: Oracle, images: Float[np.ndarray, 'B H W 3']) -> Reading:
  """What the oracle sees in pictures of 64 pixels, or of a multiple of 64.

  Args:
    oracle: from `load`.
    images: in [-1, 1]; larger ones are averaged down.

  Returns:
    A Reading of numpy arrays.

  Raises:
    ValueError: pictures of another size.
  """
  height, width = images.shape[1:3]
  if height != width or height % RESOLUTION:
    raise ValueError(
      f'pictures are {height} × {width}; the oracle reads squares of '
      f'{RESOLUTION} pixels or a multiple'
    )
  parts = []
  for start in range(0, len(images), _BATCH):
    part = np.asarray(images[start : start + _BATCH])
    # Only the last batch is not full: of one shape, all need one program.
    fill = [(0, _BATCH - len(part))] + [(0, 0)] * 3
    parts.append(_read(oracle.network, oracle.params, np.pad(part, fill)))
  join = lambda *fields: np.concatenate(fields)[: len(images)]
  return jax.tree.map(join, *parts)


@functools.partial(jax.jit, static_argnums=0)
def _read(network: Network, params: dict, images: Image) -> Reading:
  b, side, _, c = images.shape
  k = side // RESOLUTION
  small = images.reshape(b, RESOLUTION, k, RESOLUTION, k, c).mean((2, 4))
  return network.apply({'params': params}, small)


def right(reading: Reading, truth: scene.Scene) -> dict[str, np.ndarray]:
  """Which answers are right: {question: bool [B]}."""
  return {
    name: np.argmax(logits, -1) == np.asarray(getattr(truth, name))
    for name, logits in reading.logits.items()
  }
