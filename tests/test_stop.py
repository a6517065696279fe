"""Truths of being asked to stop, in processes of their own."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Python's handlers are not called before such a call is over.
BUSY = """
import hashlib, os, signal, sys, threading
from dbflax import stop
stop._PATIENCE = 1
kill = lambda: os.kill(os.getpid(), signal.{name})
threading.Timer(0.5, kill).start()
def work(rounds):
  print('works', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', rounds)
"""


def run(name, script):
  """(exit code, stdout, stderr, seconds) of a process that gets a signal."""
  begin = time.monotonic()
  done = subprocess.run(
    [sys.executable, '-c', BUSY.format(name=name) + script],
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  seconds = time.monotonic() - begin
  return done.returncode, done.stdout, done.stderr, seconds


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT'])
def test_who_does_not_answer_is_ended(name):
  code, out, error, seconds = run(
    name, 'with stop.on_signals():\n  work(10**9)\n'
  )
  assert code == 128 + getattr(signal, name) and out == 'works\n'
  assert error == 'dbflax: stopped; the same command goes on\n'
  assert seconds < 60  # It would work for many minutes.


def test_a_step_is_waited_for():
  script = """
with stop.on_signals(), stop.deferred() as asked:
  asked.check()
  work(10**7)
  print('done', asked.check() and asked.number, flush=True)
  os._exit(0)
"""
  code, out, error, seconds = run('SIGTERM', script)
  assert (code, out) == (0, f'works\ndone {int(signal.SIGTERM)}\n')
  assert error.strip().startswith('dbflax: stopping when this step is saved')
  assert seconds > 2


def test_an_answer_counts_however_late_the_listener_hears():
  script = """
import time, types
def late(*args, wait=stop.select.select):
  heard = wait(*args)
  time.sleep(3)
  return heard
stop.select = types.SimpleNamespace(select=late)
with stop.on_signals():
  try:
    time.sleep(60)
  except stop.Stopped:
    print('asked', flush=True)
  time.sleep(5)
print('done')
"""
  assert run('SIGTERM', script)[:3] == (0, 'asked\ndone\n', '')


def test_after_the_run_signals_are_what_they_were():
  script = """
with stop.on_signals():
  pass
work(10**8)
"""
  assert run('SIGTERM', script)[0] == -signal.SIGTERM


def test_a_thread_that_compiles_is_not_waited_for():
  script = """
threading.Thread(target=work, args=(10**9,), name=stop.COMPILER).start()
stop.leave(7)
"""
  code, _, _, seconds = run('SIGCONT', script)
  assert code == 7 and seconds < 60  # It would work for many minutes.


def test_other_threads_are_waited_for():
  script = """
threading.Thread(target=lambda: work(10**6) or print('done')).start()
stop.leave(7)
"""
  code, out, _, _ = run('SIGCONT', script)
  assert code == 7 and out == 'works\ndone\n'
