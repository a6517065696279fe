"""Which runs a study is made of; that they are done, shared and left alone."""

import json
import os
import pathlib
import re

import numpy as np
import pytest

from configs.studies import common
from dbflax import errors, main, validate, workdir
from dbflax.study import runs
from dbflax.toybox import held_out, scene
from dbflax.toybox import subjects as toybox

FOLDER = pathlib.Path(common.__file__).parent
STUDIES = sorted(p for p in FOLDER.glob('*.py') if p.stem != 'common')
DOG = dict(photos='toybox:dog', class_noun='dog', other_noun='teapot')


def study(arms, subjects=(DOG,), **fields):
  config = common.study('study_x', question='?', paper='!', arms=arms)
  config.subjects = subjects
  config.update(fields)
  config.lock()
  return config


def test_arms_that_are_compared_are_done_one_after_the_other(tmp_path):
  subjects = (DOG, {**DOG, 'photos': 'toybox:teapot'})
  config = study({'on': {}, 'off': {'prior.weight': 0.0}}, subjects)
  planned = runs.plan(config, tmp_path)
  assert len(planned) == 2 * 2 * 3
  assert [one.arm for one in planned[:4]] == ['on', 'off', 'on', 'off']
  assert [one.seed for one in planned] == [0] * 4 + [1] * 4 + [2] * 4
  assert len({one.folder for one in planned}) == 12
  assert planned[3].folder == tmp_path / 'runs/off/teapot/0'
  assert planned[3].config.name == 'study_x_off_teapot_0'
  assert [one.config.prior.weight for one in planned[:2]] == [1.0, 0.0]
  # An arm must not reach into the next one's config.
  assert config.base.prior.weight == 1.0


def test_a_field_that_follows_another_follows_it_in_each_arm(tmp_path):
  levels = {'low': {'stage_2.noise_level': 0.25}, 'base': {}}
  low, base, *_ = runs.plan(study(levels), tmp_path)
  assert low.config.sample.stage_2.noise_level == 0.25
  assert base.config.sample.stage_2.noise_level == 1e-5


def test_an_arm_may_take_what_the_subject_says(tmp_path):
  arm = {'subject.class_noun': '$other_noun'}
  [wrong, *_] = runs.plan(study({'wrong noun': arm}), tmp_path)
  assert wrong.config.subject.class_noun == 'teapot'
  assert wrong.folder == tmp_path / 'runs/wrong_noun/dog/0'


@pytest.mark.parametrize(
  'arm, message',
  [
    ({'prior.wieght': 0.0}, r"arm 'a' changes 'prior.wieght', which is no"),
    ({'prior.weight': -1.0}, r"arm 'a' of dog: .*prior.weight=-1.0"),
    ({'subject.identifier': '$breed'}, r"needs 'breed' of toybox:dog"),
  ],
)
def test_an_arm_that_cannot_be_is_refused_at_once(tmp_path, arm, message):
  with pytest.raises(errors.UserError, match=message):
    runs.plan(study({'a': arm}), tmp_path)


def test_subjects_can_be_fewer(tmp_path):
  subjects = (DOG, {**DOG, 'photos': 'toybox:teapot'})
  planned = runs.plan(study({'a': {}}, subjects, num_subjects=1), tmp_path)
  assert {one.subject for one in planned} == {'dog'}


STUDY = """
from configs.studies import common

def get_config():
  c = common.study('tiny', question='?', paper='!', arms={arms})
  c.expect = {expect}
  c.subjects = (dict(photos='toybox:dog', class_noun='dog'),)
  c.seeds = (0,)
  c.base.cascade.path = 'dbflax/assets/tiny'
  # Untrained and drawn in two steps: this is about the runs.
  c.base.stage_1.train = False
  c.base.sample.stage_1.steps = 2
  c.base.sample.images_per_prompt = 1
  c.base.sample.prompts = ('a {{subject}}', 'a {{class_noun}}')
  return c
"""


@pytest.fixture
def command(tmp_path):
  file = tmp_path / 'configs' / 'tiny.py'
  file.parent.mkdir()
  arms = {'one': {}, 'two': {'sample.images_per_prompt': 2}, 'same': {}}
  expect = (('PRES', 'one', '<', 'two'),)
  file.write_text(STUDY.format(arms=arms, expect=expect))
  return [
    *('dbflax', '--mode=study', f'--config={file}'),
    f'--workdir={tmp_path / "work"}',
  ]


def _picture(root, arm):
  """Which file the first picture of an arm is."""
  folder = root / f'runs/{arm}/dog/0/samples/stage_1'
  return os.stat(min(folder.iterdir())).st_ino


def test_a_study_from_its_command_to_its_table(tmp_path, command, capsys):
  assert main.main(command) == 0
  printed = capsys.readouterr().out
  assert 'tiny: 3 of 3 runs, 1 subjects, 1 seeds.' in printed
  assert 'toybox oracle: PRES: one < two?' in printed
  root = tmp_path / 'work'
  results = json.loads((root / 'results.json').read_text())
  assert results['runs'] == {'done': 3, 'planned': 3}
  figures = results['figures']['toybox oracle: PRES']
  assert figures['same']['mean'] == figures['one']['mean']
  assert figures.keys() == {'one', 'two', 'same'}
  # What an arm has in common with another was not made again.
  assert _picture(root, 'one') == _picture(root, 'same')
  assert _picture(root, 'one') != _picture(root, 'two')

  page = (root / 'report/index.html').read_text()
  texts = ('toybox oracle: PRES', 'one &lt; two', '3 of 3', 'same')
  for text in (*texts, f'Differences from {results["arms"][0]}'):
    assert text in page
  # Five photos, and a picture of each arm and prompt.
  assert page.count('<img src="data:image/png') == 5 + 3 * 2

  # A run that another process does is left to it.
  other = workdir.Workdir(root / 'runs/two/dog/0')
  other.claim()
  assert main.main(command) == 0
  assert 'tiny: 2 of 3 runs' in capsys.readouterr().out
  other.close()
  assert main.main(command) == 0
  assert capsys.readouterr().out == printed

  # Nor is what a study beside this one has made.
  beside = tmp_path / 'beside'
  assert main.main([*command[:-1], f'--workdir={beside}']) == 0
  assert _picture(beside, 'two') == _picture(root, 'two')


def test_who_meets_another_process_goes_on_with_the_next_subject(
  tmp_path, monkeypatch
):
  """The first process makes what the subject's runs have in common."""
  subjects = (DOG, {**DOG, 'photos': 'toybox:teapot'})
  arms = {'on': {}, 'off': {'prior.weight': 0.0}}
  planned = runs.plan(study(arms, subjects, seeds=(0,)), tmp_path)
  other = workdir.Workdir(planned[0].folder)
  other.claim()
  done = []

  def sample(config, work):
    done.append(str(work.root.relative_to(tmp_path / 'runs')))
    if len(done) == 2:
      other.close()

  monkeypatch.setattr(runs.pipeline, 'sample', sample)
  for rest in ('evaluate', 'report'):
    monkeypatch.setattr(runs.pipeline, rest, lambda *_: None)
  assert runs._do_all(planned, 'dbflax') == []
  assert done == ['on/teapot/0', 'off/teapot/0', 'on/dog/0', 'off/dog/0']


def test_what_other_processes_do_to_the_end_is_theirs(tmp_path, monkeypatch):
  planned = runs.plan(study({'on': {}, 'off': {}}, seeds=(0,)), tmp_path)
  other = workdir.Workdir(planned[0].folder)
  other.claim()
  for step in ('sample', 'evaluate', 'report'):
    monkeypatch.setattr(runs.pipeline, step, lambda *_: None)
  # It helps with the subject, as there is no other one.
  assert runs._do_all(planned, 'dbflax') == planned[:1]
  other.close()


def test_what_is_known_from_elsewhere_is_not_done_again(
  tmp_path, command, capsys
):
  assert main.main(command) == 0
  printed = capsys.readouterr().out.splitlines()[:-1]  # All but the folder.
  known = tmp_path / 'work' / 'results.json'

  there = tmp_path / 'another' / 'machine'
  again = [*command[:-1], f'--workdir={there}']
  again += [f'--config.known_results=("{known}",)']
  assert main.main(again) == 0
  assert capsys.readouterr().out.splitlines()[:-1] == printed
  assert not (there / 'runs').exists()
  assert (there / 'results.json').read_bytes() == known.read_bytes()

  # Other prompts, other pictures; but for the arm that has its own.
  changed = [*again, '--config.base.sample.images_per_prompt=3']
  assert main.main(changed) == 0
  said = 'known runs: 1; listed, but made of something else here: 2'
  assert said in capsys.readouterr().err
  done = {path.parts[-3] for path in there.glob('runs/*/*/*')}
  assert done == {'one', 'same'}


@pytest.mark.parametrize(
  'content', [None, '{', '{}', '{"scores": 3}', '{"scores": [{"arm": "one"}]}']
)
def test_what_is_known_must_be_results(tmp_path, command, content, capsys):
  known = tmp_path / 'known.json'
  if content is not None:
    known.write_text(content)
  assert main.main([*command, f'--config.known_results=("{known}",)']) == 2
  printed = capsys.readouterr().err
  assert f"'{known}' is not the results.json" in printed
  assert printed.count('\n') == 1
  assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize(
  'option, message',
  [
    ('seeds=()', 'at least one seed'),
    ('num_subjects=-1', '0 (all) or how many'),
    ('base.stage_1.steps=0', 'at least 1'),
    ('base.stage_1.stepps=5', 'did you mean base.stage_1.steps'),
  ],
)
def test_a_bad_value_is_one_line(command, option, message, capsys):
  assert main.main([*command, f'--config.{option}']) == 2
  printed = capsys.readouterr().err
  assert message in printed and printed.count('\n') == 1


def test_a_subject_needs_photos_and_a_noun():
  config = study({'a': {}}, subjects=(dict(photos='toybox:dog'),))
  with pytest.raises(errors.UserError, match=r"'photos', 'class_noun'"):
    validate.check(config)


@pytest.mark.parametrize(
  'mode, file', [('run', 'studies/prior.py'), ('study', 'dog.py')]
)
def test_a_study_has_a_mode_of_its_own(mode, file, capsys):
  command = ['dbflax', f'--mode={mode}', f'--config=configs/{file}']
  assert main.main(command) == 2
  assert 'configs/studies/ compares' in capsys.readouterr().err


@pytest.mark.parametrize('path', STUDIES, ids=lambda p: p.stem)
def test_every_study_is_one_of_six_subjects_and_three_seeds(path, tmp_path):
  command = ['dbflax', '--mode=study', f'--config={path}']
  config, *_, workdir_, _ = main.parse(command)
  assert workdir_.name == f'study_{path.stem}'
  planned = runs.plan(config, tmp_path)
  assert len({one.subject for one in planned}) >= 6
  assert len({one.config.subject.class_noun for one in planned}) >= 4
  assert len({one.seed for one in planned}) >= 3
  arms = {one.arm for one in planned}
  for _, arm, sign, other in config.expect:
    assert {arm, other} <= arms and sign in '<>'


def every_subject():
  """Each subject of each study, by its photos."""
  found = {}
  for path in STUDIES:
    config, *_ = main.parse(['dbflax', '--mode=study', f'--config={path}'])
    found |= {subject['photos']: subject for subject in config.subjects}
  return [found[photos] for photos in sorted(found)]


@pytest.mark.parametrize('subject', every_subject(), ids=lambda s: s['photos'])
def test_a_description_names_all_colours(subject):
  one = toybox.named(subject['photos'].removeprefix('toybox:'))
  parts = [scene.PRIMARY, scene.SECONDARY]
  # Animals are of two paints, things have a third on knobs and buckles.
  if subject['class_noun'] not in scene.ANIMALS:
    parts.append(scene.ACCENT)
  numbers = np.asarray(toybox.individual(one))
  rgb = np.stack([numbers[part] for part in parts])
  away = np.square(scene.COLOUR_RGB - rgb[:, None]).sum(-1)
  names = [scene.COLOURS[n] for n in away.argmin(1)]
  said = [w for w in re.findall(r'\w+', subject['description']) if w != 'and']
  assert said == [*names, one.class_name]
  assert subject['colour'] == names[0]


def test_strange_places_are_strange_and_the_others_known():
  file = FOLDER / 'failures.py'
  config, *_ = main.parse(['dbflax', '--mode=study', f'--config={file}'])
  is_held_out = lambda s, place: held_out.combination(
    scene.CLASSES.index(s['class_noun']), scene.PLACES.index(place), 0, 0
  )
  for subject in config.subjects:
    assert is_held_out(subject, subject['strange'])
    assert not is_held_out(subject, subject['known'])
  # So that no arm has the easier places.
  strange, known = (
    sorted(s[kind] for s in config.subjects) for kind in ('strange', 'known')
  )
  assert strange == known
  photos = {place for place, *_ in toybox.SUBJECTS['dog'].shots}
  assert not photos & {*strange}
