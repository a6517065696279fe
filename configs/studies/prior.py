"""What does the prior-preservation loss do? The paper's Table 3.

python -m dbflax.main --mode=study --config=configs/studies/prior.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_prior',
    question='What does the prior-preservation loss do?',
    paper='Table 3: with it PRES .493 (without .664), DIV .391 (.371), '
    'DINO .684 (.712): the class is kept, at a small cost in fidelity.',
    arms={'with': {}, 'without': {'prior.weight': 0.0}},
    expect=(
      ('PRES', 'with', '<', 'without'),
      ('DIV', 'with', '>', 'without'),
      ('subject_fidelity', 'with', '<', 'without'),
    ),
  )
