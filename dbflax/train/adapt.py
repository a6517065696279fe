"""Which part of a network is trained, and how the whole comes out of it.

    params = compose(trainable, frozen)

    everything:  trainable = params, frozen = {}
    a part:      trainable ∪ frozen = params, by a regex over the paths
    LoRA:        frozen = params, W' = W + scale A B, scale = alpha / rank
                 (Hu et al., arXiv 2106.09685)

Gradients, moments and averages are kept of the trainable part only, which is
where memory is saved. Paths are strings such as
`down_blocks_1/attentions_0/to_q/kernel`.
"""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
from flax import traverse_util

from dbflax import errors, rng


@dataclasses.dataclass(frozen=True)
class Adaptation:
  """A way to train a network; this one trains everything."""

  def split(self, params: dict, key) -> tuple[dict, dict]:
    """(trainable, frozen); under `jax.eval_shape` shapes will do.

    Raises:
      UserError: a regex fits none of the paths.
    """
    del key
    return params, {}

  def compose(self, trainable: dict, frozen: dict) -> dict:
    """The network's parameters; right after `split`, the same bits."""
    del frozen
    return trainable

  def lora(self, trainable: dict) -> dict | None:
    """A and B of a LoRA whose scale is 1; None of all else."""
    del trainable
    return None


EVERYTHING = Adaptation()


@dataclasses.dataclass(frozen=True)
class Part(Adaptation):
  """The parameters whose path `pattern` is found in."""

  pattern: str
  field: str  # of the config, for messages

  def split(self, params, key):
    del key
    flat = _flatten(params)
    chosen = set(_matching(self.pattern, flat, self.field))
    trainable = {k: v for k, v in flat.items() if k in chosen}
    frozen = {k: v for k, v in flat.items() if k not in chosen}
    return _unflatten(trainable), _unflatten(frozen)

  def compose(self, trainable, frozen):
    return _unflatten(_flatten(trainable) | _flatten(frozen))


_A, _B = 'lora_A/kernel', 'lora_B/kernel'


@dataclasses.dataclass(frozen=True)
class LoRA(Adaptation):
  """A [in, r] and B [r, out] beside every matrix [in, out] that is targeted.

  A is drawn as peft draws it (uniform in ±1/√in), B is zero, so that training
  starts from the pre-trained network.
  """

  rank: int
  scale: float
  targets: str
  field: str  # of the config, for messages

  def split(self, params, key):
    flat = _flatten(params)
    kernels = {k: v for k, v in flat.items() if k.endswith('/kernel')}
    chosen = _matching(self.targets, kernels, self.field)
    wrong = [path for path in chosen if len(kernels[path].shape) != 2]
    if wrong:
      raise errors.UserError(
        f'{self.field}={self.targets!r} is found in {len(wrong)} '
        f'convolutions, such as {wrong[0]} {kernels[wrong[0]].shape}; a LoRA '
        'is for matrices only, so let the pattern say less.'
      )
    factors = {}
    for path in chosen:
      parent = path.removesuffix('kernel')
      rows, columns = kernels[path].shape
      bound = 1 / math.sqrt(rows)
      factors[parent + _A] = jax.random.uniform(
        rng.key(key, path), (rows, self.rank), jnp.float32, -bound, bound
      )
      factors[parent + _B] = jnp.zeros((self.rank, columns), jnp.float32)
    return _unflatten(factors), params

  def compose(self, trainable, frozen):
    factors, params = _flatten(trainable), _flatten(frozen)
    for path in [path for path in factors if path.endswith(_A)]:
      parent = path.removesuffix(_A)
      a, b = factors[path], factors[parent + _B]
      update = self.scale * jnp.matmul(a, b, precision='highest')
      kernel = params[f'{parent}kernel']
      params[f'{parent}kernel'] = kernel.astype(jnp.float32) + update
    return _unflatten(params)

  def lora(self, trainable):
    flat = _flatten(trainable)
    return _unflatten(
      {k: self.scale * v if k.endswith(_B) else v for k, v in flat.items()}
    )


def build(
  *,
  trainable: str = '',
  rank: int = 0,
  alpha: float = 0.0,
  targets: str = '',
  field: str = '',
) -> Adaptation:
  """The adaptation that a stage's config asks for.

  Args:
    trainable: regex searched in paths; '' is everything.
    rank: LoRA's rank; 0 is no LoRA.
    alpha: LoRA's update is scaled by alpha / rank; 0 stands for the rank.
    targets: regex searched in the paths of kernels that get a LoRA.
    field: where this stands in the config, such as 'stage_1', for messages.

  Raises:
    UserError: both a part and LoRA are asked for.
  """
  if rank and trainable:
    raise errors.UserError(
      f'{field}.lora.rank={rank} and {field}.trainable={trainable!r} are two '
      'ways to train little; set the rank to 0 or trainable to empty.'
    )
  if rank:
    scale = alpha / rank if alpha else 1.0
    return LoRA(rank, scale, targets, f'{field}.lora.targets')
  if trainable:
    return Part(trainable, f'{field}.trainable')
  return EVERYTHING


def _flatten(params: dict) -> dict:
  return traverse_util.flatten_dict(params, sep='/')


def _unflatten(flat: dict) -> dict:
  return traverse_util.unflatten_dict(flat, sep='/')


def _matching(pattern: str, paths, field: str) -> list[str]:
  """The paths in which `pattern` is found; raises UserError if none is."""
  paths = sorted(paths)
  found = [path for path in paths if re.search(pattern, path)]
  if not found:
    some = paths[:: math.ceil(len(paths) / 4)]
    raise errors.UserError(
      f'{field}={pattern!r} is found in none of {len(paths)} paths, such as '
      f'{", ".join(some)}.'
    )
  return found


def store(frozen: dict, dtype: str) -> dict:
  """Matrices and convolutions in `dtype`; vectors, which are small, as is."""
  to = jnp.dtype(dtype)
  return jax.tree.map(
    lambda a: a.astype(to, copy=False) if a.ndim > 1 else a, frozen
  )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Completion:
  """trainable → params.

  It is a tree of the frozen arrays, so a compiled program that is given one
  takes them as arguments, not as constants.
  """

  adaptation: Adaptation = dataclasses.field(metadata={'static': True})
  frozen: dict

  def __call__(self, trainable: dict) -> dict:
    return self.adaptation.compose(trainable, self.frozen)


WHOLE = Completion(EVERYTHING, {})
