"""Pictures for measuring: samples of prompts and renders of scenes.

Both come a batch at a time and every batch has the same size, the last one
filled up, so each of these functions compiles one program.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
import tqdm
from jaxtyping import Array, Float, Int, Key

from dbflax import cascade, pretrained, rng
from dbflax.text import embed
from dbflax.toybox import scene, stream

Image = Float[np.ndarray, 'N H W 3']
Encode = Callable[[Sequence[str]], Float[np.ndarray, 'N L D']]
# (prompts, keys [N], low [N, r, r, 3] or None) → pictures in [-1, 1]
Draw = Callable[..., Image]
Render = Callable[[scene.Scene], Image]


def batches(count: int, size: int) -> Iterator[Int[np.ndarray, ' size']]:
  """Indices that cover range(count) in order, `size` at a time.

  What fills up the last batch comes after all the rest, so `[:count]` of what
  was made of them is made of each once.
  """
  for start in range(0, count, size):
    yield np.arange(start, start + size) % count


def keys(seed: int, stream_name: str, count: int) -> Key[Array, ' N']:
  """A key for each of `count` pictures; it depends on its number alone."""
  root = jax.random.key(seed)
  return jax.vmap(lambda i: rng.key(root, stream_name, i))(np.arange(count))


def encoder(model: cascade.Cascade, max_length: int) -> Encode:
  """prompts → their embeddings."""
  params = jax.device_put(pretrained.load_params(model, 'text_encoder'))
  return functools.partial(
    embed.embed, model.encoder, params, model.tokenizer, max_length=max_length
  )


def sampler(
  model: cascade.Cascade,
  name: str,
  options: cascade.Sampling,
  encode: Encode,
  batch: int,
) -> Draw:
  """Samples of one stage; super-resolution is given the lower pictures."""
  sample = cascade.make_sampler(model.stages[name], options)
  params = jax.device_put(pretrained.load_params(model, name))
  [null_text] = encode([''])

  def draw(prompts, keys, low=None):
    parts = []
    order = list(batches(len(prompts), batch))
    for index in tqdm.tqdm(order, name, disable=len(order) == 1):
      lower = () if low is None else (low[index],)
      text = encode([prompts[i] for i in index])
      drawn = sample(params, text, null_text, keys[index], *lower)
      parts.append(np.asarray(drawn))
    return np.concatenate(parts)[: len(prompts)]

  return draw


def renderer(resolution: int, batch: int) -> Render:
  """Real pictures."""
  draw = jax.jit(lambda scenes: stream.images(scenes, resolution))

  def render(scenes):
    count = len(scenes.class_id)
    parts = [
      np.asarray(draw(jax.tree.map(lambda x, i=index: x[i], scenes)))
      for index in batches(count, batch)
    ]
    return np.concatenate(parts)[:count]

  return render
