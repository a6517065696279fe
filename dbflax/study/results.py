"""The results of a study as plain data, and as a table for people."""

from collections.abc import Sequence

from dbflax import disk, errors
from dbflax.pages import intervals
from dbflax.study import findings


def read(path: str) -> dict:
  """What a results.json holds.

  Raises:
    UserError: there is none, or it is something else.
  """
  found = disk.read_json(path)
  if not found or 'arms' not in found:
    raise errors.UserError(
      f"'{path}' is not the results.json of a study; --mode=study writes one"
    )
  return found


def gather(config, listed: Sequence[dict], planned: int) -> dict:
  """What results.json holds.

  Args:
    config: the study's.
    listed: the runs that are done: 'arm', 'subject', 'seed', 'figures', and
      'made_of' (`elsewhere`).
    planned: how many runs there are to be.
  """
  scores = findings.scores(listed)
  arms = [arm for arm, _ in config.arms]
  verdicts = [
    verdict
    for expected in config.expect
    for verdict in findings.judge(scores, findings.Expectation(*expected))
  ]
  return {
    'name': config.name,
    'question': config.question,
    'paper': config.paper,
    'arms': arms,
    'runs': {'done': len(scores), 'planned': planned},
    'subjects': sorted({subject for _, subject, _ in scores}),
    'seeds': sorted({seed for _, _, seed in scores}),
    'figures': {
      figure: _of_figure(scores, figure, arms)
      for figure in findings.figures(scores)
    },
    'verdicts': [_verdict(verdict) for verdict in verdicts],
    'scores': [*listed],
  }


def _of_figure(scores, figure: str, arms: Sequence[str]) -> dict:
  """{arm: its mean, and its difference to the first arm}."""
  found = {}
  for arm in arms:
    mean = findings.of_arm(scores, figure, arm)
    if mean is not None:
      against = findings.difference(scores, figure, arm, arms[0])
      found[arm] = {
        **mean._asdict(),
        'difference': against and arm != arms[0] and against._asdict() or None,
      }
  return found


def _verdict(verdict: findings.Verdict) -> dict:
  expected = verdict.expectation
  return {
    'expected': f'{expected.arm} {expected.sign} {expected.other}',
    'figure': verdict.figure,
    'difference': verdict.difference._asdict(),
    'finding': verdict.finding,
  }


def table(results: dict) -> str:
  """results.json for people: figures by arm, and what the paper expects."""
  done = results['runs']
  cells = [['', *results['arms']], *rows(results)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = [
    '  '.join(
      f'{cell:{width}}' for cell, width in zip(row, widths, strict=True)
    )
    for row in cells
  ]
  head = (
    f'{results["name"]}: {done["done"]} of {done["planned"]} runs, '
    f'{len(results["subjects"])} subjects, {len(results["seeds"])} seeds. '
    'Mean over subjects [95 % interval].'
  )
  found = [
    f'{figure}: {expected}? {finding}, {difference}'
    for expected, figure, difference, finding in verdicts(results)
  ]
  return '\n'.join([head, '', *(line.rstrip() for line in lines), '', *found])


def rows(results: dict) -> list[list[str]]:
  """[figure, its estimate in each arm …] of every figure."""
  return [
    [figure, *(estimate(values.get(arm)) for arm in results['arms'])]
    for figure, values in results['figures'].items()
  ]


def verdicts(results: dict) -> list[tuple[str, str, str, str]]:
  """(what the paper expects, figure, difference, what was found)."""
  return [
    (
      verdict['expected'],
      verdict['figure'],
      estimate(verdict['difference'], sign='+'),
      verdict['finding'],
    )
    for verdict in results['verdicts']
  ]


def differences(results: dict) -> list[list[str]]:
  """[figure, how much each arm but the first has more than the first …]."""
  return [
    [figure, *(_difference(values, arm) for arm in results['arms'][1:])]
    for figure, values in results['figures'].items()
  ]


def _difference(values: dict, arm: str) -> str:
  return estimate(arm in values and values[arm]['difference'] or None, '+')


def estimates(results: dict, figure: str) -> intervals.Estimates:
  """(arm, mean, interval) of the arms that have the figure."""
  found = results['figures'][figure]
  return [
    (arm, found[arm]['mean'], found[arm]['interval'])
    for arm in results['arms']
    if arm in found
  ]


def estimate(values: dict | None, sign: str = '') -> str:
  """Such as '0.61 [0.58, 0.64]'; '-' of nothing."""
  if values is None:
    return '-'
  mean = f'{values["mean"]:{sign}.3f}'
  if values['interval'] is None:
    return mean
  low, high = values['interval']
  return f'{mean} [{low:{sign}.3f}, {high:{sign}.3f}]'
