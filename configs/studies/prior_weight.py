"""How much should the class weigh against the subject: the paper's lambda.

python -m dbflax.main --mode=study --config=configs/studies/prior_weight.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_prior_weight',
    question='How much should the prior-preservation loss weigh?',
    paper='Section 3.3: lambda = 1 works well; no sweep is shown.',
    arms={
      str(weight): {'prior.weight': weight}
      for weight in (1.0, 0.0, 0.3, 3.0, 10.0)
    },
    expect=(
      ('PRES', '1.0', '<', '0.0'),
      ('PRES', '10.0', '<', '1.0'),
      ('subject_fidelity', '10.0', '<', '1.0'),
    ),
  )
