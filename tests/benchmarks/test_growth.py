"""Exponents of known growths, and the sizes that cost little to measure."""

import pytest

from benchmarks import growth


@pytest.mark.parametrize('power', [-1, 0, 0.5, 1, 2])
def test_the_exponent_of_a_power_is_its_power(power):
  sizes = (1, 2, 4, 8)
  assert growth.exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(
    power, abs=1e-9
  )


def test_what_is_the_same_for_all_hides_in_all_but_the_last_doubling():
  sizes = (1, 2, 4, 8)
  costs = [10 + n**2 for n in sizes]
  *_, whole, last, _ = growth.row('batch', sizes, costs).split('|')
  assert float(whole) < float(last) < 2


def test_devices_divide_nearly_all(capsys):
  growth.main(['--only', 'devices'])
  line = capsys.readouterr().out.splitlines()[-1]
  assert line.startswith('| devices | 1: ') and 'MiB' in line
  assert -1 <= float(line.split('|')[3]) < -0.95


def test_costs_are_of_what_was_done(monkeypatch):
  done = []
  case = lambda size, folder: lambda: done.append((size, folder.is_dir()))
  monkeypatch.setitem(growth.TIMED, 'photos', (case, (1, 2)))
  sizes, costs = growth.measure('photos', repetitions=2)
  assert sizes == (1, 2) and min(costs) >= 0
  # Once to compile, and then twice.
  assert done == [(1, True)] * 3 + [(2, True)] * 3
