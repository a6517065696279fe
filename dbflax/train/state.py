"""What a training step carries from one step to the next."""

import dataclasses

import jax
import jax.numpy as jnp
import optax


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


def best_params(state: State) -> dict:
  """The parameters to sample with and to export."""
  return state.params if state.ema is None else state.ema
