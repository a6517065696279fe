"""Textual Inversion: learn what a new word means, and change no network.

    v* = argmin_v E[ w_t ||x̂(α_t x + σ_t ε, Γ_v(y)) - x||² ]

(Gal et al., arXiv 2208.01618, equation 2): y is a prompt such as "a photo of a
S*", and Γ_v the text encoder, to whose input the word S* is the vectors v
[V, D]. They start as the class noun's embedding. The gradient comes through the
base's U-Net and the whole text encoder, which are both in memory, so this takes
more of it than sampling does, but no optimizer state to speak of.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from dbflax import cascade, checkpoints, hosts, jitted, rng, sharding
from dbflax.data import batches
from dbflax.text import prompts as prompts_lib
from dbflax.text import t5
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.train import loop, optimizer, step
from dbflax.train import state as state_lib

# The only parameter; 'fsdp' splits it as it does the encoder's table.
NAME = 'embedding'


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
  """Photos [B, R, R, 3], and the tokens [B, L] of a prompt for each."""

  image: Float[Array, 'B R R C']
  ids: Int[Array, 'B L']
  mask: Int[Array, 'B L']


@dataclasses.dataclass(frozen=True)
class Examples:
  """Photos [N, R, R, 3], and the tokens [P, L] of prompts that all of them fit.

  Ids from the vocabulary's end on stand for the vectors.
  """

  image: Float[np.ndarray, 'N R R 3']
  ids: Int[np.ndarray, 'P L']
  mask: Int[np.ndarray, 'P L']


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Frozen:
  """Parameters of the networks that the gradient goes through."""

  text_encoder: dict
  unet: dict


def examples(
  photos: Float[np.ndarray, 'N R R 3'],
  tokenizer: tokenizer_lib.Tokenizer,
  prompts: Sequence[str],
  max_length: int,
) -> Examples:
  """Photos and prompts as they are trained with."""
  cleaned = [prompts_lib.clean_caption(prompt) for prompt in prompts]
  return Examples(photos, *tokenizer.ids(cleaned, max_length))


def batch(data: Examples, *, seed: int, number: int, size: int) -> Batch:
  """Batch `number`, a function of it and the seed: each a photo, a prompt."""
  photo = batches.indices(seed, 'inversion', number, len(data.image), size)
  generator = rng.numpy(seed, 'inversion/prompts', number)
  prompt = generator.integers(len(data.ids), size=size)
  return Batch(data.image[photo], data.ids[prompt], data.mask[prompt])


def start(
  tokenizer: tokenizer_lib.Tokenizer,
  table: Float[Array, 'N D'],
  class_noun: str,
  count: int,
) -> Float[np.ndarray, 'V D']:
  """`count` vectors that each are the class noun's, or its pieces' mean."""
  pieces = tokenizer.encode(prompts_lib.clean_caption(class_noun))
  rows = hosts.whole(table[np.array(pieces)]).astype(np.float32)
  return np.tile(rows.mean(axis=0), (count, 1))


def loss(
  stage: cascade.Stage,
  encoder: t5.T5Encoder,
  objective: step.Objective,
  vectors: Float[Array, 'V D'],
  frozen: Frozen,
  batch: Batch,
  key: Array,
) -> tuple[Float[Array, ''], step.Metrics]:
  """The loss that the stage is fine-tuned with, as a function of vectors."""
  text = encoder.apply(
    {'params': frozen.text_encoder}, batch.ids, batch.mask, vectors
  ).astype(jnp.float32)
  seen = step.Batch(batch.image, text)
  draws = step.draw(stage, objective, seen, key)
  # No prompt is dropped: the empty one does not depend on the vectors.
  null_text = jnp.zeros_like(text[0])
  return step.loss(stage, objective, frozen.unet, seen, null_text, draws)


def make_step(
  stage: cascade.Stage,
  encoder: t5.T5Encoder,
  objective: step.Objective,
  tx: optax.GradientTransformationExtraArgs,
  mesh: jax.sharding.Mesh,
  shardings: state_lib.State,
) -> Callable:
  """Makes (state, frozen, batch, root) → (state, metrics), jitted.

  The state is donated, its parameters are {'embedding': vectors}. It is made
  once for all that it depends on, so that runs of one process compile it once.
  """
  key = sharding.as_key(shardings)
  return _step(stage, encoder, objective, tx, mesh, key)


@functools.lru_cache(step.KEPT)
def _step(stage, encoder, objective, tx, mesh, shardings: tuple):
  lie = (sharding.from_key(shardings), sharding.replicated(mesh))

  @functools.partial(jitted.Jitted, out_shardings=lie, donate_argnums=0)
  def update(state, frozen, batch, root):
    key = rng.key(root, 'inversion', state.step)
    of_vectors = lambda params: loss(
      stage, encoder, objective, params[NAME], frozen, batch, key
    )
    grads, parts = jax.grad(of_vectors, has_aux=True)(state.params)
    state, norm = step.apply_gradients(state, grads, tx, ema_decay=0.0)
    metrics = {'instance_loss': parts['mse'], 'instance_vlb': parts['vlb']}
    return state, {**metrics, 'grad_norm': norm}

  return update


def optimizer_of(hyper) -> optax.GradientTransformationExtraArgs:
  """The optimizer that the config's section asks for."""
  return optimizer.build(
    learning_rate=hyper.learning_rate,
    warmup=hyper.warmup,
    clip_norm=hyper.clip_norm,
  )


def run(
  stage: cascade.Stage,
  encoder: t5.T5Encoder,
  frozen: Frozen,
  initial: Float[np.ndarray, 'V D'],
  data: Examples,
  hyper,
  objective: step.Objective,
  *,
  seed: int,
  folder: pathlib.Path,
  fingerprint: str,
  mesh: jax.sharding.Mesh,
  sample: Callable | None = None,
  track: Callable | None = None,
) -> Float[np.ndarray, 'V D']:
  """Learns the vectors.

  Args:
    stage: the base; encoder: of its prompts; frozen: the parameters of both.
    initial: where the vectors start.
    data: photos and prompts.
    hyper: the config's section `inversion`.
    objective: the loss.
    seed: root of all randomness of the run.
    folder: gets `checkpoints/` and logs; resumed from, if there.
    fingerprint: names the inputs, so that no foreign checkpoint is resumed.
    mesh: the devices, on which `frozen` lies.
    sample: called as sample(vectors, steps done) every hyper.sample_every.
    track: called as track(step, **metrics) after every step.

  Raises:
    UserError: the loss is not finite.
  """
  saved = checkpoints.Checkpoints(
    folder / 'checkpoints', fingerprint, hyper.keep
  )
  tx = optimizer_of(hyper)
  params = {NAME: jnp.asarray(initial)}
  state, shardings = loop.begin(saved, params, tx, ema=False, mesh=mesh)
  update = make_step(stage, encoder, objective, tx, mesh, shardings)
  root = jax.random.key(seed)

  def advance(state, number):
    drawn = batch(data, seed=seed, number=number, size=hyper.batch)
    return update(state, frozen, sharding.put_batch(drawn, mesh), root)

  state = loop.run(
    'inversion',
    state,
    advance,
    **loop.options_of(hyper),
    checkpoints=saved,
    log_path=folder / 'metrics.jsonl',
    images=hyper.batch,
    sample=sample and (lambda s, done: sample(s.params[NAME], done)),
    track=track,
  )
  saved.close()
  return hosts.whole(state.params[NAME])
