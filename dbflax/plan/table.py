"""A plan as a table for the terminal, and as plain data for plan.json."""

import dataclasses

from dbflax.plan import hardware, planner, quick

_KINDS = ('weights', 'gradients', 'optimizer')
_HEAD = (
  'step', 'times', 'weights', 'grads', 'optim.', 'other', 'working*',
  'all', 'TFLOP', 'at least', 'likely',
)  # fmt: skip


def render(plan: planner.Plan) -> str:
  """The plan in lines of at most 88 columns."""
  mesh = ' x '.join(f'{axis}={n}' for axis, n in plan.mesh.items())
  lines = [
    f'Plan of {plan.name!r} on {plan.place.name}: {mesh}',
    'GiB of each chip; TFLOP of all chips, and time, for one time',
    '',
    *_aligned([_HEAD, *(_cells(plan, row) for row in plan.rows)]),
    '',
    _working(plan),
    *_exchanged(plan),
    *_limit(plan),
    *_time(plan),
    *plan.notes,
  ]
  return '\n'.join(lines)


def _aligned(rows) -> list[str]:
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  left, *right = widths
  return [
    '  '.join(
      [row[0].ljust(left)]
      + [cell.rjust(w) for cell, w in zip(row[1:], right, strict=True)]
    )
    for row in rows
  ]


def _cells(plan: planner.Plan, row) -> tuple[str, ...]:
  """A line of the table. `other` is all that has no column of its own."""
  gib = lambda size: f'{size / hardware.GIB:.2f}' if size else '-'
  known = [row.resident.get(kind, 0) for kind in _KINDS]
  other = sum(row.resident.values()) - sum(known)
  return (
    row.name,
    str(row.count),
    *map(gib, (*known, other, row.working)),
    gib(row.bytes) + ('' if plan.fits(row) else ' !'),
    f'{row.flops / 1e12:.4g}',
    duration(row.least),
    duration(row.likely),
  )


def duration(seconds: float | None) -> str:
  """Such as '12 ms', '3.4 s', '5 min', '2.1 h'."""
  if seconds is None:
    return '-'
  for unit, size in (('h', 3600), ('min', 60), ('s', 1)):
    if seconds >= size:
      return f'{seconds / size:.1f} {unit}'
  return f'{seconds * 1e3:.1f} ms'


def _is_measured(plan: planner.Plan) -> bool:
  return any(row.measured for row in plan.rows)


def _working(plan: planner.Plan) -> str:
  if _is_measured(plan):
    return '* measured: what the compiler needs beside, its code included'
  note = (
    '* an estimate: all values of the traced program, as if none were fused'
  )
  if plan.mesh.get('fsdp', 1) == 1:
    return note
  # Which ones the compiler gathers early is its own choice.
  return f"{note}; kernels that 'fsdp' gathers are not in it"


def _exchanged(plan: planner.Plan) -> list[str]:
  """What each chip exchanges in one step: by kind if that is measured."""
  if _is_measured(plan):
    return [_collectives(row) for row in plan.rows if row.exchanged]
  size = lambda row: f'{row.name} {row.sent / hardware.GIB:.2f}'
  trained = [
    row for row in plan.rows if row.sent and 'gradients' in row.resident
  ]
  if not trained:
    return []
  return [
    f'GiB sent to each chip, at least: {", ".join(map(size, trained))} '
    '(per product the smallest: kernel, values or results)'
  ]


def _collectives(row: quick.Row) -> str:
  size = lambda entry: f'{entry["bytes"] / hardware.GIB:.3g} GiB'
  return f'{row.name}: ' + ', '.join(
    f'{kind} {size(entry)} in {entry["count"]}'
    for kind, entry in sorted(row.exchanged.items())
  )


def _limit(plan: planner.Plan) -> list[str]:
  if plan.limit is None:
    return [
      'What fits is not known: these devices do not say how much memory they '
      'have; --config.plan.topology plans for a TPU'
    ]
  gib = lambda size: f'{size / hardware.GIB:.2f} GiB'
  usable = plan.place.memory
  lost = sum(not plan.fits(row) for row in plan.rows)
  verdict = f'of the steps, {lost} (!) do not fit' if lost else 'all steps fit'
  share = 1 - plan.limit / usable
  how = 'as compiled' if _is_measured(plan) else 'as estimated'
  return [
    f'{verdict}, {how}: {gib(plan.limit)} is {gib(usable)} '
    f'less {share:.0%} headroom'
  ]


def _time(plan: planner.Plan) -> list[str]:
  """Totals; in words where no rates are known."""
  least, likely = plan.seconds('least'), plan.seconds('likely')
  if least is None:
    return ['How long it takes is not known: there is no peak rate.']
  hours = lambda seconds: f'{plan.place.size * seconds / 3600:.2f} chip-hours'
  assumed = f'{plan.efficiency:.0%}'
  return [
    f'at least {duration(least)}, {hours(least)}, at the peak rate',
    f'likely {duration(likely)}, {hours(likely)}, at {assumed} of it',
    'without compiling, reading weights and writing images',
  ]


def data(plan: planner.Plan) -> dict:
  """The plan as plain data; bytes of a chip, FLOPs of all, seconds."""
  record = dataclasses.asdict(plan)
  place = plan.place
  record['place'] = {'name': place.name, 'devices': place.size}
  for entry, row in zip(record['rows'], plan.rows, strict=True):
    entry |= {'bytes': row.bytes, 'fits': plan.fits(row)}
  for kind in ('least', 'likely'):
    seconds = plan.seconds(kind)
    record[f'{kind}_seconds'] = seconds
    record[f'{kind}_chip_hours'] = seconds and seconds * place.size / 3600
  return record
