"""Eight devices share the images of a batch, and draw what one draws."""

_SCRIPT = """
import jax, numpy as np
from dbflax import cascade, pretrained, sharding

model = pretrained.load('tiny', ('stage_1', 'stage_2'))
rng = np.random.default_rng(0)
normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
text, null_text = normal(8, 3, 96), normal(3, 96)
keys = jax.random.split(jax.random.key(0), 8)
low = {'stage_1': (), 'stage_2': (normal(8, 16, 16, 3),)}
for name, stage in model.stages.items():
  params = jax.tree.map(
    lambda s: normal(*s.shape) / np.sqrt(np.prod(s.shape[:-1]) or 1),
    pretrained.abstract_params(model, name),
  )
  options = cascade.Sampling('ancestral', 2, 3.0, noise_level=0.1)
  args = text, null_text, keys, *low[name]
  expected = np.asarray(cascade.make_sampler(stage, options)(params, *args))
  mesh = sharding.make_mesh(2, 4)
  placed = jax.device_put(params, sharding.shard_tree(params, mesh))
  sample = cascade.make_sampler(stage, options, mesh)
  found = sample(placed, *args)
  shapes = {shard.data.shape for shard in found.addressable_shards}
  side = stage.resolution
  assert shapes == {(1, side, side, 3)}, shapes
  np.testing.assert_allclose(found, expected, atol=2e-3)
  assert expected.std() > 0.1
print('equal')
"""


def test_eight_devices_draw_what_one_draws(on_eight_devices):
  assert on_eight_devices(_SCRIPT) == 'equal'
