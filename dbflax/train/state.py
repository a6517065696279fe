"""What a training step carries from one step to the next."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from dbflax import sharding


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """Everything that a checkpoint holds. `ema` is None when it is off."""

  step: jax.Array  # int32 scalar: updates done
  params: dict  # the trainable part of the network (train.adapt), or all of it
  opt_state: optax.OptState
  ema: dict | None


def create(
  params: dict, optimizer: optax.GradientTransformation, ema: bool
) -> State:
  """A state at step 0; the average starts as a copy of the parameters."""
  return State(
    jnp.zeros((), jnp.int32),
    params,
    optimizer.init(params),
    # A copy of its own, since the step donates the state's buffers.
    jax.tree.map(jnp.copy, params) if ema else None,
  )


def start(
  params: dict,
  optimizer: optax.GradientTransformation,
  *,
  ema: bool,
  mesh: jax.sharding.Mesh,
) -> tuple[Callable[[], State], State]:
  """(what calls `create` for a state on the mesh, the state's shardings).

  Parameters are placed now. All else is made where they lie, by one program,
  not by one for each shape: XLA would keep them all.
  """
  new = functools.partial(create, optimizer=optimizer, ema=ema)
  shardings = sharding.shard_tree(jax.eval_shape(new, params), mesh)
  params = sharding.put(params, shardings.params)
  without = functools.partial(dataclasses.replace, params=None)
  rest = jax.jit(lambda p: without(new(p)), out_shardings=without(shardings))
  return lambda: dataclasses.replace(rest(params), params=params), shardings


def best_params(state: State) -> dict:
  """The parameters to sample with and to export."""
  return state.params if state.ema is None else state.ema
