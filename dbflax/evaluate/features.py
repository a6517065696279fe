"""Networks that look at pictures: what every figure is made by and named after.

A `Network` maps pictures to unit vectors, so that two of them can be compared,
and may say how well a picture fits a prompt. Pictures are uint8 [H, W, 3] of
any size; each network shrinks and crops them as it was trained to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from dbflax.data import images

Pictures = Sequence[np.ndarray]  # each uint8 [H, W, 3]
BATCH = 16  # pictures that a network sees at once


class Network(NamedTuple):
  """What reads pictures; nothing is loaded before it is first used.

  Attributes:
    name: what its figures are named after.
    weights: files that its figures depend on, for fingerprints.
    look: pictures → what it sees in them, in whatever form.
    vectors: what it sees → float [N, D], unit vectors.
    fit: (what it sees, prompts) → {figure: float [N], NaN where the prompt
      says nothing about it}; the first is the prompt fidelity. None: it reads
      no prompts.
  """

  name: str
  weights: Mapping
  look: Callable[[Pictures], Any]
  vectors: Callable[[Any], Float[np.ndarray, 'N D']] = lambda seen: seen
  fit: Callable[[Any, Sequence[str]], dict[str, np.ndarray]] | None = None

  def embed(self, pictures: Pictures) -> Float[np.ndarray, 'N D']:
    """The unit vector of each picture."""
    return self.vectors(self.look(pictures))


def batches(array: np.ndarray, size: int = BATCH) -> Iterator[np.ndarray]:
  """Rows of `array`, `size` at a time; the last batch repeats its last row.

  All are of one shape, so a network is compiled once; `join` undoes it.
  """
  for start in range(0, len(array), size):
    yield array[np.minimum(np.arange(start, start + size), len(array) - 1)]


def join(parts: Sequence[np.ndarray], count: int) -> np.ndarray:
  """The first `count` rows of all parts, float32."""
  return np.concatenate([np.asarray(p, np.float32) for p in parts])[:count]


def unit(vectors: Float[np.ndarray, 'N D']) -> Float[np.ndarray, 'N D']:
  """Rows of length one."""
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def shorter_side(
  picture: np.ndarray, side: int, how: Image.Resampling
) -> np.ndarray:
  """Scales uint8 [H, W, 3] so that its shorter side is `side`."""
  height, width = picture.shape[:2]
  # The longer side is cut and not rounded, as the reference does.
  size = lambda length: int(side * length / min(height, width))
  scaled = Image.fromarray(picture).resize((size(width), size(height)), how)
  return np.asarray(scaled)


def centre(picture: np.ndarray, side: int) -> np.ndarray:
  """The middle [side, side, 3] of a picture that is at least that large."""
  top, left = ((length - side) // 2 for length in picture.shape[:2])
  return picture[top : top + side, left : left + side]


def squares(
  pictures: Pictures,
  side: int,
  how: Image.Resampling = Image.Resampling.BICUBIC,
) -> np.ndarray:
  """float32 [N, side, side, 3] in [-1, 1]: the middle of every picture."""
  cut = [centre(shorter_side(p, side, how), side) for p in pictures]
  return images.to_float(np.stack(cut))
