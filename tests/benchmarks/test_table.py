"""Tables of benchmarks."""

from benchmarks import table

RESULT = {
  'case': 'train/toybox',
  'batch': 4,
  'sides': {
    'dbflax': {
      'median_s': 0.5,
      'time_over_ours': 1.0,
      'utilisation': 0.4567,
      'peak_bytes': 3 * 2**30,
      'memory_over_ours': 1.0,
      'first_s': 12.34,
      'again_s': 2.56,
    },
    'compiled': {'failed': 'no answer in 540 s'},
  },
}


def _cells(text):
  return [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in text.splitlines()
  ]


def test_every_side_has_a_row_of_all_columns():
  head, _, ours, failed = _cells(table.markdown([RESULT]))
  assert {len(ours), len(failed)} == {len(head)}
  row = dict(zip(head, ours, strict=True))
  assert row['a second'] == '8'
  assert row['MFU'] == '45.7%'
  assert row['peak GiB'] == '3.00'
  assert row['first s'] == '12.3'
  assert row['again s'] == '2.6'


def test_what_is_unknown_is_not_a_number():
  head, _, ours, failed = _cells(table.markdown([RESULT]))
  assert dict(zip(head, ours, strict=True))['import s'] == '–'
  assert 'no answer in 540 s' in failed
  assert '0' not in ''.join(failed[4:])


def test_no_results_leave_a_head():
  assert len(table.markdown([]).splitlines()) == 2


def test_a_case_that_has_not_begun_has_no_row():
  begun = {'case': 'train/toybox', 'batch': 4}
  assert table.markdown([begun, {}]) == table.markdown([])
