"""What should the subject be called? The paper's section 3.2.

python -m dbflax.main --mode=study --config=configs/studies/identifier.py
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_identifier',
    question='A rare token, a word, or random characters?',
    paper='Section 3.2, without figures: a word has a meaning that must be '
    'unlearnt, and random characters are cut into letters with priors.',
    arms={
      'rare': {},
      'word': {'identifier.kind': 'word'},
      'random': {'identifier.kind': 'random'},
      # Are these three like others of their kind? Of the random ones most are
      # deleted where captions are cleaned, the first too; this one is not.
      'another rare': {'subject.identifier': 'ztq'},
      'another word': {'identifier.kind': 'word', 'identifier.seed': 1},
      'another random': {'identifier.kind': 'random', 'identifier.seed': 1},
    },
    expect=(
      ('subject_fidelity', 'rare', '>', 'word'),
      ('subject_fidelity', 'rare', '>', 'random'),
      ('subject_fidelity', 'another rare', '>', 'another word'),
      ('subject_fidelity', 'another rare', '>', 'another random'),
    ),
  )
