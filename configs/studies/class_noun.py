"""Does the class noun have to be right? The paper's Table 4.

python -m dbflax.main --mode=study --config=configs/studies/class_noun.py
"""

from configs.studies import common


def get_config():
  correct, none = 'correct, no prior loss', 'none, no prior loss'
  return common.study(
    'study_class_noun',
    question='Does the class noun have to be right?',
    paper='Table 4: DINO .744 with the right noun, .303 with none, .454 with a '
    'wrong one: the prior of the class helps, and a wrong one fights back.',
    arms={
      'correct': {},
      # The class images stay those of the right class.
      'none': {'subject.class_noun': '', 'prior.prompt': 'a $class_noun'},
      'wrong': {'subject.class_noun': '$other_noun'},
      # Is what the noun does the prior loss's doing?
      correct: {'prior.weight': 0.0},
      none: {'subject.class_noun': '', 'prior.weight': 0.0},
    },
    expect=(
      ('subject_fidelity', 'none', '<', 'correct'),
      ('subject_fidelity', 'wrong', '<', 'correct'),
      ('subject_fidelity', 'none', '<', 'wrong'),
      ('subject_fidelity', none, '<', correct),
    ),
    # Without a noun no prompt can name the class alone.
    prompts=[p for p in common.PROMPTS if '{subject}' in p],
  )
