import pytest

from configs import test as config_of_a_test
from dbflax import disk, errors, inputs, job, workdir


def start(tmp_path, count):
  config = config_of_a_test.get_config()
  config.subject.count = count
  config.lock()
  return job.start(config, workdir.Workdir(tmp_path))


def test_the_first_photos_are_learnt_from_and_all_are_shown(tmp_path):
  some, all_of_them = (start(tmp_path, count) for count in (2, 0))
  for name in ('stage_1', 'stage_2'):
    few, many = (inputs.pair(one, name) for one in (some, all_of_them))
    assert len(few[0]) == 2 and len(many[0]) == 5
    assert (few[0] == many[0][:2]).all()
  assert len(few[1]) == 2 and (few[1] == many[1][:2]).all()
  assert len(inputs.photos(some)['photos']) == 5


def test_more_photos_than_there_are_cannot_be_learnt_from(tmp_path):
  with pytest.raises(errors.UserError, match=r'subject\.count=6.*has 5 photos'):
    start(tmp_path, 6)


STAGES = {'stage_1', 'stage_2', 'stage_3'}


@pytest.mark.parametrize(
  ('step', 'redone'),
  [
    ('prior', {'prior', 'stage_1', 'samples'}),
    ('train', STAGES | {'samples'}),
    ('samples', {'samples'}),
    ('inversion', set()),  # another method's
  ],
)
def test_another_version_of_a_steps_code_redoes_it_and_what_follows(
  tmp_path, monkeypatch, step, redone
):
  run = start(tmp_path, 0)
  prints = lambda: {
    name: disk.fingerprint(made_of)
    for name, made_of in inputs.of_mode(run, 'run').items()
  }
  before = prints()
  assert before.keys() == {'photos', 'identifier', 'prior', 'samples'} | STAGES
  monkeypatch.setitem(inputs._CODE, step, 99)
  after = prints()
  assert {name for name in after if after[name] != before[name]} == redone
