"""Collectives of compiled programs: of a text by hand, and of a real one."""

from dbflax.plan import collectives

_TEXT = """HloModule jit_f, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%all-reduce-scatter.4 (x: f32[8,4]) -> f32[2,4] {
  %x = f32[8,4]{1,0} parameter(0)
  %r = f32[8,4]{1,0} all-reduce(%x), channel_id=9, to_apply=%add
  ROOT %s = f32[2,4]{1,0} dynamic-slice(%r), dynamic_slice_sizes={2,4}
}

%part.1 (p: bf16[4]) -> bf16[16] {
  ROOT %g1 = bf16[16]{0:T(8,128)(2,1)} all-gather(%p), channel_id=5
}

%part.2 (p: bf16[4]) -> bf16[16] {
  ROOT %g2 = bf16[16]{0:T(8,128)(2,1)} all-gather(%p), channel_id=5
}

%condition (c: (s32[], f32[2])) -> pred[] {
  %n = s32[]{:T(128)} constant(50)
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}

%body (c: (s32[], f32[2])) -> (s32[], f32[2]) {
  %h = (f32[2]{0}, pred[3]{0}) all-reduce(%y, %z), channel_id=7, to_apply=%add
  %f = bf16[16]{0} fusion(%p), kind=kCustom, calls=%part.1
  %g = bf16[16]{0} fusion(%f), kind=kCustom, calls=%part.2
}

ENTRY %main (x: f32[8,4]) -> f32[2,4] {
  %w = (s32[], f32[2]{0}) while(%t), condition=%condition, body=%body
  %q = (f32[4]{0}, f32[16]{0}, u32[]) all-gather-start(%x), channel_id=1
  %d = f32[16]{0} all-gather-done(%q)
  ROOT %o = f32[2,4]{1,0} fusion(%x), calls=%all-reduce-scatter.4
}
"""


def test_loops_count_every_turn_and_shared_channels_once():
  assert collectives.read(_TEXT) == {
    'all-reduce': {'count': 50, 'bytes': 50 * (2 * 4 + 3)},
    'all-gather': {'count': 51, 'bytes': 50 * 16 * 2 + 16 * 4},
    'reduce-scatter': {'count': 1, 'bytes': 8 * 4 * 4},
  }


def test_a_program_without_collectives():
  assert collectives.read('ENTRY %main (x: f32[]) -> f32[] {\n}\n') == {}


_EIGHT = """
import jax, jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from dbflax import sharding
from dbflax.plan import collectives

mesh = sharding.make_mesh(1, 8)
lie = lambda *spec: jax.sharding.NamedSharding(mesh, P(*spec))
x = jax.ShapeDtypeStruct((16, 64), jnp.float32, sharding=lie(None, 'fsdp'))
w = jax.ShapeDtypeStruct((64, 32), jnp.float32, sharding=lie('fsdp', None))

def run(x, w):
  # Summed over devices, in each of five turns.
  step = lambda c, _: (jnp.tanh((c @ w) @ w.T), None)
  return jax.lax.scan(step, x, length=5)[0]

text = jax.jit(run, out_shardings=lie(None, 'fsdp')).lower(x, w).compile()
found = collectives.read(text.as_text())
assert found['all-reduce'] == {'count': 5, 'bytes': 5 * 16 * 32 * 4}, found
print('counted')
"""


def test_a_real_program_of_eight_devices(on_eight_devices):
  assert on_eight_devices(_EIGHT) == 'counted'
