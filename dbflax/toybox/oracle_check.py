"""How far the oracle can be trusted: measured on renders it never saw.

Questions are counted on held-out scenes of every view, style and material.
Identity is the AUC of same-individual against same-class-other pairs, every
picture another scene, of held-out individuals as photos of natural material,
seen from the side or the front: elsewhere much of what tells individuals
apart is not in the picture.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dbflax import rng
from dbflax.evaluate import metrics
from dbflax.toybox import oracle as oracle_lib
from dbflax.toybox import scene, stream

_BATCH = 50  # scenes rendered at a time


def measure(
  oracle: oracle_lib.Oracle,
  seed: int,
  *,
  scenes: int = 2000,
  individuals: int = 30,
  photos: int = 4,
) -> dict[str, float]:
  """The share of right answers to each question, and 'identity', the AUC.

  Args:
    oracle: the oracle to measure.
    seed: root of the scenes.
    scenes: held-out scenes to ask about.
    individuals: of every class, for identity.
    photos: of each individual.
  """
  root = jax.random.key(seed)
  asked = _held_out(jax.random.split(rng.key(root, 'asked'), scenes))
  right = oracle_lib.right(_read(oracle, asked), asked)
  shares = {name: float(values.mean()) for name, values in right.items()}
  shown = portraits(rng.key(root, 'portraits'), individuals, photos)
  identity = _read(oracle, shown).identity
  same, other = metrics.same_and_other(
    identity,
    individual=np.arange(len(identity)) // photos,
    group=np.asarray(shown.class_id),
  )
  return {**shares, 'identity': metrics.auc(same, other)}


@jax.jit
def _held_out(keys) -> scene.Scene:
  return jax.vmap(lambda key: scene.sample(key, held_out=True))(keys)


def portraits(key, individuals: int, photos: int) -> scene.Scene:
  """`photos` scenes of each of `individuals` of every class, in this order.

  All are held-out individuals, in photo style, of natural material, from the
  side or the front; place, accessory, expression, pose and light vary.
  """
  count = len(scene.CLASSES) * individuals
  class_ids = np.repeat(np.arange(len(scene.CLASSES)), individuals)

  def of(class_id, key):
    who = scene.individual(rng.key(key, 'individual'), class_id, held_out=True)
    keys = jax.random.split(rng.key(key, 'scenes'), photos)
    return jax.vmap(lambda key: _portrait(key, who, class_id))(keys)

  drawn = jax.jit(jax.vmap(of))(class_ids, jax.random.split(key, count))
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn)


def _portrait(key, individual, class_id) -> scene.Scene:
  drawn = scene.around(key, individual, class_id, held_out=True)
  turned = jax.random.randint(rng.key(key, 'turned'), (), 0, 2)
  views = jnp.array([scene.VIEWS.index(view) for view in ('side', 'front')])
  return drawn._replace(
    style_id=jnp.zeros_like(drawn.style_id),
    material_id=jnp.zeros_like(drawn.material_id),
    view_id=views[turned],
  )


def _read(oracle: oracle_lib.Oracle, scenes: scene.Scene) -> oracle_lib.Reading:
  """Renders scenes and reads the renders, a batch at a time."""
  count = len(scenes.class_id)
  parts = []
  for start in range(0, count, _BATCH):
    index = np.arange(start, start + _BATCH) % count
    images = _render(jax.tree.map(lambda x, i=index: x[i], scenes))
    parts.append(np.asarray(images))
  return oracle_lib.read(oracle, np.concatenate(parts)[:count])


@jax.jit
def _render(scenes: scene.Scene):
  return stream.images(scenes, oracle_lib.RESOLUTION)
