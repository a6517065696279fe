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
import functools
import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import traverse_util

from dbflax import errors, rng


@dataclasses.dataclass(frozen=True)
class Adaptation:
  """A way to train a network: pure functions of nested dicts.

  split: (params, key) → (trainable, frozen). It raises UserError if a regex
    fits none of the paths; under `jax.eval_shape` shapes will do.
  compose: (trainable, frozen) → params. After `split` and before a step it
    gives back the same bits.
  lora: trainable → A and B of a LoRA whose scale is 1; None of all else.
  """

  split: Callable[[dict, jax.Array], tuple[dict, dict]]
  compose: Callable[[dict, dict], dict]
  lora: Callable[[dict], dict | None] = lambda trainable: None


@dataclasses.dataclass(frozen=True)
class _Scaled:
  """function(scale, …); in another process, equal to what it is here."""

  function: Callable
  scale: float

  def __call__(self, *args, **kwargs):
    return self.function(self.scale, *args, **kwargs)


@functools.cache
def build(
  *,
  trainable: str = '',
  rank: int = 0,
  alpha: float = 0.0,
  targets: str = '',
  field: str = '',
) -> Adaptation:
  """The adaptation that a stage's config asks for.

  Equal arguments give the same object, which programs are found by.

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
    split = functools.partial(_factors, rank, targets, f'{field}.lora.targets')
    scale = alpha / rank if alpha else 1.0
    return Adaptation(split, _Scaled(_add, scale), _Scaled(_fold, scale))
  if trainable:
    split = functools.partial(_part, trainable, f'{field}.trainable')
    return Adaptation(split, _union)
  return EVERYTHING


def _whole(trainable: dict, frozen: dict) -> dict:
  del frozen  # nothing is
  return trainable


EVERYTHING = Adaptation(lambda params, key: (params, {}), _whole)


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


# --- A part ------------------------------------------------------------------


def _part(pattern: str, field: str, params: dict, key) -> tuple[dict, dict]:
  del key  # nothing is drawn
  flat = _flatten(params)
  chosen = set(_matching(pattern, flat, field))
  of = lambda inside: {k: v for k, v in flat.items() if (k in chosen) == inside}
  return _unflatten(of(True)), _unflatten(of(False))


def _union(trainable: dict, frozen: dict) -> dict:
  return _unflatten(_flatten(trainable) | _flatten(frozen))


# --- LoRA --------------------------------------------------------------------

_A, _B = 'lora_A/kernel', 'lora_B/kernel'


def _factors(
  rank: int, pattern: str, field: str, params: dict, key
) -> tuple[dict, dict]:
  """A [in, r] and B [r, out] beside every matrix [in, out] that is targeted.

  A is drawn as peft draws it (uniform in ±1/√in), B is zero, so that training
  starts from the pre-trained network.
  """
  flat = _flatten(params)
  kernels = {k: v for k, v in flat.items() if k.endswith('/kernel')}
  chosen = _matching(pattern, kernels, field)
  wrong = [path for path in chosen if len(kernels[path].shape) != 2]
  if wrong:
    raise errors.UserError(
      f'{field}={pattern!r} is found in {len(wrong)} convolutions, such as '
      f'{wrong[0]} {kernels[wrong[0]].shape}; a LoRA is for matrices only, '
      'so let the pattern say less.'
    )
  factors = {}
  for path in chosen:
    parent = path.removesuffix('kernel')
    rows, columns = kernels[path].shape
    bound = 1 / math.sqrt(rows)
    factors[parent + _A] = jax.random.uniform(
      rng.key(key, path), (rows, rank), jnp.float32, -bound, bound
    )
    factors[parent + _B] = jnp.zeros((rank, columns), jnp.float32)
  return _unflatten(factors), params


def _add(scale: float, trainable: dict, frozen: dict) -> dict:
  """Every targeted matrix plus its update; all else as it is."""
  factors, params = _flatten(trainable), _flatten(frozen)
  for path in [path for path in factors if path.endswith(_A)]:
    parent = path.removesuffix(_A)
    update = jnp.matmul(
      factors[path], factors[parent + _B], precision='highest'
    )
    kernel = params[f'{parent}kernel']
    params[f'{parent}kernel'] = kernel.astype(jnp.float32) + scale * update
  return _unflatten(params)


def _fold(scale: float, lora: dict) -> dict:
  """The same LoRA with a scale of 1: `scale` goes into B."""
  flat = _flatten(lora)
  return _unflatten(
    {k: scale * v if k.endswith(_B) else v for k, v in flat.items()}
  )


# --- What is frozen ----------------------------------------------------------


def store(frozen: dict, dtype: str) -> dict:
  """Matrices and convolutions in `dtype`; vectors, which are small, as is."""
  to = jnp.dtype(dtype)
  return jax.tree.map(
    lambda a: a.astype(to, copy=False) if a.ndim > 1 else a, frozen
  )


def completion(adaptation: Adaptation, frozen: dict) -> jax.tree_util.Partial:
  """trainable → params.

  A Partial is a tree of the arrays that it binds, so a compiled program that
  is given one takes the frozen part as an argument, not as constants.
  """
  return jax.tree_util.Partial(adaptation.compose, frozen=frozen)


WHOLE = completion(EVERYTHING, {})
