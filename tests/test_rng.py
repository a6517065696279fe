import jax
import numpy as np

from dbflax import rng


def test_normal_is_jax_s_own_bit_for_bit():
  shape = (2, 8, 8, 3)
  key = jax.random.key(1)
  np.testing.assert_array_equal(
    rng.normal(key, shape), jax.random.normal(key, shape)
  )


def test_normal_of_many_keys_is_jax_s_own_bit_for_bit():
  keys = jax.random.split(jax.random.key(2), 3)
  drawn = jax.vmap(lambda key: rng.normal(key, (8, 8, 3)))(keys)
  expected = jax.vmap(lambda key: jax.random.normal(key, (8, 8, 3)))(keys)
  np.testing.assert_array_equal(drawn, expected)
