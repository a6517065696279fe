"""Runs of a study share their programs, and nothing else: same bytes alone."""

import os
import pathlib
import subprocess
import sys

import pytest

from dbflax import cascade, main, pipeline
from dbflax.train import step

ROOT = pathlib.Path(__file__).parents[2]
STUDY = """
from configs.studies import common

def get_config():
  c = common.study(
    'tiny', question='?', paper='!',
    arms={'with': {}, 'without': {'prior.weight': 0.0}},
  )
  noun = lambda n: dict(photos=f'toybox:{n}', class_noun=n)
  c.subjects = (noun('dog'), noun('teapot'))
  c.seeds = (0,)
  c.base.cascade.path = 'dbflax/assets/tiny'
  c.base.prior.count = c.base.prior.batch = 2
  c.base.prior.steps = c.base.sample.stage_1.steps = 2
  c.base.stage_1.steps = 3
  # The tiny cascade is untrained: let it learn something in three steps.
  c.base.stage_1.learning_rate = 1e-2
  c.base.stage_1.warmup = 1
  c.base.sample.images_per_prompt = 1
  c.base.sample.prompts = ('a {subject}', 'a {class_noun}')
  return c
"""
# The last run of the study as a config of its own.
ALONE = (
  STUDY.replace('def get_config', 'def study')
  + """
def get_config():
  import pathlib
  from dbflax.study import runs
  *_, last = runs.plan(study(), pathlib.Path('.'))
  return last.config.unlock()
"""
)


def _files(root: pathlib.Path) -> dict[str, bytes]:
  """What a run trained and drew."""
  patterns = ('stage_1/unet/*', 'stage_1/metrics.jsonl', 'samples/*/*.png')
  found = [path for p in patterns for path in sorted(root.glob(p))]
  return {str(path.relative_to(root)): path.read_bytes() for path in found}


def _write(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
  file = folder / 'configs' / f'{name}.py'
  file.parent.mkdir(exist_ok=True)
  file.write_text(text)
  return file


@pytest.fixture
def traces(monkeypatch):
  """How often a network had been traced after each run."""
  total, after = [], []

  def counted(*args, network=cascade.network):
    total.append(1)
    return network(*args)

  def noted(config, work, sample=pipeline.sample):
    sample(config, work)
    after.append(len(total))

  monkeypatch.setattr(cascade, 'network', counted)
  monkeypatch.setattr(pipeline, 'sample', noted)
  # Scores are of the pictures alone (tests/test_scores.py).
  monkeypatch.setattr(pipeline, 'evaluate', lambda *_: None)
  cascade.make_sampler.cache_clear()
  step._gradient.cache_clear()
  yield after
  # What was traced holds on to `counted`.
  cascade.make_sampler.cache_clear()
  step._gradient.cache_clear()


@pytest.mark.slow
def test_a_study_traces_once_and_each_run_is_what_it_is_alone(tmp_path, traces):
  study, work = _write(tmp_path, 'study', STUDY), tmp_path / 'work'
  flags = (f'--config={study}', f'--workdir={work}')
  assert main.main(['dbflax', '--mode=study', *flags]) == 0
  # The gradient, and the samplers of class images and of samples.
  assert traces == [3, 3, 3, 3]

  alone = _write(tmp_path, 'alone', ALONE)
  flags = (f'--config={alone}', f'--workdir={tmp_path / "alone"}')
  command = [sys.executable, '-m', 'dbflax.main', '--mode=sample', *flags]
  path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
  environment = {**os.environ, 'PYTHONPATH': path}
  subprocess.run(command, cwd=ROOT, env=environment, check=True)
  shared = _files(work / 'runs/without/teapot/0')
  assert len(shared) == 4
  assert shared == _files(tmp_path / 'alone')
