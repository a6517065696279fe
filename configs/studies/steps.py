"""How long should it be trained, and when does it repeat the photos?

python -m dbflax.main --mode=study --config=configs/studies/steps.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_steps',
    question='How many steps?',
    paper='Section 3.3 and Figure 9: about 1000 steps for Imagen; trained for '
    'too long, contexts become those of the photos and fidelity to prompts '
    'falls.',
    arms={
      str(count): {'stage_1.steps': count} for count in (75, 150, 300, 600)
    },
    expect=(
      ('subject_fidelity', '75', '<', '300'),
      ('prompt_fidelity', '75', '>', '600'),
      ('nearest_photo', '75', '<', '600'),
    ),
  )
