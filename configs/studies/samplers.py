"""Does it matter how the class images are sampled? Not in the paper.

python -m dbflax.main --mode=study --config=configs/studies/samplers.py
"""

from configs.studies import common


def get_config():
  sampled = lambda sampler, steps: {
    'prior.sampler': sampler,
    'prior.steps': steps,
  }
  return common.study(
    'study_samplers',
    question='Does it matter how the class images are sampled?',
    paper='Section 3.3: they are sampled as all pictures are; no other sampler '
    'is tried.',
    arms={
      'ancestral 32': {},
      'ddim 16': sampled('ddim', 16),
      'ddim 8': sampled('ddim', 8),
      'dpmpp_2m 12': sampled('dpmpp_2m', 12),
    },
  )
