"""How many class images should there be? Not in the paper.

python -m dbflax.main --mode=study --config=configs/studies/prior_count.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_prior_count',
    question='How many class images?',
    paper='At most 200 for each photo; no other number is tried.',
    arms={str(count): {'prior.count': count} for count in (64, 32, 16)},
  )
