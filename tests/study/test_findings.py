"""Means, differences and verdicts on numbers made by hand."""

import pytest

from dbflax.study import findings, results

PRES, LPIPS = 'oracle: PRES', 'LPIPS: DIV'


def scores(**arms):
  """{(arm, subject, seed): …} of {arm: {subject: its PRES by seed}}."""
  return {
    (arm, subject, seed): {PRES: value}
    for arm, subjects in arms.items()
    for subject, values in subjects.items()
    for seed, value in enumerate(values)
  }


def test_a_subject_counts_once_however_many_seeds_it_has():
  found = scores(on=dict(dog=[0.0, 0.2, 0.4], cat=[0.6]))
  assert findings.of_arm(found, PRES, 'on').mean == pytest.approx(0.4)
  assert findings.of_arm(found, PRES, 'on').subjects == 2


def test_arms_are_compared_within_subjects_that_both_have():
  # Subjects differ by 0.8, arms by 0.1 alone: paired, that is certain.
  found = scores(
    on=dict(dog=[0.0], cat=[0.8], owl=[9.0]), off=dict(dog=[0.1], cat=[0.9])
  )
  difference = findings.difference(found, PRES, 'on', 'off')
  assert difference.mean == pytest.approx(-0.1)
  assert difference.interval == pytest.approx((-0.1, -0.1))
  assert difference.subjects == 2


def test_arms_are_compared_within_seeds_that_both_have():
  """The second seed, which one arm alone has yet, is far from the first."""
  found = scores(on=dict(dog=[0.1, 0.9], cat=[0.2, 0.8]), off=dict(dog=[0.1]))
  difference = findings.difference(found, PRES, 'on', 'off')
  assert (difference.mean, difference.subjects) == (0, 1)


SUBJECTS = ('dog', 'cat', 'owl', 'boot', 'vase')


@pytest.mark.parametrize(
  'off, sign, finding',
  [
    ((0.1, 0.9), '<', 'as in the paper'),
    ((0.1, 0.9), '>', 'against the paper'),
    ((0.1, 0.75), '<', 'as in the paper, not certain'),
    ((0.05, 0.6), '<', 'against the paper, not certain'),
    ((0.0004, 0.8004), '<', 'no difference'),
    ((0.0004, 0.7996), '>', 'no difference'),
    ((0.0006, 0.8006), '<', 'as in the paper'),
    ((-0.0006, 0.8004), '<', 'against the paper, not certain'),
  ],
)
def test_a_verdict_needs_an_interval_beside_zero(off, sign, finding):
  """Of three subjects like the first, and two like the second."""
  of = lambda first, second: dict(
    zip(SUBJECTS, [[first]] * 3 + [[second]] * 2, strict=True)
  )
  found = scores(on=of(0.0, 0.8), off=of(*off))
  expected = findings.Expectation('PRES', 'on', sign, 'off')
  [verdict] = findings.judge(found, expected)
  assert verdict.finding == finding
  assert verdict.figure == PRES


@pytest.mark.parametrize('count', [1, 2, 4])
def test_of_few_subjects_nothing_is_certain(count):
  few = SUBJECTS[:count]
  found = scores(on=dict.fromkeys(few, [0.0]), off=dict.fromkeys(few, [1.0]))
  expected = findings.Expectation('PRES', 'on', '<', 'off')
  [verdict] = findings.judge(found, expected)
  assert (verdict.difference.interval is None) == (count == 1)
  assert verdict.finding == 'as in the paper, not certain'


def test_one_subject_may_show_no_difference():
  found = scores(on=dict(dog=[0.3]), off=dict(dog=[0.3]))
  expected = findings.Expectation('PRES', 'on', '<', 'off')
  assert findings.judge(found, expected)[0].finding == 'no difference'


def test_what_no_network_measured_is_not_judged():
  found = scores(on=dict(dog=[0.0]), off=dict(dog=[1.0]))
  assert (
    findings.judge(found, findings.Expectation('DIV', 'on', '<', 'off')) == []
  )
  only_one = scores(on=dict(dog=[0.0]))
  expected = findings.Expectation('PRES', 'on', '<', 'off')
  assert findings.judge(only_one, expected) == []


def test_every_network_that_has_a_figure_judges():
  found = {
    (arm, 'dog', 0): {'oracle: PRES': x, 'DINO: PRES': -x}
    for arm, x in (('on', 1.0), ('off', 2.0))
  }
  expected = findings.Expectation('PRES', 'on', '<', 'off')
  findings_ = {v.figure: v.finding for v in findings.judge(found, expected)}
  assert findings_ == {
    'oracle: PRES': 'as in the paper, not certain',
    'DINO: PRES': 'against the paper, not certain',
  }


def test_the_table_has_a_row_for_each_figure_and_a_column_for_each_arm():
  import types

  found = scores(on=dict(dog=[0.0], cat=[0.8]), off=dict(dog=[0.1], cat=[0.9]))
  found['on', 'dog', 0][LPIPS] = 0.5
  config = types.SimpleNamespace(
    name='prior',
    question='?',
    paper='!',
    arms=(('on', {}), ('off', {})),
    expect=(('PRES', 'on', '<', 'off'),),
  )
  listed = [
    {**dict(zip(('arm', 'subject', 'seed'), key, strict=True)), 'figures': one}
    for key, one in found.items()
  ]
  made = results.gather(config, listed, planned=6)
  assert made['scores'] == listed
  assert made['figures'][PRES]['on']['difference'] is None
  assert made['figures'][PRES]['off']['difference']['mean'] == pytest.approx(
    0.1
  )
  assert made['figures'][LPIPS].keys() == {'on'}
  assert results.differences(made) == [
    [PRES, '+0.100 [+0.100, +0.100]'],
    [LPIPS, '-'],
  ]
  lines = results.table(made).splitlines()
  assert lines[0].startswith('prior: 4 of 6 runs, 2 subjects, 1 seeds.')
  assert lines[2].split() == ['on', 'off']
  assert lines[3].split() == [
    *('oracle:', 'PRES', '0.400', '[0.000,', '0.800]'),
    *('0.500', '[0.100,', '0.900]'),
  ]
  assert lines[4].split() == ['LPIPS:', 'DIV', '0.500', '-']
  assert lines[-1] == (
    'oracle: PRES: on < off? as in the paper, not certain, '
    '-0.100 [-0.100, -0.100]'
  )
