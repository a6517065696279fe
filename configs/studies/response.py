"""Which rare token? One that the base responds to. Not in the paper.

  python -m dbflax.main --mode=study --config=configs/studies/response.py

Of the first forty rare identifiers "svv" changes the predictions of the frozen
base least and "hzz" is among the first two (--config.identifier.compare=40);
two are between them.
"""

from configs.studies import common


def get_config():
  return common.study(
    'study_response',
    question='Is an identifier learnt better if the base responds to it more?',
    paper='Section 3.2: any rare token is taken; they are not compared.',
    arms={
      'qsd': {},
      'svv': {'subject.identifier': 'svv'},
      'ztq': {'subject.identifier': 'ztq'},
      'hzz': {'subject.identifier': 'hzz'},
    },
  )
