"""Training of the oracle (toybox.oracle) on toybox renders.

A batch shows a few classes, several individuals of each, and each individual
in several scenes. Three losses: every question's cross-entropy; the numbers
of the individual; and a supervised contrastive loss (Khosla et al., 2020) on
the identity vectors, whose hard negatives are the others of the same class:

  L = - Σ_i Σ_{j same as i} w_i w_j log(e^{s_ij / τ} / Σ_{k ≠ i} e^{s_ik / τ})

with s_ij the dot product. Pictures that hide the individual's colours (a
sketch, a golden one) count less there, w < 1. Noise, blur and tint teach
it to read generated pictures as well as renders.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from dbflax import checkpoints, disk, rng, sharding
from dbflax.toybox import oracle, oracle_check, scene, stream
from dbflax.train import loop, optimizer
from dbflax.train import state as state_lib

_TEMPERATURE = 0.1
_HIDDEN = 0.2  # weight where the individual's colours do not show
_COLOURED_STYLES = ('photo', 'painting', 'pixel art')
# Losses other than the questions' are weighted to start at a like size.
_IDENTITY_WEIGHT = 1.0
_NUMBERS_WEIGHT = 3.0

Image = Float[Array, 'B H W 3']


def draw_scenes(
  root, step, *, classes: int, individuals: int, scenes: int
) -> scene.Scene:
  """`scenes` of each of `individuals` of each of `classes`, in this order."""
  key = rng.key(root, 'individuals', step)
  kinds = jax.random.permutation(rng.key(key, 'classes'), len(scene.CLASSES))
  kinds = jnp.repeat(kinds[:classes], individuals)

  def of(class_id, key):
    who = scene.individual(rng.key(key, 'individual'), class_id)
    keys = jax.random.split(rng.key(key, 'scenes'), scenes)
    return jax.vmap(lambda key: scene.around(key, who, class_id))(keys)

  drawn = jax.vmap(of)(
    kinds, jax.random.split(rng.key(key, 'each'), len(kinds))
  )
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn)


def augment(images: Image, key) -> Image:
  """Mirrors, blurs, tints and noises each picture by a random amount."""
  count = len(images)
  k = lambda name: rng.key(key, name)
  spread = lambda name, *shape: jax.random.uniform(
    k(name), (count, 1, 1, *(shape or (1,))), minval=-1.0, maxval=1.0
  )
  # Negative half the time: half of the pictures go without.
  some = lambda name: jnp.maximum(spread(name), 0.0)
  x = jnp.where(spread('mirror') > 0, images[:, :, ::-1], images)
  x = x + some('blur') * (_blurred(x) - x)
  x = x + some('coarse') * (_coarse(x) - x)
  x = x * (1 + 0.1 * spread('contrast')) + 0.08 * spread('brightness')
  x = x + 0.03 * spread('tint', 3)
  noise = rng.normal(k('noise'), x.shape)
  return x + 0.2 * jnp.square(some('noise level')) * noise


def _blurred(x: Image) -> Image:
  """Weights 1 4 6 4 1 along both axes: about a Gaussian of one pixel."""
  for axis in (1, 2, 1, 2):
    size = x.shape[axis]
    ends = [(int(a == axis),) * 2 for a in range(x.ndim)]
    wide = jnp.pad(x, ends, 'edge')
    cut = [jax.lax.slice_in_dim(wide, i, i + size, axis=axis) for i in range(3)]
    x = 0.25 * (cut[0] + 2 * cut[1] + cut[2])
  return x


def _coarse(x: Image) -> Image:
  """Averaged down to half the size and enlarged again."""
  b, h, w, c = x.shape
  small = x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
  return jax.image.resize(small, x.shape, 'linear')


def contrastive(
  identity: Float[Array, 'N D'],
  individual: Int[Array, ' N'],
  weight: Float[Array, ' N'],
) -> Float[Array, '']:
  """The supervised contrastive loss, the mean over weighted positive pairs."""
  self = jnp.eye(len(identity), dtype=bool)
  logits = identity @ identity.T / _TEMPERATURE
  log_share = jax.nn.log_softmax(jnp.where(self, -1e9, logits), axis=-1)
  same = (individual[:, None] == individual) & ~self
  weights = same * weight[:, None] * weight
  return -(weights * log_share).sum() / weights.sum()


def _shows_colours(batch: scene.Scene) -> Float[Array, ' B']:
  """1 where the individual's colours are seen, else the lower weight."""
  styles = np.array([scene.STYLES.index(name) for name in _COLOURED_STYLES])
  natural = batch.material_id == scene.MATERIALS.index('natural')
  seen = jnp.isin(batch.style_id, styles) & natural
  return jnp.where(seen, 1.0, _HIDDEN)


def _numbers_loss(guess, truth, weight) -> Float[Array, '']:
  """Squared error of the numbers and cross-entropy of the marking."""
  marking = optax.softmax_cross_entropy(
    guess[:, scene.MARK], truth[:, scene.MARK]
  )
  error = jnp.square(guess - truth)
  # Colours span half of what proportions span, and tell more.
  colours = error[:, : scene.SHAPE.start].mean(-1)
  shape = error[:, scene.SHAPE].mean(-1) + error[:, scene.MARK_AT].mean(-1)
  each = 4 * colours + 0.5 * shape + 0.2 * marking
  return (weight * each).sum() / weight.sum()


def loss(network: oracle.Network, params: dict, images, batch, scenes: int):
  """(loss, metrics) of pictures of `scenes` scenes of each individual."""
  reading = network.apply({'params': params}, images)
  cross_entropy = optax.softmax_cross_entropy_with_integer_labels
  asked = {
    name: cross_entropy(logits, getattr(batch, name)).mean()
    for name, logits in reading.logits.items()
  }
  weight = _shows_colours(batch)
  individual = jnp.arange(len(images)) // scenes
  identity = contrastive(reading.identity, individual, weight)
  numbers = _numbers_loss(reading.numbers, batch.individual, weight)
  total = sum(asked.values())
  total += _IDENTITY_WEIGHT * identity + _NUMBERS_WEIGHT * numbers
  metrics = {**asked, 'identity': identity, 'numbers': numbers}
  return total, {'loss': total, **metrics}


def _build_network(hyper) -> oracle.Network:
  return oracle.Network(
    tuple(hyper.widths), tuple(hyper.blocks), hyper.features, hyper.embedding
  )


def _make_update(network: oracle.Network, tx, hyper, root):
  """update(state, images, scenes) → (state, metrics)."""

  @functools.partial(jax.jit, donate_argnums=0)
  def update(state, images, batch):
    seen = augment(images, rng.key(root, 'augment', state.step))
    scalar = lambda p: loss(network, p, seen, batch, hyper.scenes)
    grads, metrics = jax.grad(scalar, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = optax.incremental_update(params, state.ema, 1 - hyper.ema_decay)
    return state_lib.State(state.step + 1, params, opt_state, ema), metrics

  return update


def _make_draw(hyper, root):
  """draw(number) → (pictures, scenes) of the number-th batch of renders."""

  # A batch of renders is used several times in a row, augmented anew: drawing
  # it costs as much as learning from it.
  @functools.lru_cache(maxsize=1)
  @jax.jit
  def draw(number):
    batch = draw_scenes(
      root,
      number,
      classes=hyper.classes,
      individuals=hyper.individuals,
      scenes=hyper.scenes,
    )
    return stream.images(batch, oracle.RESOLUTION), batch

  return draw


def run(config, folder: pathlib.Path, work: pathlib.Path) -> None:
  """Trains the oracle into `folder`; prints how good it is.

  Args:
    config: configs/toybox.py.
    folder: the oracle's folder.
    work: checkpoints and logs.
  """
  hyper, root = config.oracle, jax.random.key(config.seed)
  network = _build_network(hyper)
  tx = optimizer.build(
    kind=hyper.optimizer,
    learning_rate=hyper.learning_rate,
    steps=hyper.steps,
    warmup=hyper.warmup,
    decay=1.0,
    weight_decay=hyper.weight_decay,
  )
  create = lambda: state_lib.create(
    oracle.init(network, rng.key(root, 'oracle')), tx, ema=True
  )
  shardings = sharding.shard_tree(jax.eval_shape(create), sharding.make_mesh())
  saved = checkpoints.Checkpoints(
    work / 'checkpoints',
    disk.fingerprint([hyper.to_dict(), config.seed, oracle.QUESTIONS]),
  )
  update, draw = _make_update(network, tx, hyper, root), _make_draw(hyper, root)
  state = loop.run(
    'oracle',
    loop.restore(saved, jax.jit(create), shardings),
    lambda state, number: update(state, *draw(number // hyper.repeats)),
    steps=hyper.steps,
    checkpoints=saved,
    checkpoint_every=hyper.checkpoint_every,
    log_path=work / 'metrics.jsonl',
    images=hyper.classes * hyper.individuals * hyper.scenes,
  )
  saved.close()
  params = jax.device_get(state_lib.best_params(state))
  oracle.save(folder, oracle.Oracle(network, params))
  measured = oracle_check.measure(
    oracle.load(folder), config.seed, scenes=hyper.measure_scenes
  )
  disk.write_json(work / 'measured.json', measured)
  print(', '.join(f'{name} {value:.4f}' for name, value in measured.items()))
