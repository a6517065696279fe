"""The embedded toybox teapot: an object, which has no expression to change.

  python -m dbflax.main --config=configs/teapot.py

Time and result are those of configs/dog.py.
"""

from configs import deepfloyd, default, variants

VARIANTS = {
  'no_prior': {'prior.weight': 0.0},
  'textual_inversion': {'method': 'textual_inversion'},
  'prompt_only': {
    'method': 'prompt_only',
    'subject.description': 'red, green and yellow teapot',
  },
  **deepfloyd.VARIANTS,
}


def get_config(variant: str = ''):
  config = default.get_config()
  config.name = 'teapot'
  config.subject.photos = 'toybox:teapot'
  config.subject.class_noun = 'teapot'
  config.sample.prompts = (
    'a photo of a {subject}',
    'a photo of a {subject} on the beach',
    'a photo of a {subject} in the snow',
    'a pencil sketch of a {subject}',
    'a photo of a {subject} seen from the front',
    'a photo of a {subject} wearing a hat',
    'a photo of a red {subject}',
  )
  return variants.apply(config, variant, VARIANTS)
