import os
import signal

import pytest

from dbflax import disk, errors, stop
from dbflax.serve import jobs

WAITS = 'time.sleep(60)'
# As a run does: it saves, and says so by its exit code.
SAVES = """
signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(143)))
print('ready', flush=True)
time.sleep(60)
"""
# As a training does, which is a while at it.
TRAINS = """
from dbflax import stop
try:
  with stop.on_signals(), stop.deferred() as asked:
    asked.check()
    print('ready', flush=True)
    while not asked.check():
      time.sleep(0.02)
    time.sleep(1)
    print('saved', flush=True)
    asked.obey()
except stop.Stopped as stopped:
  sys.exit(stop.exit_code(stopped))
"""


def state(run_jobs, kind=jobs.RUN):
  return run_jobs.state(kind).name


def test_a_command_is_what_a_user_would_type():
  own = (
    *('--config=configs/dog.py', '--mode', 'serve', '--workdir', 'w'),
    *('--config.serve.port=1', '-config.serve.host', '0.0.0.0'),
    *('--config.stage_1.steps=5', '--config.seed=3'),
  )
  words = jobs.command(own, {'stage_1.steps': 7}, 'export')
  assert words == [
    *('python', '-m', 'dbflax.main', '--config=configs/dog.py'),
    *('--workdir', 'w', '--config.seed=3'),
    *('--config.stage_1.steps=7', '--mode=export'),
  ]
  assert '--mode' not in ' '.join(jobs.command(own, {}))


def test_a_shown_command_is_safe_to_paste():
  words = jobs.command((), {'sample.prompts': ("a {subject}'s; rm -rf $HOME",)})
  import shlex

  assert shlex.split(jobs.shown(words).replace('\\\n', '')) == words


def test_a_command_runs_to_its_end(run_jobs, program, wait):
  program("print('done')")
  assert state(run_jobs) == 'none'
  run_jobs.start(jobs.RUN, {'seed': 3}, {'of': 'x'})
  wait(lambda: state(run_jobs) == 'done')
  assert run_jobs.log(jobs.RUN) == [
    'asked - --config=dog.py --config.seed=3',
    'done',
  ]
  assert run_jobs.changes() == {'seed': 3}
  assert run_jobs.made_of(jobs.RUN) == {'of': 'x'}
  assert not run_jobs.is_busy()


def test_of_a_bar_only_the_newest_state_is_shown(run_jobs, program, wait):
  program("print('1/9\\r2/9\\r3/9\\r')")
  run_jobs.start(jobs.RUN, {}, {})
  wait(lambda: state(run_jobs) == 'done')
  assert run_jobs.log(jobs.RUN)[-1] == '3/9'


@pytest.mark.parametrize(
  ('code', 'message'),
  [
    ("print('dbflax: no photo'); sys.exit(2)", 'no photo'),
    ("print('the last line'); sys.exit(3)", 'code 3: the last line'),
    (
      f"print('the last line'); print('{stop.WAITS}'); sys.exit(3)",
      'code 3: the last line',
    ),
  ],
)
def test_a_failure_is_told_in_its_own_words(
  run_jobs, program, wait, code, message
):
  program(code)
  run_jobs.start(jobs.RUN, {}, {})
  wait(lambda: state(run_jobs) == 'failed')
  assert message in run_jobs.state(jobs.RUN).message


def test_stopping_lets_the_run_save(run_jobs, program, wait):
  program(SAVES)
  run_jobs.start(jobs.RUN, {}, {})
  wait(lambda: 'ready' in run_jobs.log(jobs.RUN))
  run_jobs.stop()
  wait(lambda: state(run_jobs) == 'stopped')
  assert run_jobs.log(jobs.RUN)[-1] == 'saved'


def test_a_run_can_be_stopped_before_it_begins(run_jobs, program, wait):
  program(WAITS)
  run_jobs.start(jobs.RUN, {}, {})
  run_jobs.stop()  # Python takes longer than this to start.
  wait(lambda: state(run_jobs) == 'stopped')


def test_asked_to_stop_again_a_run_still_saves(run_jobs, program, wait):
  program(TRAINS)
  run_jobs.start(jobs.RUN, {'seed': 3}, {})
  wait(lambda: 'ready' in run_jobs.log(jobs.RUN))
  assert not run_jobs.state(jobs.RUN).is_stopping
  run_jobs.stop()
  wait(lambda: stop.WAITS in run_jobs.log(jobs.RUN))
  assert run_jobs.state(jobs.RUN).is_stopping
  run_jobs.stop()
  jobs.Jobs(run_jobs.root, ()).stop()  # of another page
  wait(lambda: state(run_jobs) == 'stopped')
  assert run_jobs.log(jobs.RUN)[-1] == 'saved'
  assert run_jobs.changes() == {'seed': 3}
  # The next one can be stopped again.
  run_jobs.start(jobs.RUN, {}, {})
  assert not run_jobs.state(jobs.RUN).is_stopping


def test_there_is_one_command_at_a_time(run_jobs, program):
  program(WAITS)
  run_jobs.start(jobs.RUN, {}, {})
  assert run_jobs.is_busy()
  with pytest.raises(errors.UserError, match='wait for it, or stop it'):
    run_jobs.start(jobs.EXPORT, {}, {})


def test_another_page_finds_the_run_and_stops_it(run_jobs, program, wait):
  program(SAVES)
  run_jobs.start(jobs.RUN, {'seed': 3}, {})
  wait(lambda: 'ready' in run_jobs.log(jobs.RUN))
  other = jobs.Jobs(run_jobs.root, ())
  assert state(other) == 'running' and other.is_busy()
  assert other.changes() == {'seed': 3}
  other.stop()
  wait(lambda: state(other) == 'stopped')
  assert not other.is_busy()


def test_a_run_that_was_killed_is_lost_and_makes_room(run_jobs, program, wait):
  program(WAITS)
  run_jobs.start(jobs.RUN, {}, {})
  pid = disk.read_json(run_jobs.folder(jobs.RUN) / 'job.json')['pid']
  os.killpg(pid, signal.SIGKILL)
  wait(lambda: state(run_jobs) == 'lost')
  program('')
  run_jobs.start(jobs.RUN, {}, {})
  wait(lambda: state(run_jobs) == 'done')


def test_a_process_that_took_the_number_over_is_left_alone(run_jobs, tmp_path):
  """job.json may be old; only while the lock is held is its number right."""
  disk.write_json(run_jobs.folder(jobs.RUN) / 'job.json', {'pid': os.getpid()})
  before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail('signalled'))
  try:
    run_jobs.stop()
  finally:
    signal.signal(signal.SIGTERM, before)
  assert state(run_jobs) == 'lost'
