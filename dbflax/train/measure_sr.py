"""How well a super-resolution stage enlarges, against bicubic enlargement.

Both are given renders of what pre-training never shows, and their results are
compared with renders of the same scenes in full resolution: PSNR asks whether
the pixels are right, LPIPS whether it looks right.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dbflax import rng
from dbflax.data import images
from dbflax.evaluate import metrics
from dbflax.train import drawing, measure_base

# LPIPS looks at squares of this size: larger ones need too much memory.
_PATCH = 256
# Sheets show tiles of this size, of so many scenes of a stage.
_TILE, _SHOWN = 256, 4


def enlarge(
  draw: drawing.Draw,
  render_low: drawing.Render,
  render: drawing.Render,
  *,
  seed: int,
  count: int,
) -> dict[str, drawing.Image]:
  """{'low', 'bicubic', 'drawn', 'real'} of `count` held-out scenes."""
  key = rng.key(jax.random.key(seed), 'measure sr')
  scenes = measure_base.draw_scenes(key, count, held_out=True)
  texts, _ = measure_base.write_prompts(scenes, seed)
  low, real = render_low(scenes), render(scenes)
  bicubic = [jax.image.resize(x, real.shape[1:], 'cubic') for x in low]
  return {
    'low': low,
    'bicubic': np.asarray(jnp.clip(jnp.stack(bicubic), -1, 1)),
    'drawn': draw(texts, drawing.keys(seed, 'measure sr', count), low),
    'real': real,
  }


def compare(
  name: str, pictures: dict[str, drawing.Image], distance: Callable | None
) -> dict:
  """PSNR and LPIPS of what `enlarge` returned; bicubic sets the bars.

  Args:
    name: of the stage, for the keys.
    pictures: from `enlarge`.
    distance: LPIPS of pairs of pictures; None leaves it out.
  """
  real = pictures['real']
  score = {}
  for kind in ('drawn', 'bicubic'):
    psnr = float(metrics.psnr(pictures[kind], real).mean())
    score[kind] = {'PSNR': psnr, 'LPIPS': None}
    if distance is not None:
      # One at a time: a picture of 1024 pixels has many patches.
      score[kind]['LPIPS'] = float(
        np.mean(
          [
            distance(patches(a), patches(b)).mean()
            for a, b in zip(pictures[kind], real, strict=True)
          ]
        )
      )
  signs = {'PSNR': '>', 'LPIPS': '<'}
  return {
    'values': {f'{name} {k}': v for k, v in score['drawn'].items()},
    'bars': {f'{name} {k}': (signs[k], v) for k, v in score['bicubic'].items()},
  }


def patches(picture: np.ndarray) -> np.ndarray:
  """[H, W, 3] cut into squares of _PATCH pixels; a smaller one is whole."""
  side = min(_PATCH, picture.shape[0])
  count = picture.shape[0] // side
  cut = picture[: count * side, : count * side]
  cut = cut.reshape(count, side, count, side, 3).swapaxes(1, 2)
  return cut.reshape(-1, side, side, 3)


def sheet(stages: list[dict[str, drawing.Image]]) -> np.ndarray:
  """(low, bicubic, drawn, real) of a few scenes of each stage, in columns.

  Of a picture that is larger than a tile the middle is shown, the same part
  of all four, so that what was drawn can be seen pixel by pixel.
  """
  tiles = []
  for pictures in stages:
    share = min(1.0, _TILE / pictures['real'].shape[1])
    for n in range(min(_SHOWN, len(pictures['real']))):
      row = (pictures[kind][n] for kind in ('low', 'bicubic', 'drawn', 'real'))
      tiles += [_tile(picture, share) for picture in row]
  return images.grid(np.stack(tiles), 4)


def _tile(picture: np.ndarray, share: float) -> np.ndarray:
  """The middle `share` of a picture in whole pixels, uint8 of one size."""
  side = round(picture.shape[0] * share)
  corner = (picture.shape[0] - side) // 2
  cut = slice(corner, corner + side)
  scale = _TILE // side
  return images.to_uint8(picture[cut, cut].repeat(scale, 0).repeat(scale, 1))
