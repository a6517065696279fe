"""An endless stream of training examples, drawn as they are needed.

Scenes are sampled, put in words and tokenized on the host, and rendered on the
device. Example i of step n is a function of (seed, n, i).
"""

from collections.abc import Callable

import jax
import numpy as np

from dbflax import rng
from dbflax.toybox import captions, render, scene


def scenes(root, step, count: int) -> scene.Scene:
  """`count` scenes of `step`; every field [count, …]."""
  keys = jax.random.split(rng.key(root, 'scenes', step), count)
  return jax.vmap(scene.sample)(keys)


def host_scenes(root) -> Callable[[int, int], scene.Scene]:
  """(step, count) → `scenes` as numpy arrays, sampled by the CPU.

  An accelerator would sample them after all training steps that wait there,
  and whoever writes the captions would wait with them.
  """
  root = jax.device_put(root, jax.local_devices(backend='cpu')[0])
  sample = jax.jit(scenes, static_argnums=2)
  return lambda step, count: jax.device_get(sample(root, step, count))


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
