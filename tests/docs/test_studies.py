"""Tables of studies say what the results in docs/studies say."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ORACLE, LPIPS = 'toybox oracle', 'LPIPS AlexNet v0.1'


def results(study: str) -> dict:
  return json.loads((ROOT / f'docs/studies/{study}.json').read_text())


def number(value: float, sign: str = '') -> str:
  """As tables have it: .608, 1.000, -.317."""
  return re.sub(r'^([+-]?)0\.', r'\1.', f'{value:{sign}.3f}')


def estimate(values: dict, sign: str = '') -> str:
  """Such as '.608 [.536, .693]'."""
  low, high = (number(end, sign) for end in values['interval'])
  return f'{number(values["mean"], sign)} [{low}, {high}]'


@pytest.mark.parametrize(
  ('doc', 'study', 'figure', 'arms'),
  [
    *(
      ('docs/tuning.md', 'class_noun', figure, ('correct', 'none', 'wrong'))
      for figure in ('subject_fidelity', 'prompt_fidelity')
    ),
    *(
      (
        *('docs/quality.md', 'baselines', figure),
        ('DreamBooth', 'Textual Inversion', 'words alone', 'one word'),
      )
      for figure in ('subject_fidelity', 'prompt_fidelity')
    ),
  ],
)
def test_a_row_has_the_means_of_the_arms(doc, study, figure, arms):
  found = results(study)['figures'][f'{ORACLE}: {figure}']
  row = ' | '.join(estimate(found[arm]) for arm in arms)
  assert f'| {row} |' in (ROOT / doc).read_text()


@pytest.mark.parametrize(
  'figure',
  [f'{ORACLE}: PRES', f'{LPIPS}: DIV', f'{ORACLE}: subject_fidelity'],
)
def test_the_readme_has_prior_preservation(figure):
  prior = results('prior')
  means = prior['figures'][figure]
  [verdict] = [v for v in prior['verdicts'] if v['figure'] == figure]
  row = ' | '.join(
    [
      number(means['with']['mean']),
      number(means['without']['mean']),
      estimate(verdict['difference'], '+'),
    ]
  )
  assert f'| {row} |' in (ROOT / 'README.md').read_text()


@pytest.mark.parametrize(
  'path',
  sorted((ROOT / 'docs/studies').glob('*.json')),
  ids=lambda path: path.stem,
)
def test_results_are_of_the_study_and_whole(path):
  study = results(path.stem)
  assert study['name'] == f'study_{path.stem}'
  assert study['runs']['done'] == study['runs']['planned']
  assert len(study['scores']) == study['runs']['done']
