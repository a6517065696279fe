"""The embedded dog and teapot in one cascade, each with a word of its own.

  python -m dbflax.main --config=configs/two_subjects.py
  python -m dbflax.main --config=configs/two_subjects.py:quick

`{subject}` is the first, `{subject_2}` the second. Each has its own photos,
prompts and class images. Training takes twice the steps of configs/dog.py, so
that each subject is seen as often as there. The embedded cascade was never
shown two things in one picture: what it draws of both is no sign of what a
larger one can do. `:quick` is a few steps of an untrained cascade.

For subjects of your own, add

  --config.name=mine --config.subject.photos=FOLDER \\
  --config.others="({'photos': 'FOLDER', 'class_noun': 'cat'},)"
"""

from configs import default, variants
from configs import test as quick

VARIANTS = {'quick': {}}


def get_config(variant: str = ''):
  config = default.get_config()
  config.name = 'two_subjects'
  config.subject.photos = 'toybox:dog'
  config.subject.class_noun = 'dog'
  config.others = ({'photos': 'toybox:teapot', 'class_noun': 'teapot'},)
  for name in config.cascade.stages:
    config[name].steps *= 2
  config.sample.prompts = (
    'a photo of a {subject}',
    'a photo of a {subject_2}',
    'a photo of a {subject} on the beach',
    'a photo of a {subject_2} on the beach',
    'a painting of a {subject_2}',
    'a photo of a {subject} and a {subject_2}',
    # What became of the others of their classes.
    'a {class_noun}',
    'a {class_noun_2}',
  )
  config = variants.apply(config, variant, VARIANTS)
  if variant:
    quick.shrink(config)
  return config
