"""Files of a finished run, altered one by one: named, and never used.

A simple map stands for the networks; everything else is a run of
configs/test.py. Alone, a report or scores refuse what was altered; the run's
own command makes it again, in the same bytes.
"""

import logging
import pathlib
import shutil

import pytest

from dbflax import disk, main, scores
from tests import simple_run

ROOT = pathlib.Path(__file__).parents[1]
STAGE = 'stage_1'
WEIGHTS = f'{STAGE}/unet/diffusion_pytorch_model.safetensors'
DRAWN = '0002_a_painting_of_a_qsd_dog.png'
FILES = (
  *('photos/00.png', 'identifier/identifier.json', 'prior/0001.png'),
  *(WEIGHTS, f'{STAGE}/metrics.jsonl', f'{STAGE}/samples/000002.png'),
  *('samples/samples.json', f'samples/{STAGE}/{DRAWN}', 'report/index.html'),
)
BOOKS = ('config.json', 'times.json', 'run.json')


def call(mode, folder, dry_run=False):
  """Runs the command in this process; the exit code."""
  return main.main(
    [
      *('dbflax', f'--config={ROOT / "configs/test.py"}', f'--mode={mode}'),
      *(f'--workdir={folder}', f'--config.cascade.stages=("{STAGE}",)'),
      *(['--dry_run'] if dry_run else []),
    ]
  )


@pytest.fixture(scope='module', autouse=True)
def simple_network():
  with simple_run.in_this_process():
    yield


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole') / 'run'
  assert call('run', folder) == 0
  return folder


@pytest.fixture
def run(finished, tmp_path):
  """A copy of the finished run."""
  return shutil.copytree(finished, tmp_path / 'run')


def flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


ALTER = {
  'a bit is flipped': flip,
  'it is cut': lambda path: path.write_bytes(path.read_bytes()[:-7]),
  'it is empty': lambda path: path.write_bytes(b''),
  'it is another file': lambda path: shutil.copy(__file__, path),
  'it is gone': pathlib.Path.unlink,
}


def said(capsys):
  """What the user was told; never a traceback."""
  error = capsys.readouterr().err
  assert 'Traceback' not in error
  return (error.strip().splitlines() or [''])[-1]


@pytest.mark.parametrize('how', ALTER)
@pytest.mark.parametrize('name', FILES[:-1])
def test_no_report_and_no_scores_are_made_of_it(
  run, capsys, monkeypatch, name, how
):
  monkeypatch.setattr(scores, '_score', pytest.fail)
  ALTER[how](run / name)
  step, _, file = name.partition('/')
  assert call('report', run) == 2
  line = said(capsys)
  assert f"{run / step}' is damaged: {file}" in line, line
  if step in ('photos', 'identifier', 'samples'):
    assert call('evaluate', run) == 2
    assert f"{run / step}' is damaged: {file}" in said(capsys)


@pytest.mark.parametrize('name', FILES)
def test_a_dry_run_says_which_step_it_would_redo(run, capsys, name):
  if name.startswith('report'):
    assert call('run', run) == 0  # The page shows where the folder lies.
    capsys.readouterr()
  flip(run / name)
  before = {p: (run / p).read_bytes() for p in disk.files(run)}
  assert call('run', run, dry_run=True) == 0
  lines = dict(
    line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()
  )
  step, _, file = name.partition('/')
  assert lines[step] == f'redone, {file} was altered'
  others = {k: v for k, v in lines.items() if k not in (step, 'report')}
  assert set(others.values()) == {'skipped, up to date'}
  assert before == {p: (run / p).read_bytes() for p in disk.files(run)}


# The network is trained anew, which takes longer than all the others.
@pytest.mark.parametrize(
  'name', [name for name in FILES if not name.startswith(STAGE)]
)
def test_the_run_makes_it_again(run, finished, caplog, monkeypatch, name):
  if name.startswith('report'):
    assert call('run', run) == 0  # The page shows where the folder lies.
  flip(run / name)
  caplog.set_level(logging.INFO)
  logger = logging.getLogger('dbflax')
  logger.addHandler(caplog.handler)
  monkeypatch.setattr(logger, 'propagate', False)  # Else it hears all twice.
  assert call('run', run) == 0
  step, _, file = name.partition('/')
  assert f'{step}: redone, {file} was altered' in caplog.text
  redone = [m for m in caplog.messages if ': redone' in m]
  assert len(redone) <= 2  # with the report
  for path in FILES[:-1]:
    assert (run / path).read_bytes() == (finished / path).read_bytes()
  assert disk.damage(run / 'report') == ''


@pytest.mark.parametrize('how', ALTER)
@pytest.mark.parametrize('name', BOOKS)
def test_books_are_written_again_or_asked_about(run, capsys, name, how):
  """They say who, when and how; no result depends on them."""
  ALTER[how](run / name)
  code = call('run', run)
  line = said(capsys)
  is_json = disk.read_json(run / name) is not None
  assert code == 0 or (name == 'run.json' and not is_json and 'damaged' in line)
  assert call('report', run) in ((0,) if code == 0 else (2,))
  said(capsys)
