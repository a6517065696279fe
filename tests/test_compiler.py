"""Truths of the process that compiles for a run on a CPU."""

import contextlib
import functools
import logging
import pickle
import signal
import subprocess
import sys
import threading
import time
import types

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from configs import test as test_config
from dbflax import (
  ahead,
  cascade,
  compiler,
  jitted,
  methods,
  pipeline,
  workdir,
)
from dbflax import job as job_lib
from dbflax.train import inversion, step
from tests import heard

# Reads the request, and answers with two programs of each step, as soon as a
# file lets it go; the second did not compile.
ECHO = """
import os, pickle, sys, time
config, names, _ = pickle.load(sys.stdin.buffer)
(config / 'log_level').write_text(os.environ['TF_CPP_MIN_LOG_LEVEL'])
for name in names:
  if name == 'broken':
    sys.exit(7)
  if name == 'cut':
    sys.stdout.buffer.write(pickle.dumps((name, [b'whole']))[:-5])
    sys.exit(7)
  if name == 'noise':
    print('a library says this', flush=True)
    sys.stdin.buffer.read()
  open(config / name.replace(' ', '_'), 'w').close()
  while not (config / ('go_' + name.replace(' ', '_'))).exists():
    time.sleep(0.01)
  pickle.dump((name, [name.upper(), None]), sys.stdout.buffer)
  sys.stdout.buffer.flush()
sys.stdin.buffer.read()
"""


@pytest.fixture
def taken():
  """[program, what it was given] of the fake programs of `compiling`."""
  return []


@pytest.fixture
def compiling(tmp_path, monkeypatch, taken):
  """compiling(names): in it there is a Compiler whose process is a fake one.

  Something is in the folder of programs, unless it is another one. Every step
  has two programs; those of the step 'old' do not take what they are given.
  """

  def take(name, whole):
    if name.startswith('old'):
      raise RuntimeError('of another machine')
    taken.append((name, whole))

  def program(step, name):
    run = types.SimpleNamespace(take=functools.partial(take, f'{step}/{name}'))
    return step, types.SimpleNamespace(name=name, run=run)

  monkeypatch.setattr(compiler, '_COMMAND', (sys.executable, '-c', ECHO))
  used = tmp_path / 'used'
  used.mkdir()
  (used / 'jit_other-cache').touch()
  programs = lambda names: [
    program(step, name) for step in names for name in ('gradient', 'apply')
  ]
  return lambda *names, folder=used: contextlib.closing(
    compiler.Compiler(tmp_path, names, str(folder), lambda: programs(names))
  )


def compiled_here():
  jax.monitoring.record_event(jitted.COMPILED)


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


def test_a_step_waits_until_its_own_is_compiled(compiling, tmp_path, taken):
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
    assert taken == [('stage_1/gradient', 'STAGE_1')]
    made.reach('samples')  # is not its to compile


def test_what_is_made_early_waits_for_its_step(compiling, tmp_path, taken):
  """Only then the run's own programs are there, and memory for more."""
  with compiling('stage_1', 'stage_2') as made:
    for name in ('stage_1', 'stage_2'):
      (tmp_path / f'go_{name}').touch()
    compiled_here()
    made.reach('stage_2')
    assert taken == [('stage_2/gradient', 'STAGE_2')]
    made.reach('stage_1')
    assert taken[1:] == [('stage_1/gradient', 'STAGE_1')]
    made.reach('stage_1')
    assert len(taken) == 2


def test_a_program_that_cannot_be_taken_is_said(
  compiling, tmp_path, taken, caplog
):
  with compiling('old', 'stage_2') as made:
    for name in ('old', 'stage_2'):
      (tmp_path / f'go_{name}').touch()
    compiled_here()
    made.reach('old')
    made.reach('stage_2')
  [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
  assert said == 'old: gradient is made anew: of another machine'
  assert taken == [('stage_2/gradient', 'STAGE_2')]


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


@pytest.mark.parametrize(
  ('ends', 'code'), [('broken', 7), ('cut', 7), ('noise', -signal.SIGKILL)]
)
def test_a_process_that_ends_is_said_and_the_run_goes_on(
  compiling, caplog, monkeypatch, ends, code
):
  monkeypatch.setattr(compiler, '_PATIENCE', 1 if ends == 'noise' else 60)
  with compiling(ends, 'stage_2') as made:
    compiled_here()
    made.reach(ends)
    made.reach('stage_2')
  [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
  assert said == (
    f'the process that compiles ended with exit code {code}; steps compile '
    'when they begin'
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


def config_of(**changes):
  config = test_config.get_config()
  config.cascade.stages = ('stage_1',)
  config.compile_ahead = True
  config.update_from_flattened_dict(changes)
  config.lock()
  return config


def test_it_ends_by_itself_while_the_run_goes_on(tmp_path):
  with subprocess.Popen(
    compiler._COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE
  ) as process:
    process.stdin.write(pickle.dumps((config_of(), ['none'], str(tmp_path))))
    process.stdin.flush()
    assert pickle.load(process.stdout) == ('none', [])
    assert not process.stdout.read()
    assert process.wait(60) == 0


def test_what_a_library_says_is_not_among_what_was_made():
  code = """
import os
from dbflax import compiler
with compiler._own_output() as out:
  print('Python says this', flush=True)
  os.system('echo a library says this')
  out.write(b'made')
"""
  done = subprocess.run((sys.executable, '-c', code), capture_output=True)
  assert done.stdout == b'made'
  assert done.stderr.endswith(b'Python says this\na library says this\n')


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
def new_programs():
  """As in a new process: none is compiled, or was given whole."""

  def forget():
    jax.clear_caches()
    for made in (
      *(step._gradient, step._apply),
      *(inversion._step, cascade.make_sampler),
    ):
      made.cache_clear()

  forget()
  yield forget
  forget()


STEP = ('gradient', 'apply')


@pytest.mark.parametrize(
  ('changes', 'of_step'),
  [
    ({}, STEP),
    ({'stage_1.lora.rank': 2}, STEP),
    ({'method': 'textual_inversion'}, ('update',)),
  ],
  ids=str,
)
def test_a_run_is_given_what_it_compiled(
  tmp_path, folder, new_programs, changes, of_step
):
  """What lies in JAX's folder, a later run finds there: it is not given that.

  It is named by hashes of all that it is of.
  """
  config = config_of(compile_ahead=False, **changes)

  def run(name):
    """The names of what it compiles or finds, and the folder's programs."""
    work = workdir.Workdir(str(tmp_path / name), config.name, 'python')
    with contextlib.closing(work):
      _have_compiled(config, work, folder)
      with heard.programs() as names:
        pipeline.train(config, work)
    return names, {path.name for path in folder.glob('*-cache')}

  of_step = {f'jit({name})' for name in of_step}
  names, files = run('first')
  # Class images have a sampler of their own, which the run compiles.
  assert not of_step & set(names)
  assert names.count('jit(draw)') == methods.draws_prior(config)
  new_programs()
  names, same = run('second')
  assert of_step <= set(names) and same == files


def _have_compiled(config, work, folder):
  """All of a run's steps, and gives them to the run."""
  job = job_lib.start(config, work)
  names = ahead._names(job)
  programs = lambda: compiler.programs(config, job.model, job.mesh, names)
  with contextlib.closing(
    compiler.Compiler(config, names, str(folder), programs)
  ) as made:
    compiled_here()
    for name in names:
      made.reach(name)
