"""dbflax.main, with a simple map in place of every U-Net; its own arguments.

For tests of what is around the networks: a map compiles at once, and it has a
gradient.
"""

import contextlib
import sys

import jax.numpy as jnp
import pytest

from dbflax import cascade, main
from dbflax.train import step


def network(stage, params, x_t, t, text, conditioning):
  """As `cascade.network`; the variance is 0."""
  del stage, t, conditioning
  bias = params['conv_in']['bias']
  y = x_t * bias.mean() + bias[:3] + text.mean()
  return jnp.concatenate([y, 0 * y], axis=-1)


@contextlib.contextmanager
def in_this_process():
  """The same for `main.main`; no program made of other networks is used."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cascade, 'network', network)
    _forget_programs()
    yield
  _forget_programs()


def _forget_programs() -> None:
  for kept in (cascade.make_sampler, step._gradient):
    kept.cache_clear()


if __name__ == '__main__':
  cascade.network = network
  sys.exit(main.main(sys.argv))
