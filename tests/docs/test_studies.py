"""Tables of studies say what the results in docs/studies say."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ORACLE, LPIPS = 'toybox oracle', 'LPIPS AlexNet v0.1'
FIDELITIES = ('subject_fidelity', 'prompt_fidelity')
PLACES = ('prompt_fidelity/place', 'nearest_photo', 'photo_distance')

# What the prompts of the applications are about.
ASKED = {
  'recontextualization': ('place',),
  'art rendition': ('style',),
  'expression manipulation': ('expression',),
  'novel view synthesis': ('view',),
  'accessorization': ('accessory',),
  'property modification': ('material', 'colour'),
  'expression manipulation, not trained': ('expression',),
  'property modification, not trained': ('material', 'colour'),
}


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
  ('doc', 'study', 'more'),
  [
    ('docs/tuning.md', 'prior_weight', ('PRES',)),
    ('docs/tuning.md', 'identifier', ('PRES',)),
    ('docs/tuning.md', 'response', ('PRES',)),
    ('docs/tuning.md', 'class_noun', ()),
    ('docs/tuning.md', 'photos', ('PRES',)),
    ('docs/tuning.md', 'steps', ('PRES', 'nearest_photo')),
    ('docs/tuning.md', 'failures', PLACES),
    ('docs/quality.md', 'baselines', ()),
  ],
)
def test_rows_have_the_figures_of_the_arms(doc, study, more):
  found = results(study)
  short = {name.split(': ')[1]: one for name, one in found['figures'].items()}
  columns = [short[name] for name in (*FIDELITIES, *more)]
  text = (ROOT / doc).read_text()
  for arm in found['arms']:
    row = ' | '.join(estimate(column[arm]) for column in columns)
    assert f'| {row} |' in text, arm


@pytest.mark.parametrize(('arm', 'parts'), ASKED.items())
def test_applications_have_what_their_prompts_ask_for(arm, parts):
  figures = results('applications')['figures']
  value = lambda name: estimate(figures[f'{ORACLE}: {name}'][arm])
  asked = [f'{part} {value(f"prompt_fidelity/{part}")}' for part in parts]
  row = ' | '.join([arm, *map(value, FIDELITIES), ', '.join(asked)])
  assert f'| {row} |' in (ROOT / 'docs/quality.md').read_text()


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
