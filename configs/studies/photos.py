"""How many photos does it take? The paper's Table 5.

python -m dbflax.main --mode=study --config=configs/studies/photos.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_photos',
    question='How many photos does it take?',
    paper='Table 5: fidelity rises from one photo to four and hardly after.',
    arms={
      **{str(count): {'subject.count': count} for count in (1, 2, 3, 4, 5)},
      # Is it that one photo is seen five times as often as each of five?
      '1, 120 steps': {'subject.count': 1, 'stage_1.steps': 120},
    },
    expect=(
      ('subject_fidelity', '1', '<', '4'),
      ('subject_fidelity', '1', '<', '5'),
      ('prompt_fidelity', '1', '<', '4'),
    ),
  )
