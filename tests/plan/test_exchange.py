"""What devices exchange, by hand: the least of kernel, values and results."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from dbflax.plan import exchange, hardware, quick, steps


def _floats(*shape, dtype=jnp.float32):
  return jax.ShapeDtypeStruct(shape, dtype)


def _least(run, *args, batch=8, fsdp=4, replicas=1):
  return exchange.least(jax.make_jaxpr(run)(*args), batch, fsdp, replicas)


@pytest.mark.parametrize(
  ('values', 'kernel', 'smallest'),
  [
    ((8, 100), (100, 200), 8 * 100),  # the values that go in
    ((8, 100), (100, 50), 8 * 50),  # those that come out
    ((8, 9, 9, 6), (6, 7), 6 * 7),  # the kernel
    ((16, 100), (100, 200), 16 * 100),  # both branches of guidance
  ],
)
def test_the_smallest_array_of_a_product_is_sent(values, kernel, smallest):
  run = lambda x, w: x @ w
  found = _least(run, _floats(*values), _floats(*kernel))
  assert found == 4 * smallest * 3 / 4
  # In the type of the computation, and not at all to a single device.
  half = [_floats(*shape, dtype=jnp.bfloat16) for shape in (values, kernel)]
  assert _least(run, *half) == found / 2
  assert _least(run, _floats(*values), _floats(*kernel), fsdp=1) == 0


def test_convolutions_count_and_attention_does_not():
  image, kernel = _floats(8, 32, 32, 5), _floats(3, 3, 5, 6)
  axes = ('NHWC', 'HWIO', 'NHWC')
  run = lambda x, w: jax.lax.conv_general_dilated(
    x, w, (1, 1), 'SAME', dimension_numbers=axes
  )
  assert _least(run, image, kernel) == 4 * 3 * 3 * 5 * 6 * 3 / 4
  among = lambda x: x @ x.swapaxes(1, 2)
  assert _least(among, _floats(8, 5, 6)) == 0


def test_replicas_share_examples_and_sum_gradients():
  x, w = _floats(8, 100), _floats(100, 200)
  # Each of two groups has half of the values.
  assert _least(lambda x, w: x @ w, x, w, replicas=2) == 4 * 4 * 100 * 3 / 4
  gradient = jax.grad(lambda w, x: (x @ w).sum())
  alone = _least(gradient, w, x)
  # The products of the network and of its gradient: two.
  assert alone == 2 * 4 * 8 * 100 * 3 / 4
  both = _least(gradient, w, x, replicas=2)
  # Sums in, results out, of the fourth that each device has, by two groups.
  assert both == alone / 2 + 2 * 4 * 100 * 200 / 4 / 2


def test_what_runs_again_is_sent_again():
  def run(x, w):
    return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0]

  once = 4 * 8 * 50 * 3 / 4
  assert _least(run, _floats(8, 50), _floats(50, 50)) == 5 * once


def test_time_is_the_interconnects_where_that_is_slow():
  run = jax.jit(lambda x, w: x @ w)
  args = (_floats(8, 100), _floats(100, 200))
  program = steps.Program('p', run, args, calls=3, batch=8, share=4)
  step = steps.Step('s', 1, (program,), {}, 4)
  chip = hardware.CHIPS['v5e']
  slow = dataclasses.replace(chip, interconnect=1e6)
  fast, row = (quick.row(step, c, 1.0, {}) for c in (chip, slow))
  assert row.sent == fast.sent == 3 * 4 * 8 * 100 * 3 / 4
  assert row.least == pytest.approx(row.sent / 1e6)
  assert fast.least < row.least
