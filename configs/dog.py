"""The embedded toybox dog, through all three stages, in minutes on a laptop.

  python -m dbflax.main --config=configs/dog.py
  python -m dbflax.main --config=configs/dog.py:no_prior

The first one draws class images, fine-tunes 64, 256 and 1024 pixels, draws
the dog in new places, styles, poses and clothes, and writes a report. The
variants are the paper's comparisons: no prior-preservation loss, and the two
worse kinds of identifiers; and its baselines, `:textual_inversion` and
`:prompt_only`. `:if_m`, `:if_l` and `:if_xl` fine-tune DeepFloyd IF
(configs/deepfloyd.py). For a dog of your own take one of these three, since
the embedded cascade has never seen a photo, and add

  --config.subject.photos=FOLDER --config.name=my_dog
"""

from configs import deepfloyd, default, variants

VARIANTS = {
  'no_prior': {'prior.weight': 0.0},
  'word': {'identifier.kind': 'word'},
  'random': {'identifier.kind': 'random'},
  'textual_inversion': {'method': 'textual_inversion'},
  'prompt_only': {
    'method': 'prompt_only',
    'subject.description': 'orange and blue dog',
  },
  **deepfloyd.VARIANTS,
}


def get_config(variant: str = ''):
  config = default.get_config()
  config.name = 'dog'
  config.subject.photos = 'toybox:dog'
  config.subject.class_noun = 'dog'
  config.sample.prompts = (
    'a photo of a {subject}',
    'a photo of a {subject} on the beach',
    'a photo of a {subject} in the snow',
    'a painting of a {subject}',
    'a photo of a happy {subject}',
    'a photo of a {subject} seen from the front',
    'a photo of a {subject} wearing a hat',
    'a photo of a blue {subject}',
    # What became of the other dogs; --mode=evaluate wants it for PRES.
    'a {class_noun}',
  )
  return variants.apply(config, variant, VARIANTS)
