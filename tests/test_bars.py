"""Bars: compiling and previews count for no rate; a log is not flooded."""

import re
import time

from dbflax import bars


def test_compiling_is_said_and_is_not_in_the_rate(capfd):
  with bars.bar('steps', 600, 'step') as bar:
    with bars.compiling(bar):
      assert capfd.readouterr().err.endswith('compiling]')
      time.sleep(1)
    for _ in range(3):
      time.sleep(0.05)
      bar.update()
    fast = bar.format_dict
  assert fast['elapsed'] < 0.9
  assert fast['n'] / fast['elapsed'] > 3
  last = re.split(r'[\r\n]+', capfd.readouterr().err.strip())[-1]
  assert '3/600' in last and 'compiling' not in last


def test_only_the_first_call_compiles(capfd):
  with bars.bar('steps', 600, 'step') as bar:
    with bars.compiling(bar, now=False):
      time.sleep(0.3)
    assert bar.format_dict['elapsed'] >= 0.3
  assert 'compiling' not in capfd.readouterr().err


def test_a_preview_is_not_in_the_rate(capfd):
  with bars.bar('steps', 600, 'step', done=300) as bar:
    with bars.paused(bar):
      time.sleep(0.5)
    assert bar.format_dict['elapsed'] < 0.4
    assert bar.n == 300


def test_a_log_gets_few_of_the_states(capfd):
  with bars.bar('steps', 200, 'step') as bar:
    for _ in range(200):
      bar.update()
      time.sleep(0.01)
  # The first one and the last one.
  assert capfd.readouterr().err.count('\r') <= 3
