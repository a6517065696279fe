import json

import numpy as np
import pytest

from configs import test as test_config
from configs import two_subjects
from dbflax import disk
from dbflax.data import images
from dbflax.serve import fragments, jobs, progress


@pytest.fixture
def root(tmp_path):
  """A run in its second stage."""
  config = test_config.get_config().to_dict()
  disk.write_json(tmp_path / 'config.json', config)
  word = {'text': 'zk', 'subject': 'zk dog'}
  disk.write_json(tmp_path / 'identifier/identifier.json', word)
  for name in ('identifier', 'prior', 'stage_1'):
    disk.write_json(tmp_path / name / disk.MANIFEST, {})
  for name in ('stage_1', 'stage_2'):
    disk.write_json(tmp_path / name / disk.STARTED, {})
  log = [{'step': n, 'instance_loss': 0.5 - 0.1 * n} for n in range(3)]
  lines = ''.join(json.dumps(line) + '\n' for line in log)
  (tmp_path / 'stage_2/metrics.jsonl').write_text(lines + '{"step": 3, "ins')
  return tmp_path


def states(root):
  return [step.state for step in progress.steps(root)]


def test_before_a_run_there_are_no_steps(tmp_path):
  assert progress.steps(tmp_path) == [] and progress.stages(tmp_path) == []


def test_what_an_earlier_run_left_is_not_the_new_one_s(root):
  written = (root / 'config.json').stat().st_mtime
  assert progress.has_begun(root, written - 1)
  assert not progress.has_begun(root, written + 1)
  starting = fragments.run_state(jobs.State('running', '', written + 1), False)
  assert 'Starting' in starting


def test_steps_are_where_the_workdir_says(root):
  found = progress.steps(root)
  assert [step.state for step in found] == [
    *('done', 'done', 'done', 'working', 'waiting', 'waiting', 'waiting'),
  ]
  assert 'zk' in found[0].title and '"a dog"' in found[1].title
  assert found[3] == progress.Step('training stage 2', 'working', 3, 4)
  assert found[3].share == 0.75


def test_what_an_earlier_run_left_behind_the_unfinished_step_is_waiting(root):
  disk.write_json(root / 'samples' / disk.MANIFEST, {})
  disk.write_json(root / 'report' / disk.MANIFEST, {})
  assert states(root)[-2:] == ['waiting', 'waiting']


def test_losses_so_far_are_drawn(root):
  [stage] = progress.stages(root)
  assert stage.curves[0].first > stage.curves[0].last
  html = fragments.charts([stage])
  assert '<svg' in html and 'Stage 2: loss' in html


def test_new_losses_and_new_grids_change_what_is_compared(root):
  before = progress.log_sizes(root)
  assert progress.log_sizes(root) == before
  with (root / 'stage_2/metrics.jsonl').open('a') as file:
    file.write('tance_loss": 0.1}\n')
  middle = progress.log_sizes(root)
  pixels = np.zeros((4, 4, 3), np.uint8)
  images.save_png(root / 'stage_2/samples/000002.png', pixels)
  assert len({before, middle, progress.log_sizes(root)}) == 3


def test_a_run_without_prior_has_no_class_images(root):
  config = disk.read_json(root / 'config.json')
  config['prior']['weight'] = 0.0
  disk.write_json(root / 'config.json', config)
  assert len(progress.steps(root)) == 6


def test_only_what_was_seen_is_said_of_a_run_that_stops():
  said = fragments.run_state(jobs.State('running', is_stopping=True), True)
  assert 'Stopping: its state is being saved' in said
  said = fragments.run_state(jobs.State('stopped'), True)
  assert 'from its last checkpoint' in said and 'saved' not in said


def test_class_images_of_each_class_are_a_step(root):
  config = two_subjects.get_config('quick').to_dict()
  disk.write_json(root / 'config.json', config)
  disk.write_json(root / 'prior_2' / disk.STARTED, {})
  images.save_png(root / 'prior_2/0000.png', np.zeros((4, 4, 3), np.uint8))
  first, second = progress.steps(root)[1:3]
  assert first.state == 'done' and '"a dog"' in first.title
  assert second.state == 'working' and '"a teapot"' in second.title
  assert (second.done, second.total) == (1, config['prior']['count'])
  assert set(states(root)[3:]) == {'waiting'}


def test_texts_on_the_page_are_escaped():
  evil = '<script>alert(1)</script>"\''
  step = progress.Step(evil, 'working', 1, 2)
  pieces = (
    fragments.message(evil),
    fragments.command(evil),
    fragments.log([evil]),
    fragments.steps([step]),
    fragments.head(evil, evil, evil),
    fragments.photos([evil]),
    fragments.photo_state(0, evil),
  )
  for piece in pieces:
    assert '<script' not in piece and '&lt;script' in piece
