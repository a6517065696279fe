import shutil

import numpy as np
import pytest

from configs import test as config_of_a_test
from dbflax import disk, errors, inputs, job, workdir
from dbflax.data import images


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
  assert len(inputs.photos(some)['photos'][64]) == 5


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


@pytest.mark.parametrize(
  ('mode', 'field', 'value'),
  [
    *(('run', 'stage_1.max_skipped', 9), ('run', 'sample.batch', 1)),
    ('export', 'sample.images_per_prompt', 9),
  ],
)
def test_what_changes_no_result_redoes_nothing(tmp_path, mode, field, value):
  config = config_of_a_test.get_config()
  prints = lambda name: disk.fingerprint(
    inputs.of_mode(job.start(config, workdir.Workdir(tmp_path / name)), mode)
  )
  before = prints('before')
  config.update_from_flattened_dict({field: value})
  assert prints('after') == before


# --- Captions ----------------------------------------------------------------


@pytest.fixture
def captioned(tmp_path):
  """captioned({name: caption}) → the job of three photos a, b, c."""

  def make(captions, **fields):
    folder = tmp_path / 'photos'
    shutil.rmtree(folder, ignore_errors=True)
    for number, name in enumerate('abc'):
      pixels = np.full((64, 64, 3), 50 * number, np.uint8)
      images.save_png(folder / f'{name}.png', pixels)
    for name, caption in captions.items():
      (folder / f'{name}.txt').write_text(caption)
    config = config_of_a_test.get_config()
    config.subject.photos = str(folder)
    config.subject.identifier = 'fhz'
    config.update_from_flattened_dict(fields)
    return job.start(config, workdir.Workdir(tmp_path / 'run'))

  return make


def test_photos_are_trained_with_their_captions(captioned):
  made = captioned({'b': 'a {subject} asleep', 'c': 'fhz dog, sofa'})
  prompts = ['a fhz dog', 'a fhz dog asleep', 'fhz dog, sofa']
  assert inputs.instance_prompts(made) == prompts
  assert set(prompts) <= set(made.texts())
  first = captioned({'b': 'a {subject} asleep'}, **{'subject.count': 2})
  assert inputs.instance_prompts(first) == prompts[:2]


def test_captions_can_be_left_unread(captioned):
  made = captioned({'b': 'a cat'}, **{'subject.captions': False})
  assert inputs.instance_prompts(made) == ['a fhz dog'] * 3
  with pytest.raises(errors.UserError, match=r"b\.png' names neither.*'fhz'"):
    captioned({'b': 'a cat'})


def test_a_baseline_reads_none(captioned):
  made = captioned({'b': 'a cat'}, method='textual_inversion')
  assert not any(made.subjects[0].captions)


def test_a_caption_redoes_what_depends_on_it(captioned):
  prints = lambda made: {
    step: {key: disk.fingerprint(value) for key, value in of_step.items()}
    for step, of_step in inputs.of_mode(made, 'run').items()
  }

  def redone(one, other, **fields):
    one, other = (prints(captioned(said, **fields)) for said in (one, other))
    return {
      step: {key for key in one[step] | other[step]
             if one[step].get(key) != other[step].get(key)}
      for step in one
      if one[step] != other[step]
    }  # fmt: skip

  stages = ('stage_1', 'stage_2', 'stage_3')
  trained = dict.fromkeys(stages, {'prompt'})
  trained['samples'] = {f'{name}/' for name in stages}
  none, said, other = {}, {'b': 'a {subject} asleep'}, {'b': 'a wet {subject}'}
  assert redone(none, said) == {'photos': {'captions'}, **trained}
  assert redone(said, other) == {'photos': {'captions'}, **trained}
  # It is what photos are trained with anyway.
  assert redone(none, {'b': 'a {subject}'}) == {'photos': {'captions'}}
  # A photo that is shown, but not learnt from.
  assert redone(said, other, **{'subject.count': 1}) == {'photos': {'captions'}}
