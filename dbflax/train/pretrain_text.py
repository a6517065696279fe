"""Pre-training of the small T5 encoder on toybox captions.

Two questions at once, each a linear layer that is thrown away after: which
words were masked (read with the transposed embedding table, as T5's decoder
does), and which scene the caption describes (class, place, style, …, read from
the mean of the states). The first gives every piece of the vocabulary, rare
ones too, a trained embedding; the second makes the states easy to condition on.
"""

import pathlib

import jax
import jax.numpy as jnp
import optax

from dbflax import cascade, checkpoints, disk, rng, sharding
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.toybox import scene, stream
from dbflax.train import loop, optimizer
from dbflax.train import state as state_lib

# What a caption is asked for: fields of Scene and their number of values.
_QUESTIONS = {
  'class_id': len(scene.CLASSES),
  'place_id': len(scene.PLACES),
  'style_id': len(scene.STYLES),
  'accessory_id': len(scene.ACCESSORIES),
  'expression_id': len(scene.EXPRESSIONS),
  'view_id': len(scene.VIEWS),
  'material_id': len(scene.MATERIALS),
  'colour_id': len(scene.COLOURS),
}
_MASKED = 0.15  # share of pieces replaced by the unknown piece


def _init_heads(width: int, key) -> dict:
  """The linear questions: {field: {'kernel': [D, values]}}."""
  init = jax.nn.initializers.lecun_normal()
  kernel = lambda name, n: init(rng.key(key, name), (width, n))
  return {name: {'kernel': kernel(name, n)} for name, n in _QUESTIONS.items()}


def _answers(batch: scene.Scene) -> dict:
  """What each caption describes: {field: int [B]}."""
  colour = jax.vmap(scene.nearest_colour)(batch.individual)
  fields = {**batch._asdict(), 'colour_id': colour}
  return {name: fields[name] for name in _QUESTIONS}


def loss(encoder, params: dict, ids, mask, answers: dict, key):
  """(loss, metrics) of captions `ids` [B, L] that describe `answers`."""
  hide = jax.random.bernoulli(key, _MASKED, ids.shape) & (mask > 0)
  seen = jnp.where(hide, tokenizer_lib.UNKNOWN, ids)
  states = encoder.apply({'params': params['encoder']}, seen, mask)
  table = params['encoder']['shared']['embedding']
  cross_entropy = optax.softmax_cross_entropy_with_integer_labels
  # Scaled as T5 scales its tied output layer.
  words = cross_entropy(states @ table.T * states.shape[-1] ** -0.5, ids)
  words = (words * hide).sum() / jnp.maximum(hide.sum(), 1)
  weights = mask[..., None] / mask.sum(1)[:, None, None]
  pooled = (states * weights).sum(1)
  scenes = {
    name: cross_entropy(pooled @ head['kernel'], answers[name]).mean()
    for name, head in params['heads'].items()
  }
  total = words + sum(scenes.values())
  return total, {'words': words, **scenes}


def run(config, model: cascade.Cascade, work: pathlib.Path) -> dict:
  """Trains the encoder; returns its averaged parameters (host)."""
  hyper, mesh = config.text_encoder, sharding.make_mesh()
  root = jax.random.key(config.seed)
  tx = optimizer.build(
    learning_rate=hyper.learning_rate,
    steps=hyper.steps,
    warmup=hyper.warmup,
    decay=1.0,
  )
  width = model.encoder.d_model

  def create():
    params = {
      'encoder': cascade.init_encoder(model.encoder, rng.key(root, 'text')),
      'heads': _init_heads(width, rng.key(root, 'heads')),
    }
    return state_lib.create(params, tx, ema=False)

  @jax.jit
  def update(state, batch, ids, mask):
    key = rng.key(root, 'mask', state.step)
    answers = _answers(batch)
    scalar = lambda p: loss(model.encoder, p, ids, mask, answers, key)
    grads, metrics = jax.grad(scalar, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state_lib.State(state.step + 1, params, opt_state, None), metrics

  draw = stream.host_scenes(root)

  def one(state, number):
    batch = draw(number, hyper.batch)
    texts = stream.write_captions(batch, config.seed, number)
    return update(state, batch, *model.tokenizer.ids(texts, hyper.max_length))

  saved = checkpoints.Checkpoints(
    work / 'checkpoints',
    disk.fingerprint([hyper.to_dict(), config.seed]),
  )
  shardings = sharding.shard_tree(jax.eval_shape(create), mesh)
  state = loop.run(
    'text_encoder',
    loop.restore(saved, jax.jit(create), shardings),
    one,
    steps=hyper.steps,
    checkpoints=saved,
    checkpoint_every=hyper.checkpoint_every,
    log_path=work / 'metrics.jsonl',
  )
  saved.close()
  return jax.device_get(state.params['encoder'])
