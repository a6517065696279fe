"""Results as a table in Markdown."""

from collections.abc import Iterator, Sequence

_HEAD = (
  *('case', 'batch', 'side', 'seconds a batch', 'a second', 'time / ours'),
  *('MFU', 'import s', 'load s', 'first s', 'again s'),
  *('peak GiB', 'memory / ours'),
)
_STARTS = ('import', 'load', 'first', 'again')


def markdown(results: Sequence[dict]) -> str:
  """One row for every side of every case."""
  rows = [_HEAD, ['---'] * len(_HEAD)]
  rows += [row for result in results for row in _rows(result)]
  return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def _rows(result: dict) -> Iterator[list[str]]:
  for name, side in result.get('sides', {}).items():
    start = [result['case'], str(result['batch']), name]
    if 'failed' in side:
      start.append(side['failed'])
    else:
      start += _numbers(side, result['batch'])
    yield start + ['–'] * (len(_HEAD) - len(start))


def _numbers(side: dict, batch: int) -> list[str]:
  median, peak = side.get('median_s'), side.get('peak_bytes')
  return [
    _show(median, '.4g'),
    _show(median and batch / median, '.3g'),
    _show(side.get('time_over_ours'), '.2f'),
    _show(side.get('utilisation'), '.1%'),
    *(_show(side.get(f'{what}_s'), '.1f') for what in _STARTS),
    _show(peak and peak / 2**30, '.2f'),
    _show(side.get('memory_over_ours'), '.2f'),
  ]


def _show(value: float | None, form: str) -> str:
  return '–' if value is None else format(value, form)
