"""What the figures of a study's runs say.

A subject's figure in an arm is the mean over its seeds: runs that differ in the
seed alone are no independent evidence. Arms are compared within subjects, which
differ more from each other than arms do, and of the seeds that both have.
Intervals are 95 % of the bootstrap over subjects. Pure: numbers in, numbers
out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dbflax.evaluate import metrics

Key = tuple[str, str, int]  # arm, subject, seed
# {run: {figure: value}}; a figure is 'network: name'.
Scores = Mapping[Key, Mapping[str, float]]
# Less is .000 in tables, on whichever side of it.
_SHOWN = 0.0005
# Subjects whose interval can be one of 95 % (`metrics.bootstrap`).
_ENOUGH = 5


class Estimate(NamedTuple):
  """A mean over subjects; no interval of less than two."""

  mean: float
  interval: tuple[float, float] | None
  subjects: int


class Expectation(NamedTuple):
  """What the paper finds: `figure` is lower ('<') or higher ('>') in an arm.

  `figure` is a name such as 'PRES': it is judged by each network that has it.
  """

  figure: str
  arm: str
  sign: str
  other: str


class Verdict(NamedTuple):
  """What became of an expectation, by one network's figure."""

  expectation: Expectation
  figure: str
  difference: Estimate  # arm less other
  finding: str


def key(listed: Mapping) -> Key:
  """Which run it is that results.json lists."""
  return listed['arm'], listed['subject'], listed['seed']


def scores(listed: Sequence[Mapping]) -> Scores:
  """The figures of the runs that results.json lists."""
  return {key(one): one['figures'] for one in listed}


def figures(scores: Scores) -> list[str]:
  """All figures, in the order in which they come up."""
  return list(dict.fromkeys(name for one in scores.values() for name in one))


def _runs(scores: Scores, figure: str, arm: str) -> dict[tuple, float]:
  """{(subject, seed): value} of the arm's runs that have the figure."""
  return {
    (subject, seed): values[figure]
    for (its_arm, subject, seed), values in scores.items()
    if its_arm == arm and figure in values
  }


def _by_subject(runs: Mapping[tuple, float]) -> dict[str, float]:
  """{subject: its mean over seeds}."""
  found = {}
  for (subject, _), value in runs.items():
    found.setdefault(subject, []).append(value)
  return {subject: float(np.mean(values)) for subject, values in found.items()}


def estimate(values: Sequence[float]) -> Estimate | None:
  """The mean over subjects and its interval; None of nothing."""
  if not len(values):
    return None
  interval = metrics.bootstrap(values)
  return Estimate(float(np.mean(values)), interval, len(values))


def of_arm(scores: Scores, figure: str, arm: str) -> Estimate | None:
  return estimate([*_by_subject(_runs(scores, figure, arm)).values()])


def difference(
  scores: Scores, figure: str, arm: str, other: str
) -> Estimate | None:
  """arm less other, over the subjects and seeds that both have."""
  one, two = (_runs(scores, figure, name) for name in (arm, other))
  less = {run: one[run] - two[run] for run in one if run in two}
  return estimate([*_by_subject(less).values()])


def judge(scores: Scores, expected: Expectation) -> list[Verdict]:
  """The expectation against the figure of each network that has it."""
  named = [f for f in figures(scores) if f.split(': ')[-1] == expected.figure]
  verdicts = []
  for figure in named:
    found = difference(scores, figure, expected.arm, expected.other)
    if found is not None:
      finding = _finding(found, expected.sign)
      verdicts.append(Verdict(expected, figure, found, finding))
  return verdicts


def _finding(found: Estimate, sign: str) -> str:
  as_expected = found.mean < 0 if sign == '<' else found.mean > 0
  direction = 'as in the paper' if as_expected else 'against the paper'
  low, high = found.interval or (found.mean, found.mean)
  if max(-low, high) < _SHOWN:
    return 'no difference'
  is_certain = found.subjects >= _ENOUGH and (low > 0 or high < 0)
  return direction if is_certain else f'{direction}, not certain'
