"""Truths of the process that compiles for a run on a CPU."""

import contextlib
import logging
import pickle
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from configs import test as test_config
from dbflax import ahead, compiler, pipeline, workdir
from dbflax import job as job_lib

# Reads the request, and then says each step as soon as a file lets it go.
ECHO = """
import os, pickle, sys, time
config, names, _ = pickle.load(sys.stdin.buffer)
(config / 'log_level').write_text(os.environ['TF_CPP_MIN_LOG_LEVEL'])
for name in names:
  if name == 'broken':
    sys.exit(7)
  open(config / name.replace(' ', '_'), 'w').close()
  while not (config / ('go_' + name.replace(' ', '_'))).exists():
    time.sleep(0.01)
  print('a library says this')
  print(name, flush=True)
sys.stdin.buffer.read()
"""


@pytest.fixture
def compiling(tmp_path, monkeypatch):
  """compiling(names): in it there is a Compiler whose process is a fake one.

  Something is in the folder of programs, unless it is another one.
  """
  monkeypatch.setattr(compiler, '_COMMAND', (sys.executable, '-c', ECHO))
  used = tmp_path / 'used'
  used.mkdir()
  (used / 'jit_other-cache').touch()
  return lambda *names, folder=used: contextlib.closing(
    compiler.Compiler(tmp_path, names, str(folder))
  )


def compiled_here():
  jax.monitoring.record_event(compiler._COMPILED)


def wait_for(path):
  end = time.monotonic() + 60
  while not path.exists():
    assert time.monotonic() < end
    time.sleep(0.01)


def test_where_all_is_in_the_folder_nothing_is_begun(compiling):
  with compiling('stage_1', 'stage_2') as made:
    for step in ('prior', 'stage_1', 'stage_2'):
      made.reach(step)
    jax.monitoring.record_event('/jax/compilation_cache/cache_hits')
    assert made._process is None


@pytest.mark.parametrize('name', ['new', 'empty'])
def test_where_nothing_is_in_the_folder_it_begins_at_once(
  compiling, tmp_path, name
):
  (tmp_path / 'empty').mkdir()
  with compiling('stage_1', folder=tmp_path / name) as made:
    wait_for(tmp_path / 'stage_1')
    assert made._process is not None


def test_nobody_asks_what_is_in_a_bucket(compiling):
  with compiling('stage_1', folder='gs://bucket/xla') as made:
    assert made._process is None


def test_a_step_waits_until_its_own_is_compiled(compiling, tmp_path):
  arrived = threading.Event()
  with compiling('stage_1', 'stage_1 previews') as made:
    made.reach('prior')
    compiled_here()
    process = made._process
    compiled_here()
    assert made._process is process  # One is enough.

    def arrive():
      made.reach('stage_1')
      arrived.set()

    threading.Thread(target=arrive).start()
    wait_for(tmp_path / 'stage_1')
    assert not arrived.wait(0.2)
    (tmp_path / 'go_stage_1').touch()
    assert arrived.wait(60)
    made.reach('samples')  # is not its to compile


def test_xla_does_not_complain_of_a_process_that_gives_way(compiling, tmp_path):
  """Of what takes two minutes it logs an error, which 3 leaves out."""
  with compiling('stage_1'):
    compiled_here()
    wait_for(tmp_path / 'stage_1')
  assert (tmp_path / 'log_level').read_text() == '3'


def test_what_the_run_has_begun_is_left_to_it(compiling, tmp_path):
  with compiling('stage_1', 'stage_2') as made:
    made.reach('stage_1')
    compiled_here()
    made.reach('stage_1')
    (tmp_path / 'go_stage_2').touch()
    made.reach('stage_2')
  assert not (tmp_path / 'stage_1').exists()


def test_with_the_last_step_nothing_is_left_to_begin(compiling):
  with compiling('stage_1') as made:
    made.reach('stage_1')
    compiled_here()
    assert made._process is None


def test_a_process_that_ends_is_said_and_the_run_goes_on(compiling, caplog):
  with compiling('broken', 'stage_2') as made:
    compiled_here()
    made.reach('broken')
    made.reach('stage_2')
  [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
  assert said == (
    'the process that compiles ended with exit code 7; steps compile when they '
    'begin'
  )


def test_a_process_that_cannot_start_is_said(compiling, caplog, monkeypatch):
  monkeypatch.setattr(compiler, '_COMMAND', ('/no/such/program',))
  with compiling('stage_1') as made:
    compiled_here()
    made.reach('stage_1')
  [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
  assert said.startswith('nothing is compiled ahead: ')


def test_closed_it_is_gone_and_hears_nothing_more(compiling):
  with compiling('stage_1') as made:
    compiled_here()
  assert made._process.returncode == -signal.SIGKILL
  with compiling('stage_1') as made:
    pass
  compiled_here()
  assert made._process is None


def config_of():
  config = test_config.get_config()
  config.cascade.stages = ('stage_1',)
  config.compile_ahead = True
  config.lock()
  return config


def test_it_ends_by_itself_while_the_run_goes_on(tmp_path):
  with subprocess.Popen(
    compiler._COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE
  ) as process:
    process.stdin.write(pickle.dumps((config_of(), ['none'], str(tmp_path))))
    process.stdin.flush()
    assert process.stdout.readlines() == [b'none\n']
    assert process.wait(60) == 0


def test_it_ends_with_the_run(tmp_path):
  process = subprocess.Popen(compiler._COMMAND, stdin=subprocess.PIPE)
  process.stdin.write(pickle.dumps((config_of(), ['stage_1'], str(tmp_path))))
  process.stdin.close()
  assert process.wait(60) == 1


@pytest.fixture
def folder(tmp_path):
  """JAX's folder of programs, for all of them, however fast they compile."""
  settings = {
    'jax_compilation_cache_dir': str(tmp_path / 'xla'),
    'jax_persistent_cache_min_compile_time_secs': 0,
  }
  before = {name: getattr(jax.config, name) for name in settings}
  for name, value in settings.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()  # JAX would keep to the one that it has.
  yield tmp_path / 'xla'
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture
def heard():
  """What JAX tells of, event by event."""
  events = []
  hear = lambda event, **_: events.append(event)
  jax.monitoring.register_event_listener(hear)
  yield events
  jax.monitoring.unregister_event_listener(hear)


def test_a_run_finds_what_it_compiled(tmp_path, folder, heard):
  """Programs are named, in JAX's folder, by hashes of all that they are of."""
  config = config_of()
  programs = lambda: {path.name for path in folder.glob('*-cache')}
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  jax.clear_caches()  # What other tests of this process have compiled.
  with contextlib.closing(work):
    steps = ahead._names(job_lib.start(config, work))
    with contextlib.closing(
      compiler.Compiler(config, steps, str(folder))
    ) as made:
      compiled_here()
      made.reach(steps[-1])
    compiled = programs()
    heard.clear()
    pipeline.train(config, work)
  count = lambda names, kind: sum(n.startswith(f'jit_{kind}-') for n in names)
  for kind in ('gradient', 'combine', 'apply', 'draw'):
    assert count(compiled, kind)
    # Class images have a sampler of their own, which the run compiles.
    assert count(programs() - compiled, kind) == (kind == 'draw')
  assert compiler._COMPILED in heard
