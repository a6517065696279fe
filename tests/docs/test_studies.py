"""Tables of studies say what the results in docs/studies say."""

import importlib
import json
import pathlib
import re

import pytest

from dbflax.study import findings
from dbflax.study import results as results_lib

ROOT = pathlib.Path(__file__).parents[2]
README, TUNING, QUALITY = 'README.md', 'docs/tuning.md', 'docs/quality.md'
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

# Of the prose, by doc: study, figure, arm less other.
DIFFERENCES = {
  README: """
response: subject_fidelity: hzz less qsd
response: PRES: hzz less qsd
weave_details: distance: 160 steps less not fine-tuned
""",
  TUNING: """
prior_count: subject_fidelity: 32 less 64
prior_count: PRES: 32 less 64
prior_count: subject_fidelity: 16 less 64
prior_count: PRES: 16 less 64
samplers: subject_fidelity: ancestral 32 less ddim 16
samplers: subject_fidelity: ancestral 32 less ddim 8
samplers: PRES: ancestral 32 less ddim 16
samplers: PRES: ancestral 32 less ddim 8
samplers: subject_fidelity: dpmpp_2m 12 less ancestral 32
samplers: PRES: dpmpp_2m 12 less ancestral 32
prior_weight: PRES: 1.0 less 10.0
prior_weight: subject_fidelity: 0.3 less 1.0
prior_weight: prompt_fidelity: 1.0 less 0.3
prior_weight: PRES: 0.3 less 1.0
steps: nearest_photo: 600 less 75
steps: prompt_fidelity: 75 less 600
identifier: subject_fidelity: another rare less rare
identifier: subject_fidelity: word less another word
identifier: subject_fidelity: word less rare
identifier: subject_fidelity: another rare less another word
identifier: subject_fidelity: another random less another rare
response: subject_fidelity: hzz less qsd
response: subject_fidelity: hzz less ztq
response: subject_fidelity: qsd less svv
response: PRES: qsd less hzz
response: prompt_fidelity/accessory: qsd less hzz
class_noun: subject_fidelity: none less correct
class_noun: subject_fidelity: correct, no prior loss less none, no prior loss
noise: photo_distance: not fine-tuned less 1e-5
noise: photo_distance: 1e-1 less 1e-5
noise_details: PSNR: 1e-5 less 1e-1
noise_details: PSNR: 1e-5 less 1e-3
noise_details: PSNR: not fine-tuned less 1e-5
noise_details: distance: 1e-5 less not fine-tuned
weave_details: distance: not fine-tuned less 160 steps
weave_details: distance: not fine-tuned less 40 steps
weave: photo_distance: not fine-tuned less 160 steps
weave_details: PSNR: 160 steps less not fine-tuned
weave_details: PSNR: not fine-tuned less 40 steps
photos: subject_fidelity: 1 less 4
photos: subject_fidelity: 1 less 5
photos: PRES: 1, 120 steps less 5
photos: subject_fidelity: 5 less 1, 120 steps
photos: DIV: 4 less 1
photos: DIV: 5 less 1
failures: prompt_fidelity/place: known place less strange place
failures: subject_fidelity: place of a photo less known place
failures: nearest_photo: place of a photo less known place
failures: photo_distance: known place less place of a photo
""",
  QUALITY: """
baselines: subject_fidelity: DreamBooth less Textual Inversion
baselines: subject_fidelity: DreamBooth less words alone
baselines: subject_fidelity: DreamBooth less one word
baselines: prompt_fidelity: DreamBooth less Textual Inversion
""",
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
  ('doc', 'study', 'columns'),
  [
    (TUNING, 'prior_weight', (*FIDELITIES, 'PRES')),
    (TUNING, 'prior_count', (*FIDELITIES, 'PRES', 'DIV')),
    (TUNING, 'samplers', (*FIDELITIES, 'PRES', 'DIV')),
    (TUNING, 'identifier', (*FIDELITIES, 'PRES')),
    (TUNING, 'response', (*FIDELITIES, 'PRES')),
    (TUNING, 'class_noun', FIDELITIES),
    (TUNING, 'noise', (*FIDELITIES, 'photo_distance')),
    (TUNING, 'noise_details', ('PSNR', 'distance')),
    (TUNING, 'weave_details', ('distance', 'PSNR')),
    (TUNING, 'photos', (*FIDELITIES, 'PRES')),
    (TUNING, 'steps', (*FIDELITIES, 'PRES', 'nearest_photo')),
    (TUNING, 'failures', (*FIDELITIES, *PLACES)),
    (QUALITY, 'baselines', FIDELITIES),
  ],
)
def test_rows_have_the_figures_of_the_arms(doc, study, columns):
  found = results(study)
  short = {name.split(': ')[1]: one for name, one in found['figures'].items()}
  text = (ROOT / doc).read_text()
  for arm in found['arms']:
    row = ' | '.join(estimate(short[column][arm]) for column in columns)
    assert f'| {row} |' in text, arm


@pytest.mark.parametrize(
  ('doc', 'claim'),
  [
    (doc, one)
    for doc, of in DIFFERENCES.items()
    for one in of.split('\n')
    if one
  ],
)
def test_differences_are_those_of_the_arms(doc, claim):
  study, figure, arms = claim.split(': ')
  arm, other = arms.split(' less ')
  found = results(study)
  [name] = [name for name in found['figures'] if name.endswith(f': {figure}')]
  scores = findings.scores(found['scores'])
  difference = findings.difference(scores, name, arm, other)
  words = (ROOT / doc).read_text().split()
  assert estimate(difference._asdict()) in ' '.join(words)


@pytest.mark.parametrize(('arm', 'parts'), ASKED.items())
def test_applications_have_what_their_prompts_ask_for(arm, parts):
  figures = results('applications')['figures']
  value = lambda name: estimate(figures[f'{ORACLE}: {name}'][arm])
  asked = [f'{part} {value(f"prompt_fidelity/{part}")}' for part in parts]
  row = ' | '.join([arm, *map(value, FIDELITIES), ', '.join(asked)])
  assert f'| {row} |' in (ROOT / QUALITY).read_text()


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
  assert f'| {row} |' in (ROOT / README).read_text()


each_results = pytest.mark.parametrize(
  'path',
  sorted((ROOT / 'docs/studies').glob('*.json')),
  ids=lambda path: path.stem,
)


# Those that docs/tuning.md says have more to do: which seeds are done.
PARTIAL = {'prior_count': [0]}


@each_results
def test_results_are_of_the_study_and_whole(path):
  study = results(path.stem)
  assert study['name'] == f'study_{path.stem}'
  assert study['seeds'] == PARTIAL.get(path.stem, [0, 1, 2])
  runs = len(study['arms']) * len(study['subjects']) * len(study['seeds'])
  assert len(study['scores']) == study['runs']['done'] == runs
  if path.stem not in PARTIAL:
    assert study['runs']['planned'] == runs


@each_results
def test_figures_and_verdicts_are_those_of_the_runs(path):
  study = results(path.stem)
  module = f'configs.studies.{path.stem.removesuffix("_details")}'
  config = importlib.import_module(module).get_config()
  again = results_lib.gather(config, study['scores'], study['runs']['planned'])
  again['name'] = study['name']
  assert json.loads(json.dumps(again)) == study
