"""The changes that a plan tries, in their order."""

from configs import test as test_config
from dbflax.plan import changes


def test_changes_that_leave_the_result_as_it_is_come_in_order():
  config = test_config.get_config()
  one = [
    {'mesh.fsdp': 2},
    {'mesh.fsdp': 4},
    {'stage_1.remat': 'dots'},
    {'stage_1.remat': 'blocks'},
    {'stage_1.microbatches': 2},
    {'stage_1.remat': 'dots', 'stage_1.microbatches': 2},
    {'stage_1.remat': 'blocks', 'stage_1.microbatches': 2},
  ]
  both = [wider | other for wider in one[:2] for other in one[2:]]
  assert list(changes.harmless(config, 'stage_1', 4)) == one + both
  config.mesh.data = 1
  [halved] = changes.harmless(config, 'class images', 1)
  assert halved == {'prior.batch': 1}
  assert changes.flags(halved) == '--config.prior.batch=1'


def test_changes_of_the_training_come_in_order():
  config = test_config.get_config()
  found = list(changes.other_training(config, 'stage_1 previews', 4))
  alone = [
    {'stage_1.moments_dtype': 'bfloat16'},
    {'stage_1.optimizer': 'adafactor'},
    {'stage_1.lora.rank': 16, 'stage_1.frozen_dtype': 'bfloat16'},
  ]
  wider, less = {'mesh.fsdp': 4}, {'sample.batch': 1}
  more = ({}, wider, less, wider | less)
  assert found == [change | m for change in alone for m in more]
  # What has no moments cannot have them small.
  config.stage_1.moments_dtype = 'bfloat16'
  config.stage_1.trainable = 'attentions'
  config.stage_1.remat = 'blocks'
  config.stage_1.batch = 1
  assert list(changes.other_training(config, 'stage_1', 1)) == [
    {'stage_1.optimizer': 'adafactor', 'stage_1.moments_dtype': 'float32'}
  ]
  assert not list(changes.other_training(config, 'text', 1))


def test_another_training_is_tried_with_the_least_and_the_most_beside():
  config = test_config.get_config()
  found = list(changes.other_training(config, 'stage_1', 1))[:3]
  assert found == [
    moments := {'stage_1.moments_dtype': 'bfloat16'},
    {**moments, 'stage_1.remat': 'dots'},
    {**moments, 'stage_1.remat': 'blocks', 'stage_1.microbatches': 2},
  ]
