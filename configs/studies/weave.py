"""Does super-resolution learn what 64 pixels do not show? Figure 14 again.

  python -m dbflax.main --mode=study --config=configs/studies/weave.py
  python -m benchmarks.details --mode=study \\
    --config=configs/studies/weave.py --workdir=runs/study_weave

The subjects are of cloth, of whose threads a picture of 64 pixels shows
nothing, and which no other toy has. The base is not fine-tuned: what
counts is how the runs enlarge renders of their subject, which the second
command says.
"""

from configs.studies import common, noise


def get_config():
  config = noise.get_config()
  config.name = 'study_weave'
  config.question = 'Does super-resolution learn what 64 pixels do not show?'
  config.paper = (
    'Section 3.4 and Figure 14: without fine-tuning details are wrong.'
  )
  config.arms = (
    ('160 steps', {'stage_2.steps': 160}),
    ('40 steps', {'stage_2.steps': 40}),
    ('not fine-tuned', {'stage_2.train': False}),
  )
  config.expect = (
    ('photo_distance', '160 steps', '<', 'not fine-tuned'),
    # Of the second command.
    ('distance', '160 steps', '<', 'not fine-tuned'),
  )
  config.subjects = tuple(
    {**one, 'photos': f'{one["photos"]}/woven'} for one in common.SUBJECTS
  )
  config.base.stage_1.train = False
  config.base.sample.prompts = ('a photo of a {subject}',)
  return config
