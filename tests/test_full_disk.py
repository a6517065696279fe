"""A disk that fills up at each place where a run writes, one by one.

A simple map stands for the networks; everything else is a run of
configs/test.py, on a real file system that is as small as a test wants it.
"""

import contextlib
import json
import pathlib
import shutil

import pytest

from dbflax import checkpoints, disk, main, pretrained, scores
from dbflax.data import images
from dbflax.plan import planner
from dbflax.study import runs
from dbflax.train import loop, pretrain
from dbflax.weights import diffusers
from tests import simple_run

ROOT = pathlib.Path(__file__).parents[1]
PAGE = 4096  # What a file system of this kind gives away at once.
# Kept up to date by every command; they say when and by whom.
BOOKS = {'config.json', 'run.lock', 'times.json'}


@pytest.fixture(scope='module', autouse=True)
def simple_network():
  """As fast to compile as can be, and with a gradient."""
  with simple_run.in_this_process():
    yield


def call(mode, folder, *options):
  """Runs the command in this process; the exit code."""
  options = ('cascade.stages=("stage_1",)', *options)
  return main.main(
    [
      *('dbflax', f'--config={ROOT / "configs/test.py"}', f'--mode={mode}'),
      f'--workdir={folder}',
      *(f'--config.{option}' for option in options),
    ]
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """The workdir of a whole run, exported too."""
  folder = tmp_path_factory.mktemp('whole') / 'run'
  assert call('run', folder) == 0
  assert call('export', folder) == 0
  return folder


def content(folder):
  """Relative path → bytes of all that a run leaves; checkpoints tell times."""
  return {
    name: (folder / name).read_bytes()
    for name in disk.files(folder)
    if name not in BOOKS and 'checkpoints/' not in name
  }


def used(folder):
  return shutil.disk_usage(folder).used


def begin(small_disk, finished, without):
  """The finished run on a disk of its own, without one of its folders."""
  run = small_disk(2**28) / 'run'
  skip = lambda at, names: [
    n for n in names if [at, n] == [str(finished), without]
  ]
  shutil.copytree(finished, run, ignore=skip)
  return run


def grow(small_disk, folder, stride, act):
  """Yields after each exit code but 0, until there is room for all."""
  size = max(PAGE, used(folder))  # 0 is no limit.
  while small_disk(size) and (code := act()) != 0:
    assert code == 2
    yield
    size += stride
    assert size < used(folder) + 40 * stride + 2**18, 'it fits long since'


def assert_said(run, capsys):
  """That the disk is full, in one line, and nothing is left half-written."""
  error = capsys.readouterr().err
  last = error.strip().splitlines()[-1]
  assert 'the disk is full' in last or 'No space left' in last, error
  assert 'Traceback' not in error
  assert not list(run.rglob(f'*{disk.PARTIAL}'))


def assert_refused(run, step, capsys):
  assert_said(run, capsys)
  assert not (run / step / disk.MANIFEST).exists()


def assert_whole(run, finished):
  found, expected = content(run), content(finished)
  assert found.keys() == expected.keys()
  # The report shows the command; the manifest knows checkpoints.
  kept = [n for n in found if not n.startswith('report/')]
  kept.remove(f'stage_1/{disk.MANIFEST}')
  assert [n for n in kept if found[n] != expected[n]] == []
  assert disk.damage(run / 'report') == ''


@pytest.mark.parametrize(
  ('step', 'mode'),
  [
    *(('photos', 'prior'), ('identifier', 'prior'), ('embeddings', 'prior')),
    *(('prior', 'prior'), ('samples', 'sample'), ('report', 'report')),
    ('export', 'export'),
  ],
)
def test_a_disk_that_grows_bit_by_bit(small_disk, finished, capsys, step, mode):
  """Full at the step's first write, then at a later one, until all fits."""
  run = begin(small_disk, finished, step)
  files = [p for p in (finished / step).rglob('*') if p.is_file()]
  pages = sum(-(-path.stat().st_size // PAGE) for path in files)
  stride = max(1, pages // 12) * PAGE
  refused = 0
  for _ in grow(small_disk, run, stride, lambda: call(mode, run)):
    assert_refused(run, step, capsys)
    refused += 1
  assert refused >= min(pages, 5)
  assert_whole(run, finished)


def test_scores_on_a_disk_that_grows(small_disk, finished, capsys, monkeypatch):
  parts = ('figures', 'intervals', 'prompts', 'nearest', 'subjects')
  made = {'pictures': 2, 'photos': 5, **{part: {} for part in parts}}
  made['subject'] = 'toybox:dog'
  monkeypatch.setattr(scores, '_score', lambda task, sources: made)
  run = begin(small_disk, finished, 'report')  # Else it is made again too.
  attempts = 0
  for _ in grow(small_disk, run, PAGE, lambda: call('evaluate', run)):
    assert_refused(run, 'evaluate', capsys)
    attempts += 1
  assert attempts >= 3
  assert json.loads((run / 'evaluate/scores.json').read_text())['photos'] == 5
  assert disk.damage(run / 'evaluate') == ''


def test_results_of_a_study_on_a_disk_that_grows(
  small_disk, capsys, monkeypatch
):
  """The runs are done; what they found is whole, or absent."""
  monkeypatch.setattr(runs, '_do', lambda *given: True)
  monkeypatch.setattr(runs, '_shown', lambda done: {})
  found = lambda done: {
    one.key: {
      **{'arm': one.arm, 'subject': one.subject, 'seed': one.seed},
      'figures': {'oracle: PRES': 0.1 * n},
    }
    for n, one in enumerate(done)
  }
  monkeypatch.setattr(runs, 'read_scores', found)
  root = small_disk(PAGE) / 'study'
  study = f'--config={ROOT / "configs/studies/prior.py"}'
  act = lambda: main.main(
    ['dbflax', '--mode=study', study, f'--workdir={root}']
  )
  attempts = 0
  for _ in grow(small_disk, root.parent, PAGE, act):
    assert_said(root, capsys)
    if (root / 'results.json').exists():
      assert json.loads((root / 'results.json').read_text())['figures']
    assert not (root / 'report/index.html').exists()
    attempts += 1
  assert attempts >= 3
  assert (root / 'report/index.html').read_text().rstrip().endswith('</html>')


SITES = {
  'the log': (loop.MetricsLog, 'drain'),
  'a checkpoint': (checkpoints.Checkpoints, 'save'),
  "a checkpoint's checksums": (checkpoints.Checkpoints, '_seal'),
  'a preview': (images, 'save_png'),
  'the weights': (diffusers, 'write_tensors'),
  'the manifest': (disk, 'checksums'),
}


@contextlib.contextmanager
def full_at(site, small_disk, run):
  """From when `site`, a (place, name of a function), is called."""
  where, name = site
  write = getattr(where, name)

  def full(*args, **options):
    small_disk(used(run))
    return write(*args, **options)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(where, name, full)
    yield


@pytest.mark.slow
@pytest.mark.parametrize('site', SITES)
def test_a_disk_that_fills_up_while_a_stage_is_trained(
  small_disk, finished, capsys, site
):
  run = begin(small_disk, finished, 'stage_1')
  with full_at(SITES[site], small_disk, run):
    assert call('train', run) == 2
  assert_refused(run, 'stage_1', capsys)
  small_disk(2**28)
  assert call('train', run) == 0
  assert_whole(run, finished)


def test_a_plan_on_a_disk_that_grows(small_disk, capsys, monkeypatch):
  make, made = planner.make, []

  def once(config, folder):
    made[:] = made or [make(config, folder)]
    return made[0]

  monkeypatch.setattr(planner, 'make', once)
  run = small_disk(PAGE) / 'run'
  attempts = 0
  act = lambda: call('plan', run, 'plan.topology=v5e:1x1', 'plan.compile=False')
  for _ in grow(small_disk, run.parent, PAGE, act):
    assert_said(run, capsys)
    assert not (run / 'plan.json').exists()
    attempts += 1
  assert attempts >= 2
  assert json.loads((run / 'plan.json').read_text())['rows']


PRETRAINING = """
from configs import toybox

def get_config():
  config = toybox.get_config('tiny')
  config.target, config.max_length = 'stage_1', 12
  phase = dict(resolution=8, crop=0, batch=2, steps=4)
  config.stage_1.update(phases=(phase,), warmup=1, checkpoint_every=2)
  return config
"""
PRETRAINING_SITES = {
  'the configuration': (pretrain, 'prepare'),
  'the tokenizer': (shutil, 'copytree'),
  **{k: v for k, v in SITES.items() if k not in ('a preview', 'the manifest')},
}


def pretrained_at(run, folder):
  """Runs a pre-training of four steps; the exit code."""
  (folder / 'small.py').write_text(PRETRAINING)
  return main.main(
    [
      *('dbflax', '--mode=pretrain', f'--config={folder / "small.py"}'),
      f'--workdir={run}',
    ]
  )


def begin_pretraining(run):
  """What a stage needs: the text encoder of before."""
  tiny = shutil.copytree(pretrained.ASSETS / 'tiny', run / 'cascade')
  shutil.rmtree(tiny / 'tokenizer')
  (tiny / WEIGHTS).unlink()


WEIGHTS = 'stage_1/unet/diffusion_pytorch_model.safetensors'


@pytest.fixture(scope='module')
def pretrained_weights(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pretraining')
  begin_pretraining(folder / 'run')
  assert pretrained_at(folder / 'run', folder) == 0
  return (folder / 'run/cascade' / WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize('site', PRETRAINING_SITES)
def test_a_disk_that_fills_up_in_pretraining(
  small_disk, pretrained_weights, capsys, tmp_path, site
):
  run = small_disk(2**28) / 'run'
  begin_pretraining(run)
  with full_at(PRETRAINING_SITES[site], small_disk, run):
    assert pretrained_at(run, tmp_path) == 2
  assert_said(run, capsys)
  assert not (run / 'cascade' / WEIGHTS).exists()
  small_disk(2**28)
  assert pretrained_at(run, tmp_path) == 0
  assert (run / 'cascade' / WEIGHTS).read_bytes() == pretrained_weights


def test_a_disk_that_is_full_at_the_start(small_disk, capsys):
  folder = small_disk(PAGE)
  (folder / 'something').write_bytes(bytes(PAGE))
  assert call('run', folder / 'run') == 2
  assert 'No space left' in capsys.readouterr().err.splitlines()[-1]
