"""What may happen to a run, over and over: killed, and a disk that fills up.

DBFLAX_KILLS says how many kills there are; each costs some seconds, most of
them for starting Python and reading compiled programs.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]
KILLS = int(os.environ.get('DBFLAX_KILLS', '200'))
# Where to kill: at a random instant, or as soon as one of these is there.
PLACES = (
  *(None, None, None, None),
  'prior/*.png',
  'prior/.*.partial',
  'embeddings/.*.partial',
  'stage_?/checkpoints/*tmp*',
  'stage_?/checkpoints/[0-9]',
  'stage_?/checkpoints/[0-9]/*.partial',
  'stage_?/unet/.*.partial',
  'stage_?/samples/*.png',
  'stage_?/.*.partial',
  'samples/stage_?/*.png',
  'report/*',
)
# What must be the same in the end; times, logs of time and the like need not.
RESULTS = (
  *('**/*.png', '**/*.safetensors', '**/*.npy', '**/metrics.jsonl'),
  '**/*tfevents*',
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def command(tmp_path_factory):
  """command(folder) starts configs/test.py there; all compile once."""
  cache = tmp_path_factory.mktemp('xla')
  env = {
    **os.environ,
    'PYTHONPATH': str(ROOT),
    'JAX_COMPILATION_CACHE_DIR': str(cache),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  config = f'--config={ROOT / "configs/test.py"}'

  def start(folder, *, program=('-m', 'dbflax.main'), **more):
    return subprocess.Popen(
      [sys.executable, *program, config, f'--workdir={folder}'],
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      text=True,
      env={**env, **more},
    )

  return start


@pytest.fixture(scope='module')
def whole(command, tmp_path_factory):
  """(folder, seconds) of an undisturbed run, compiled before."""
  for name in ('first', 'second'):
    folder = tmp_path_factory.mktemp(name) / 'run'
    begin = time.monotonic()
    process = command(folder)
    _, output = process.communicate(timeout=1800)
    assert process.returncode == 0, output
  return folder, time.monotonic() - begin


def results(folder):
  """Relative path → content of what a run is for."""
  paths = {path for pattern in RESULTS for path in folder.glob(pattern)}
  kept = sorted(p for p in paths if not p.name.startswith('.'))
  return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def assert_same(folder, expected):
  found = results(folder)
  assert found.keys() == expected.keys()
  differ = [
    name for name, content in found.items() if content != expected[name]
  ]
  assert not differ
  assert not list(folder.rglob('*.partial'))


def kill(process, folder, place, seconds):
  """Kills a run at a place, or after a time; whether it was still running."""
  end = time.monotonic() + seconds
  seen = set(folder.glob(place)) if place else set()
  while process.poll() is None and time.monotonic() < end:
    if place and set(folder.glob(place)) - seen:
      break
    time.sleep(0.001)
  running = process.poll() is None
  with contextlib.suppress(ProcessLookupError):
    os.kill(process.pid, signal.SIGKILL)
  _, output = process.communicate()
  assert running or process.returncode == 0, output
  assert 'Traceback' not in output, output
  return running


def test_kills_change_nothing(command, whole, tmp_path):
  """Whenever it is killed, a run ends in the same bytes."""
  (folder, seconds), draw = whole, random.Random(0)
  expected, kills, runs = results(folder), 0, 0
  while kills < KILLS:
    run, finished = tmp_path / str(runs), False
    while not finished:
      finished = not kill(
        command(run), run, draw.choice(PLACES), draw.uniform(1, 1.2 * seconds)
      )
      kills += not finished
    assert_same(run, expected)
    shutil.rmtree(run)
    runs += 1
  print(f'{kills} kills in {runs} runs, no byte changed')


# Copies to the bucket twice a second.
OFTEN = """
import sys
from dbflax import main, mirror
mirror._EVERY, mirror._PATIENCE = 0.5, 2
sys.exit(main.main(sys.argv))
"""


def test_machines_that_come_and_go_change_nothing(command, whole, tmp_path):
  """Each goes on from what those before it have brought to a bucket."""
  (folder, seconds), draw = whole, random.Random(1)
  expected, lost, runs = results(folder), 0, 0
  while lost < KILLS / 20:
    bucket, finished = tmp_path / f'bucket_{runs}', False
    while not finished:
      home = tmp_path / f'home_{lost}'
      process = command(
        f'file://{bucket}', program=('-c', OFTEN), HOME=str(home)
      )
      patience = draw.uniform(0.4, 0.8) * seconds
      finished = not kill(process, bucket, None, patience)
      lost += not finished
      shutil.rmtree(home)  # with the machine
    (bucket / 'holder.json').unlink()
    assert_same(bucket, expected)
    runs += 1
  print(f'{lost} machines lost in {runs} runs, no byte changed')


# From where nothing fits to where nearly all does: every place that writes.
@pytest.mark.parametrize('share', [0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.97])
def test_a_full_disk_is_said_and_lost_is_nothing(
  command, whole, small_disk, share
):
  folder, _ = whole
  size = sum(p.stat().st_size for p in folder.rglob('*') if p.is_file())
  run = small_disk(int(size * share)) / 'run'
  process = command(run)
  _, output = process.communicate(timeout=600)
  assert process.returncode == 2, output
  assert 'the disk is full' in output.splitlines()[-1]
  assert 'Traceback' not in output
  small_disk(4 * size)
  process = command(run)
  _, output = process.communicate(timeout=600)
  assert process.returncode == 0, output
  assert_same(run, results(folder))
