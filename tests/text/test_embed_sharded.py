"""The text encoder is split over all devices, and gone when it has run."""

_SCRIPT = """
import sys
import jax, numpy as np
from configs import test
from dbflax import job, pretrained, workdir
from dbflax.text import embed

config, model = test.get_config(), pretrained.load('tiny', stages=())
prompts = ['a photo of a dog', '']
params = pretrained.load_params(model, 'text_encoder')
expected = embed.embed(model.encoder, params, model.tokenizer, prompts)
total = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
del params

run = embed.embed
def spy(encoder, params, *args, **kwargs):
  leaves = jax.tree.leaves(params)
  per_device = {d: 0 for d in jax.devices()}
  for leaf in leaves:
    for shard in leaf.addressable_shards:
      per_device[shard.device] += shard.data.nbytes
  assert max(per_device.values()) < total / 7, (per_device, total)
  return run(encoder, params, *args, **kwargs)
embed.embed = spy

work = workdir.Workdir(sys.argv[1], 'test')
given = job.Job(config, work, model, (), {}, None)
found = given.embed(prompts)
np.testing.assert_allclose(found, expected, atol=1e-5)
table = max(x.nbytes for x in jax.live_arrays()) if jax.live_arrays() else 0
assert table < 10_000, 'a part of the text encoder is still there'
print('equal')
"""


def test_each_device_holds_its_part_and_the_states_are_the_same(
  tmp_path, on_eight_devices
):
  assert on_eight_devices(_SCRIPT, tmp_path) == 'equal'
