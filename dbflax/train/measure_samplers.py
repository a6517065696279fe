"""Class images by each sampler: how right, how varied, how long they take.

These are what prior preservation trains on (paper, section 3.3): "a photo of a
dog", and of each other class, drawn by the frozen base stage. So the sampler
that draws best in a second is the one to draw them with.
"""

import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from dbflax import rng
from dbflax.toybox import oracle, scene
from dbflax.train import drawing, measure_base

# What "a photo of a dog" asks for.
_ASKED = ('class_id', 'style_id', 'accessory_id')


def measure(
  draw_by: Callable[[str, int], drawing.Draw],
  render: drawing.Render,
  read: Callable[[drawing.Image], oracle.Reading],
  distance: Callable[[drawing.Image, drawing.Image], np.ndarray] | None,
  *,
  seed: int,
  count: int,
  choices: Sequence[tuple[str, int]],
) -> dict:
  """{'values': {'<sampler> <steps>: right', … 'diversity', … 'seconds'}}.

  Right is a picture of the class, in the style of a photo, that wears nothing;
  diversity is the mean LPIPS of pairs of one class over that of renders, None
  without LPIPS; seconds are of one picture, compiled before.

  Args:
    draw_by: (sampler, steps) → (prompts, keys) → samples.
    render: scenes → real pictures of the same size.
    read: the oracle.
    distance: LPIPS, or None.
    seed: root of scenes and noise, the same for all choices.
    count: pictures of each class.
    choices: (sampler, steps).
  """
  root, values = jax.random.key(seed), {}
  truth = _plain(rng.key(root, 'measure samplers'), count)
  prompts = [f'a photo of a {scene.CLASSES[i]}' for i in truth.class_id]
  keys = drawing.keys(seed, 'measure samplers', len(prompts))
  real = _spread(render(truth), count, distance)
  for sampler, steps in choices:
    draw = draw_by(sampler, steps)
    draw(prompts[:1], keys)  # It compiles.
    start = time.monotonic()
    drawn = draw(prompts, keys)
    seconds = (time.monotonic() - start) / len(prompts)
    right = oracle.right(read(drawn), truth)
    spread = _spread(drawn, count, distance)
    values |= {
      f'{sampler} {steps}: right': float(
        np.all([right[name] for name in _ASKED], axis=0).mean()
      ),
      f'{sampler} {steps}: diversity': real and spread / real,
      f'{sampler} {steps}: seconds': seconds,
    }
  return {'values': values}


def _plain(key, count: int) -> scene.Scene:
  """`count` plain scenes of every class, one class after the other."""
  scenes = [
    measure_base.plain(rng.key(key, noun), noun, count)
    for noun in scene.CLASSES
  ]
  return jax.tree.map(lambda *fields: np.concatenate(fields), *scenes)


def _spread(pictures: drawing.Image, count: int, distance) -> float | None:
  """The mean over classes of how unlike each other pictures of one are."""
  if distance is None:
    return None
  of_class = np.split(pictures, len(pictures) // count)
  return float(
    np.mean([measure_base.spread(some, distance) for some in of_class])
  )
