"""DreamBooth, Textual Inversion, and words alone: the paper's Table 1.

python -m dbflax.main --mode=study --config=configs/studies/baselines.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_baselines',
    question='Is DreamBooth ahead of Textual Inversion and of words alone?',
    paper='Table 1, both on Stable Diffusion: DINO .668 (Textual Inversion '
    '.569), CLIP-T .305 (.255). Figure 4: words alone do not make the subject.',
    arms={
      'DreamBooth': {},
      'Textual Inversion': {'method': 'textual_inversion'},
      'words alone': {
        'method': 'prompt_only',
        'subject.description': '$description',
      },
      # All that captions ever say of a look; two colours are new to the base.
      'one word': {
        'method': 'prompt_only',
        'subject.description': '$colour $class_noun',
      },
    },
    expect=(
      ('subject_fidelity', 'DreamBooth', '>', 'Textual Inversion'),
      ('prompt_fidelity', 'DreamBooth', '>', 'Textual Inversion'),
      ('subject_fidelity', 'DreamBooth', '>', 'words alone'),
      ('subject_fidelity', 'DreamBooth', '>', 'one word'),
    ),
  )
