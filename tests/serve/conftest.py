"""Programs that stand for dbflax.main, and a page's desk that starts them."""

import pathlib
import time

import pytest

from dbflax import main
from dbflax.serve import desk, drawing, jobs, uploads

ROOT = pathlib.Path(__file__).parents[2]
# What a run is asked, it says; what it does is the test's own.
_PROGRAM = """
import pathlib, signal, sys, time
print('asked', *sys.argv[1:], flush=True)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
  """program(code) makes that what is started in place of dbflax.main."""

  def become(code):
    path = tmp_path / 'program.py'
    path.write_text(_PROGRAM + code)
    monkeypatch.setattr(jobs, 'PROGRAM', ('python', str(path), '-'))

  return become


@pytest.fixture
def run_jobs(tmp_path):
  """The jobs of a page that was started with a config and a workdir."""
  made = jobs.Jobs(tmp_path / 'run', ('--config=dog.py', '--mode=serve'))
  yield made
  made.stop()


@pytest.fixture
def parsed(tmp_path):
  """(config, workdir) of --mode=serve with configs/test.py."""

  def parse(*options):
    config, _, work, _ = main.parse(
      [
        *('dbflax', f'--config={ROOT}/configs/test.py', '--mode=serve'),
        *(f'--workdir={tmp_path / "run"}', *options),
      ]
    )
    return config, work

  return parse


@pytest.fixture
def make_desk(parsed, run_jobs, tmp_path):
  """make_desk(*options) → the desk of such a page."""

  def make(*options, count=6, megabytes=1.0):
    config, _ = parsed(*options)
    model = drawing.Model(tmp_path / 'draw')
    return desk.Desk(config, run_jobs, model, uploads.Limits(count, megabytes))

  return make


@pytest.fixture
def wait():
  """wait(condition) until it holds; fails after a minute."""

  def until(condition):
    end = time.monotonic() + 60
    while not (found := condition()):
      assert time.monotonic() < end, 'it did not come about'
      time.sleep(0.02)
    return found

  return until
