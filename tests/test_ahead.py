"""Truths of compiling ahead: what, in which order, and that it is of use."""

import contextlib
import dataclasses
import logging
import os
import sys
import threading
import time
import types

import jax
import pytest

from configs import test as test_config
from dbflax import ahead, beside, compiler, hosts, pipeline, workdir
from dbflax import job as job_lib
from tests import heard, simple_run


class Programs:
  """Fake programs, `step/name`; those that are `held` compile when let go."""

  def __init__(self, *names, held=(), broken=()):
    self.names, self.broken, self.done = names, broken, []
    self.begun = {name: threading.Event() for name in names}
    self.let_go = {name: threading.Event() for name in held}
    self.check = lambda: None

  def __call__(self):
    for name in self.names:
      step, program = name.split('/')
      compile_it = lambda name=name: self._compile(name)
      lowered = types.SimpleNamespace(compile=compile_it)
      traced = types.SimpleNamespace(lower=lambda lowered=lowered: lowered)
      yield step, types.SimpleNamespace(name=program, traced=traced)

  def _compile(self, name):
    self.begun[name].set()
    self.check()
    if name in self.let_go:
      assert self.let_go[name].wait(60)
    if name in self.broken:
      raise ValueError('no such operation')
    self.done.append(name)


def join():
  for thread in threading.enumerate():
    if thread.name == ahead.stop.COMPILER:
      thread.join(60)
      assert not thread.is_alive()


def test_programs_are_compiled_in_their_order_from_the_first_step_on():
  programs = Programs('stage_1/gradient', 'stage_1/apply', 'stage_2/gradient')
  made = ahead.Ahead(programs, threads=1)
  assert not programs.begun['stage_1/gradient'].wait(0.1)
  made.reach('prior')
  join()
  assert programs.done == list(programs.names)


def test_a_step_waits_for_its_own_and_compiles_the_rest_itself():
  names = ('stage_1/gradient', 'stage_1/apply', 'stage_2/gradient')
  programs = Programs(*names, held=names[:1])
  made = ahead.Ahead(programs, threads=1)
  made.reach('prior')
  assert programs.begun[names[0]].wait(60)
  arrived = threading.Event()

  def arrive():
    made.reach('stage_1')
    arrived.set()

  threading.Thread(target=arrive).start()
  assert not arrived.wait(0.2)
  programs.let_go[names[0]].set()
  assert arrived.wait(60)
  join()
  assert programs.done == ['stage_1/gradient', 'stage_2/gradient']


def test_several_threads_compile_each_program_once():
  names = [f'stage_{n}/gradient' for n in range(20)]
  programs = Programs(*names)
  ahead.Ahead(programs, threads=4).reach('prior')
  join()
  assert sorted(programs.done) == sorted(names)


def test_after_the_end_nothing_is_begun():
  names = ('stage_1/gradient', 'stage_1/apply')
  programs = Programs(*names, held=names[:1])
  made = ahead.Ahead(programs, threads=1)
  made.reach('prior')
  assert programs.begun[names[0]].wait(60)
  made.close()
  programs.let_go[names[0]].set()
  join()
  assert programs.done == ['stage_1/gradient']


def test_what_does_not_compile_is_said_and_the_rest_goes_on(caplog):
  names = ('stage_1/gradient', 'stage_1/apply')
  programs = Programs(*names, broken=names[:1])
  ahead.Ahead(programs, threads=1).reach('prior')
  join()
  assert programs.done == ['stage_1/apply']
  [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
  assert said == 'stage_1: gradient does not compile: no such operation'


def config_of(**changes):
  config = test_config.get_config()
  config.cascade.stages = ('stage_1', 'stage_2')
  config.update_from_flattened_dict(
    {k.replace('__', '.'): v for k, v in changes.items()}
  )
  config.lock()
  return config


CHANGES = (
  {},
  {'prior__weight': 0.0},
  {'stage_1__lora__rank': 2, 'stage_1__ema_decay': 0.9},
  {'stage_1__trainable': 'up_blocks', 'stage_1__frozen_dtype': 'bfloat16'},
  {'stage_1__batch': 2, 'stage_1__microbatches': 2},
  {'method': 'textual_inversion'},
)


@pytest.mark.parametrize('changes', CHANGES, ids=str)
def test_a_run_compiles_nothing_again(tmp_path, changes):
  config = config_of(**changes)
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  with simple_run.in_this_process(), contextlib.closing(work):
    with heard.programs() as first:
      job = job_lib.start(config, work)
      for found in compiler.programs(
        config, job.model, job.mesh, ahead._names(job)
      ):
        compiler.compile_one(*found)
    with heard.programs() as then:
      pipeline.train(config, work)
  big = {f'jit({name})' for name in ('gradient', 'apply', 'update')}
  assert big & set(first) and not big & set(then)
  # Class images have a sampler of their own.
  assert then.count('jit(draw)') <= 1


@pytest.mark.parametrize(
  'method,step',
  [('dreambooth', 'stage_1'), ('textual_inversion', 'inversion')],
)
def test_previews_are_waited_for_as_a_step(tmp_path, monkeypatch, method, step):
  begun = []
  monkeypatch.setattr(
    ahead,
    'compiling',
    lambda job: contextlib.nullcontext(
      dataclasses.replace(job, begins=begun.append)
    ),
  )
  config = config_of(method=method)
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  with simple_run.in_this_process(), contextlib.closing(work):
    pipeline.train(config, work)
  first = begun.index(step)
  assert begun[first + 1] == f'{step} previews'
  grids = work.root / step / 'samples'
  assert begun.count(f'{step} previews') == len(list(grids.iterdir()))


@pytest.mark.skipif(sys.platform != 'linux', reason='a process has one there')
def test_others_come_first():
  mine = lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
  before, programs = mine(), Programs('stage_1/gradient')
  programs.check = lambda: noted.append(mine())
  noted = []
  ahead.Ahead(programs, threads=1).reach('prior')
  join()
  assert noted == [19] and mine() == before < 19


def test_waiting_for_the_compiler_counts_as_the_step(tmp_path):
  config = config_of()
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  with contextlib.closing(work):
    job = job_lib.start(config, work)
    busy = dataclasses.replace(job, begins=lambda step: time.sleep(0.3))
    busy.step('stage_1', {}, lambda folder: None)
    assert work.times()['stage_1'] >= 0.3


def test_what_is_done_is_not_compiled(tmp_path):
  config = config_of()
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  with contextlib.closing(work):
    job = job_lib.start(config, work)
    second = ['stage_2', 'stage_2 previews']
    assert ahead._names(job) == ['stage_1', 'stage_1 previews', *second]
    work.step('stage_1', {}, lambda folder: None)
    assert ahead._names(job) == second


@pytest.fixture
def machine(monkeypatch, tmp_path):
  """machine(platform, cores, hosts) is pretended; JAX has a folder, in use."""

  def pretend(platform, cores=96, count=1):
    monkeypatch.setattr(beside, 'cores', lambda: cores)
    monkeypatch.setattr(hosts, 'count', lambda: count)
    monkeypatch.setattr(jax, 'default_backend', lambda: platform)

  before = jax.config.jax_compilation_cache_dir
  (tmp_path / 'jit_other-cache').touch()
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  yield pretend
  jax.config.update('jax_compilation_cache_dir', before)


def job_of(tmp_path, **changes):
  config = config_of(compile_ahead=True, **changes)
  work = workdir.Workdir(str(tmp_path / 'run'), config.name, 'python')
  return job_lib.Job(config, work, *[None] * 4)


@pytest.mark.parametrize('cores,threads', [(2, 1), (96, 2)])
def test_threads_compile_for_a_tpu(tmp_path, machine, cores, threads):
  machine('tpu', cores)
  with ahead.compiling(job_of(tmp_path)) as busy:
    assert isinstance(busy.begins.__self__, ahead.Ahead)
    assert busy.begins.__self__._threads == threads


def test_a_process_compiles_for_a_cpu(tmp_path, machine):
  job = job_of(tmp_path)
  machine('cpu', cores=2)
  with ahead.compiling(job) as busy:
    assert isinstance(busy.begins.__self__, compiler.Compiler)


@pytest.mark.parametrize(
  'machine_is', [('gpu',), ('cpu', 1), ('tpu', 1), ('tpu', 96, 2)], ids=str
)
def test_where_it_would_be_in_the_way(tmp_path, machine, machine_is):
  job = job_of(tmp_path)
  machine(*machine_is)
  with ahead.compiling(job) as busy:
    assert busy is job


def test_a_cpu_needs_a_folder_of_programs(tmp_path, machine):
  machine('cpu')
  jax.config.update('jax_compilation_cache_dir', None)
  job = job_of(tmp_path)
  with ahead.compiling(job) as busy:
    assert busy is job


def test_it_can_be_left(tmp_path, machine):
  machine('cpu')
  job = job_of(tmp_path)
  off = dataclasses.replace(job, config=config_of(compile_ahead=False))
  with ahead.compiling(off) as busy:
    assert busy is off
