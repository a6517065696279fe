"""How a state begins on its devices."""

import jax.numpy as jnp
import numpy as np

from dbflax import sharding
from dbflax.train import optimizer
from dbflax.train import state as state_lib
from tests import heard


def test_all_but_the_parameters_is_made_by_one_program():
  """Not by one for each shape of an array."""
  params = {
    f'conv_{n}': {'kernel': jnp.asarray(np.ones((n, 7), np.float32))}
    for n in range(3, 13)
  }
  tx, mesh = optimizer.build(learning_rate=1e-4, steps=9), sharding.make_mesh()
  with heard.programs() as names:
    create, shardings = state_lib.start(params, tx, ema=True, mesh=mesh)
    state = create()
  assert len(names) == 1, names
  assert state.params['conv_5']['kernel'].sum() == 5 * 7
  kernel = state.ema['conv_5']['kernel']
  assert kernel is not state.params['conv_5']['kernel']
  assert kernel.sharding == shardings.ema['conv_5']['kernel']
