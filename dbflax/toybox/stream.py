"""An endless stream of training examples, drawn as they are needed.

Scenes are sampled and rendered on the device; captions are written and
tokenized on the host. Example i of step n is a function of (seed, n, i).
"""

import jax
import numpy as np

from dbflax import rng
from dbflax.toybox import captions, render, scene


def scenes(root, step, count: int) -> scene.Scene:
  """`count` scenes of `step`; every field [count, …]."""
  keys = jax.random.split(rng.key(root, 'scenes', step), count)
  return jax.vmap(scene.sample)(keys)


def write_captions(batch: scene.Scene, seed: int, step: int) -> list[str]:
  """A caption for every scene of a batch."""
  generator = rng.numpy(seed, 'captions', step)
  host = jax.tree.map(np.asarray, batch)
  count = len(host.class_id)
  one = lambda i: jax.tree.map(lambda field: field[i], host)
  return [captions.caption(one(i), generator) for i in range(count)]


def images(batch: scene.Scene, resolution: int, window=None):
  """Renders a batch: [B, h, w, 3]; `window` (y0 [B], x0 [B], size)."""
  if window is None:
    return jax.vmap(lambda s: render.render(s, resolution))(batch)
  y0, x0, size = window
  draw = lambda s, y, x: render.render(s, resolution, (y, x, size))
  return jax.vmap(draw)(batch, y0, x0)
