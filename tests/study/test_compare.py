"""Two arms of a study beside each other, on the command line."""

import pathlib

import pytest

from dbflax import errors
from dbflax.study import compare
from dbflax.study import results as results_lib

PUBLISHED = pathlib.Path(__file__).parents[2] / 'docs/studies/prior.json'
PRES, DIV = 'oracle: PRES', 'LPIPS: DIV'


def listed(arm, subject, seed, **figures):
  return {'arm': arm, 'subject': subject, 'seed': seed, 'figures': figures}


@pytest.fixture
def results():
  """Two subjects with two arms, of one figure; the third arm is not done."""
  scores = [
    listed('on', 'dog', 0, **{PRES: 0.5, DIV: 0.4}),
    listed('on', 'dog', 1, **{PRES: 0.7}),
    listed('on', 'cat', 0, **{PRES: 0.2}),
    listed('off', 'dog', 0, **{PRES: 0.9}),
    listed('off', 'cat', 0, **{PRES: 0.3}),
  ]
  return {
    'name': 'study_x',
    'arms': ['on', 'off', 'late'],
    'figures': {PRES: {}, DIV: {}},
    'scores': scores,
  }


def test_a_line_for_each_figure_that_both_have(results):
  # Of the seed that both have: dog .5 - .9, cat .2 - .3, which are the ends.
  assert compare.lines(results, 'on', 'off') == [
    'oracle: PRES  -0.250 [-0.400, -0.100]'
  ]
  assert compare.lines(results, 'off', 'on') == [
    'oracle: PRES  +0.250 [+0.100, +0.400]'
  ]


@pytest.mark.parametrize(
  'arm, message',
  [
    ('of', "study_x has no arm 'of'; it has 'on', 'off', 'late'"),
    ('late', "no subject has figures of both 'on' and 'late' yet"),
  ],
)
def test_what_cannot_be_compared_is_said(results, arm, message):
  with pytest.raises(errors.UserError, match=message):
    compare.lines(results, 'on', arm)


@pytest.mark.parametrize('content', [None, '[1]', '{}', 'prose'])
def test_it_needs_results(tmp_path, content):
  path = tmp_path / 'results.json'
  if content is not None:
    path.write_text(content)
  with pytest.raises(errors.UserError, match='is not the results.json of a'):
    compare.main(str(path), 'on', 'off')


def test_it_says_what_the_study_said(capsys):
  results = results_lib.read(PUBLISHED)
  compare.main(str(PUBLISHED), 'with', 'without')
  printed = capsys.readouterr().out.splitlines()
  for expected, figure, difference, _ in results_lib.verdicts(results):
    assert expected.split(' ')[::2] == ['with', 'without']
    assert any(
      line.startswith(figure) and line.endswith(difference) for line in printed
    )
