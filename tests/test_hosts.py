"""Many hosts: real processes that meet, share the work, and miss each other."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy

from dbflax import disk, hosts

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = f'--config={ROOT / "configs/test.py"}'
STAGES = ('stage_1', 'stage_2', 'stage_3')
# Of the parameters after four steps: the hosts add gradients up in another
# order than one process does.
CLOSE = {'rtol': 1e-3, 'atol': 2e-5}


def start(commands, devices, folder=ROOT):
  """A process for every command; each has `devices` devices."""
  flags = (
    f'{os.environ["XLA_FLAGS"]} '
    f'--xla_force_host_platform_device_count={devices}'
  )
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags}
  return [
    subprocess.Popen(
      [sys.executable, *command],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      cwd=folder,
      env={**env, 'PYTHONPATH': str(ROOT)},
    )
    for command in commands
  ]


def address():
  """One that nobody uses now."""
  with socket.socket() as probe:
    probe.bind(('localhost', 0))
    return f'localhost:{probe.getsockname()[1]}'


def finish(processes, timeout):
  """[(exit code, output)] of all."""
  outputs = [p.communicate(timeout=timeout)[0] for p in processes]
  return [(p.returncode, o) for p, o in zip(processes, outputs, strict=True)]


def run(folder, count, *options, devices=1, program=('-m', 'dbflax.main')):
  """configs/test.py on so many hosts: the processes."""
  at = address()
  shared = [
    *(*program, CONFIG, f'--workdir={folder}'),
    *(f'--config.{option}' for option in options),
  ]
  several = [
    f'--config.hosts.coordinator={at}',
    f'--config.hosts.count={count}',
  ]
  if count == 1:
    return start([shared], devices)
  return start(
    [[*shared, *several, f'--config.hosts.index={n}'] for n in range(count)],
    devices,
  )


def weights(folder, name):
  path = folder / name / 'unet/diffusion_pytorch_model.safetensors'
  return safetensors.numpy.load_file(path)


def assert_same_run(found, expected, stages):
  """The same files, and nearly the same parameters."""
  files = lambda folder: sorted(
    str(path.relative_to(folder))
    for path in folder.rglob('*')
    if path.suffix in ('.png', '.safetensors', '.npy', '.html')
  )
  assert files(found) == files(expected)
  assert not list(found.rglob('*.partial'))
  for name in stages:
    pairs, wanted = weights(found, name), weights(expected, name)
    assert pairs.keys() == wanted.keys()
    for key, value in pairs.items():
      np.testing.assert_allclose(value, wanted[key], **CLOSE, err_msg=key)


def test_who_is_one_of_several():
  assert not hosts.detected({})
  assert not hosts.detected({'SLURM_STEP_NUM_TASKS': '1'})
  assert not hosts.detected({'TPU_WORKER_HOSTNAMES': 'localhost'})
  assert hosts.detected({'SLURM_STEP_NUM_TASKS': '4'})
  assert hosts.detected({'OMPI_COMM_WORLD_SIZE': '2'})
  assert hosts.detected({'TPU_WORKER_HOSTNAMES': '10.0.0.1,10.0.0.2'})
  assert hosts.detected({'JAX_COORDINATOR_ADDRESS': '10.0.0.1:1234'})


def test_one_host_does_all_by_itself():
  assert hosts.count() == 1 and hosts.is_first()
  assert hosts.from_first(lambda: {1}) == {1}  # not through JSON
  hosts.wait('nobody')
  hosts.check_equal({'anything': 'ab'})
  rows = np.arange(6).reshape(3, 2)
  np.testing.assert_array_equal(hosts.whole(rows), rows)


def test_two_hosts_share_work(tmp_path):
  at = address()
  command = ['tests/two_hosts.py', at, '2']
  processes = start([[*command, str(n), str(tmp_path)] for n in range(2)], 2)
  ends = finish(processes, timeout=240)
  for code, output in ends:
    assert code == 0 and 'ok' in output.splitlines(), output
  wrote = [
    re.search(r'^wrote (.*)$', output, re.M)[1].split() for _, output in ends
  ]
  assert len(wrote[0]) + len(wrote[1]) == len({*wrote[0], *wrote[1]}) == 11
  assert min(map(len, wrote)) >= 4


@pytest.mark.slow
@pytest.mark.parametrize(
  ('count', 'options'),
  [
    (2, ()),
    # Parameters, moments and average are split over the hosts.
    (2, ('mesh.fsdp=2',)),
    # Four hosts have two examples: each has all of them.
    (4, ()),
    (4, ('mesh.fsdp=2',)),
  ],
)
def test_a_run_on_many_hosts_is_that_of_one(tmp_path, alone, count, options):
  ends = finish(run(tmp_path / 'run', count, *options), timeout=1800)
  for code, output in ends:
    assert code == 0, output
  # The first one speaks for all.
  assert ['now means' in output for _, output in ends].count(True) == 1
  assert_same_run(tmp_path / 'run', alone, STAGES)


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  """The run of one process with one device."""
  folder = tmp_path_factory.mktemp('alone') / 'run'
  [(code, output)] = finish(run(folder, 1), timeout=1800)
  assert code == 0, output
  return folder


@pytest.mark.slow
@pytest.mark.parametrize('killed', [0, 1])
def test_a_lost_host_ends_the_run_and_a_restart_goes_on(
  tmp_path, alone, killed
):
  folder = tmp_path / 'run'
  options = ('stage_1.checkpoint_every=1', 'stage_1.sample_every=0')
  processes = run(folder, 2, *options)
  wait_for(folder / 'stage_1/checkpoints/1', processes, seconds=900)
  processes[killed].send_signal(signal.SIGKILL)
  before = time.monotonic()
  code, output = finish([processes[1 - killed]], timeout=120)[0]
  assert time.monotonic() - before < 60
  assert code not in (0, None), output
  finish([processes[killed]], timeout=10)
  assert not (folder / 'stage_1/manifest.json').exists()
  for code, output in finish(run(folder, 2, *options), timeout=1800):
    assert code == 0, output
  for name in STAGES:
    found, wanted = weights(folder, name), weights(alone, name)
    for key, value in found.items():
      np.testing.assert_allclose(value, wanted[key], **CLOSE, err_msg=key)


def wait_for(path, processes, seconds):
  end = time.monotonic() + seconds
  while not path.exists():
    assert time.monotonic() < end, f'no {path}'
    assert all(process.poll() is None for process in processes), 'one ended'
    time.sleep(0.05)


def stopped(processes, asked, timeout):
  """What two hosts print until they have ended, as they were asked to."""
  begin = time.monotonic()
  for n in asked:
    processes[n].send_signal(signal.SIGTERM)
  ends = finish(processes, timeout=300)
  for code, output in ends:
    assert code == 128 + signal.SIGTERM, output
    assert 'Traceback' not in output, output
  assert time.monotonic() - begin < timeout
  return [output for _, output in ends]


@pytest.mark.parametrize(
  ('place', 'asked'),
  [
    ('training', [1]),
    *(
      pytest.param(place, asked, marks=pytest.mark.slow)
      for place in ('training', 'elsewhere')
      for asked in ([0], [1], [0, 1])
      if (place, asked) != ('training', [1])
    ),
  ],
)
def test_whoever_is_asked_all_stop(tmp_path, place, asked):
  """In training after the same step, saved; else at once, whoever waits."""
  command, at = 'tests/stopped_hosts.py', address()
  processes = start(
    [[command, at, str(n), str(tmp_path), place] for n in range(2)], 1
  )
  there = 'in_5' if place == 'training' else 'waits'
  for n in range(2):
    wait_for(tmp_path / f'{n}.{there}', processes, seconds=120)
  stopped(processes, asked, timeout=30)
  saved = [
    [path.suffix for path in tmp_path.glob(f'{n}.[0-9]*')] for n in range(2)
  ]
  assert saved[0] == saved[1]
  assert len(saved[0]) == (place == 'training')


# Enough of everything for a signal to come in the midst of it.
LONG = (
  *('cascade.stages=("stage_1","stage_2")', 'prior.count=60'),
  *('stage_1.steps=240', 'stage_1.checkpoint_every=80'),
  *('stage_1.sample_every=40', 'sample.images_per_prompt=16'),
)
# As soon as one more of these is there, these hosts get the signal.
DISTURBED = (
  ('prior/*.png', signal.SIGKILL, [1]),
  ('prior/*.png', signal.SIGTERM, [0]),
  ('prior/*.png', signal.SIGKILL, [0]),
  ('stage_1/checkpoints/80', signal.SIGTERM, [1]),
  ('stage_1/checkpoints/160', signal.SIGTERM, [0, 1]),
  ('samples/stage_1/*.png', signal.SIGKILL, [0]),
  ('samples/stage_1/*.png', signal.SIGTERM, [1]),
  ('samples/stage_2/*.png', signal.SIGKILL, [1]),
  ('samples/stage_2/*.png', signal.SIGTERM, [0, 1]),
)


@pytest.mark.slow
def test_hosts_that_are_killed_or_stopped_anywhere_change_nothing(
  tmp_path, monkeypatch
):
  """Started again each time, they end in the bytes of undisturbed ones."""
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'xla'))
  monkeypatch.setenv('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
  begin = lambda folder: run(folder, 2, *LONG, program=('tests/simple_run.py',))
  assert_finished(begin(tmp_path / 'whole'))
  folder = tmp_path / 'run'
  for place, number, asked in DISTURBED:
    before = {path: path.stat().st_mtime_ns for path in folder.glob(place)}
    processes = begin(folder)
    wait_for_new(folder, place, before, processes)
    if number == signal.SIGKILL:
      lose(processes, asked)
    else:
      stopped(processes, asked, timeout=30)
      if place.startswith('stage_1'):
        assert_saved_at_once(
          folder / 'stage_1/checkpoints', int(place.rpartition('/')[2])
        )
  assert_finished(begin(folder))
  assert results(folder) == results(tmp_path / 'whole')


def assert_finished(processes):
  ends = finish(processes, timeout=1800)
  assert [code for code, _ in ends] == [0, 0], [text for _, text in ends]


def wait_for_new(folder, place, before, processes):
  """Until a file of this pattern is there that was not, or is another."""
  end = time.monotonic() + 900
  is_new = lambda path: before.get(path) != path.stat().st_mtime_ns
  while not any(map(is_new, folder.glob(place))):
    assert time.monotonic() < end, f'no new {place}'
    for process in processes:
      assert process.poll() is None, process.communicate()[0]
    time.sleep(0.01)


def lose(processes, killed):
  """Kills one of two hosts; the other ends with an error within a minute."""
  begin = time.monotonic()
  for n in killed:
    processes[n].send_signal(signal.SIGKILL)
  ends = finish(processes, timeout=300)
  assert time.monotonic() - begin < 60
  for n, (code, output) in enumerate(ends):
    assert code == -signal.SIGKILL if n in killed else code != 0, output


def assert_saved_at_once(folder, step):
  """The newest checkpoint is of the step that they were in, and whole."""
  newest = max(int(path.name) for path in folder.glob('[0-9]*'))
  assert step < newest < step + 80
  assert disk.damage(folder / str(newest)) == ''


def results(folder):
  """Relative path → bytes of what a run is for."""
  endings = ('.png', '.safetensors', '.npy', '.jsonl', '.dbflax')
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.suffix in endings
  }


@pytest.mark.slow
@pytest.mark.parametrize(
  ('what', 'options'),
  [
    ('config', lambda n: ('workdir=run', f'config.seed={n}')),
    # As if the hosts had no file system in common.
    ('workdir', lambda n: (f'workdir=run_{n}',)),
  ],
)
def test_hosts_that_differ_are_told_so(tmp_path, what, options):
  at, common = address(), ['-m', 'dbflax.main', CONFIG]
  several = (f'config.hosts.coordinator={at}', 'config.hosts.count=2')
  for_host = lambda n: (*several, f'config.hosts.index={n}', *options(n))
  command = lambda n: [*common, *(f'--{option}' for option in for_host(n))]
  ends = finish(start([command(0), command(1)], 1, tmp_path), timeout=300)
  for code, output in ends:
    assert code == 2
    assert f'the {what} of host 1 is not that of host 0' in output
