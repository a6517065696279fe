"""Bytes that programs move in memory: of a text by hand, and of real ones."""

import jax
import jax.numpy as jnp
import pytest

from dbflax.plan import traffic

_TEXT = """HloModule jit_f, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %twice = f32[8]{0} add(%p, %p)
}

%condition (c: (s32[], f32[8])) -> pred[] {
  %n = s32[]{:T(128)S(2)} constant(50)
  ROOT %lt = pred[]{:S(2)} compare(%i, %n), direction=LT
}

%body (b: (s32[], f32[8])) -> (s32[], f32[8]) {
  %h = f32[8]{0} get-tuple-element(%b), index=1
  %f = f32[8]{0} fusion(%h), kind=kLoop, calls=%fused
  ROOT %t = (s32[], f32[8]{0}) tuple(%i, %f)
}

ENTRY %main (x: f32[40,160]) -> f32[8] {
LINES
}
"""


def _read(*lines: str) -> int:
  return traffic.read(_TEXT.replace('LINES', '\n'.join(lines)))


_X = '  %x = f32[40,160]{1,0} parameter(0)'
_WHOLE = 4 * 40 * 160


@pytest.mark.parametrize(
  ('line', 'moved'),
  [
    ('%y = f32[40,160]{1,0} fusion(%x), calls=%fused', 2 * _WHOLE),
    ('%y = f32[40,160]{1,0:T(8,128)S(1)} fusion(%x), calls=%fused', _WHOLE),
    ('%y = f32[40,160]{1,0} bitcast(%x)', 0),
    ('%y = f32[8,160]{1,0} slice(%x), slice={[0:8], [0:160]}', 2 * _WHOLE / 5),
    # Two reads.
    ('%y = f32[40,160]{1,0} add(%x, %x)', 3 * _WHOLE),
    # Both of a tuple; the numbers that only wait are elsewhere.
    ('%y = (f32[40,160]{1,0}, pred[40]{0}, s32[]{:S(2)}) f(%x)', 51240),
  ],
)
def test_an_operation_moves_what_it_is_given_and_makes(line, moved):
  assert _read(_X, line) == moved


def test_a_copy_beside_the_computation_moves_its_slice_once():
  fast = 'f32[8,160]{1,0:T(8,128)S(1)}'
  found = _read(
    _X,
    f'  %s = ((f32[40,160]{{1,0}}), {fast}, s32[]{{:S(2)}}) slice-start(%x)',
    f'  %d = {fast} slice-done(%s)',
    f'  %f = {fast} fusion(%d), calls=%fused',
    f'  %c = (f32[8,160]{{1,0:T(8,128)}}, {fast}) copy-start(%f)',
    '  ROOT %e = f32[8,160]{1,0:T(8,128)} copy-done(%c)',
  )
  # In and out again, each 160 lanes as 256.
  assert found == 2 * 4 * 8 * 256
  ends = 'f32[40,160]{1,0}, f32[40,160]{1,0}, u32[]{:S(2)}'
  assert _read(_X, f'  %c = ({ends}) copy-start(%x)') == 2 * _WHOLE


def test_arrays_are_padded_in_the_order_that_they_lie_in():
  rows, lanes = 'f32[41,160]{1,0:T(8,128)}', 'f32[41,160]{0,1:T(8,128)}'
  text = '  %x = {} parameter(0)', '  ROOT %y = f32[]{{:S(2)}} f(%x)'
  read = lambda shape: _read(*(line.format(shape) for line in text))
  assert read(rows) == 4 * 48 * 256
  assert read(lanes) == 4 * 128 * 160
  assert read('bf16[41,160]{1,0:T(8,128)(2,1)}') == 2 * 48 * 256
  assert read('f32[]{:T(128)}') == 4


def test_a_loop_counts_in_all_of_its_turns():
  loop = '%w = (s32[], f32[8]{0}) while(%t), condition=%condition, body=%body'
  assert _read(_X, loop) == 50 * 2 * 4 * 8


def test_a_real_program_moves_what_it_reads_and_writes():
  x = jnp.ones((64, 32), jnp.float32)
  add = jax.jit(lambda x, y: x + 2 * y).lower(x, x).compile()
  assert traffic.read(add.as_text()) == 3 * x.nbytes
  again = jax.jit(lambda x: jax.lax.fori_loop(0, 7, lambda _, x: x @ x, x))
  square = jnp.ones((32, 32), jnp.float32)
  text = again.lower(square).compile().as_text()
  assert traffic.read(text) >= 7 * 2 * square.nbytes
