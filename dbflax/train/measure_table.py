"""What was measured of a cascade as one table, beside what it should reach."""

from collections.abc import Collection

from dbflax.train import measure_base

_BARS = {
  'oracle': {
    'class': ('≥', 0.99),
    'place': ('≥', 0.98),
    'accessory': ('≥', 0.97),
    'style': ('≥', 0.98),
    'identity': ('≥', 0.98),
  },
  'base': measure_base.BARS,
  'time': {'seconds': ('≤', 30.0)},
}
# Parts in which a number that could not be measured is an LPIPS.
_LPIPS = ('diversity', 'samplers', 'sr')
# How far below `base` held-out combinations may be.
_WITHIN = 0.10


def bars(results: dict, part: str) -> dict[str, tuple[str, float]]:
  """{name: (sign, number)} that a part's values should reach."""
  if part == 'held_out':
    base = results.get('base', {}).get('values', {})
    return {
      name: ('≥', base[name] - _WITHIN)
      for name in measure_base.BARS
      if base.get(name) is not None
    }
  return _BARS.get(part, results[part].get('bars', {}))


def table(results: dict, stale: Collection[str] = ()) -> str:
  """'measure | value | bar' of all that is known.

  Args:
    results: {part: {'values', …}}, as measure.json has it.
    stale: parts that were measured on other weights; they are marked.
  """
  lines = ['measure | value | bar', '---|---|---']
  for part, record in results.items():
    asked = bars(results, part)
    mark = ' (of other weights)' if part in stale else ''
    for name, value in record.get('values', {}).items():
      text = _number(value, part)
      if name in record.get('renders', {}):
        text += f' (renders {_number(record["renders"][name], part)})'
      bar = _bar(value, *asked[name]) if name in asked else ''
      lines.append(f'{part}: {name}{mark} | {text} | {bar}')
  return '\n'.join(lines)


def _number(value: float | None, part: str) -> str:
  if value is None:
    return 'needs the extra metrics' if part in _LPIPS else 'not asked'
  return f'{value:.3f}'


def _bar(value: float | None, sign: str, bar: float | None) -> str:
  """The bar, and whether the value misses it."""
  if value is None or bar is None:
    return ''
  reached = {
    '≥': value >= bar,
    '>': value > bar,
    '≤': value <= bar,
    '<': value < bar,
  }[sign]
  return f'{sign} {bar:.3f}' + ('' if reached else ' missed')
