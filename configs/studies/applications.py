"""The six things that the paper does with a subject (section 4.4).

  python -m dbflax.main --mode=study --config=configs/studies/applications.py

One training for each subject and seed: the arms only draw other prompts. Of two
applications the cascade as it was before draws the class, to tell what the
training did to them.
"""

from configs.studies import common

# In the words of toybox's captions.
PROMPTS = {
  'recontextualization': (
    'a photo of a {subject} on the beach',
    'a photo of a {subject} in the snow',
    'a photo of a {subject} in the kitchen',
    'a photo of a {subject} by the castle',
  ),
  'art rendition': (
    'a painting of a {subject}',
    'a pencil sketch of a {subject}',
    'pixel art of a {subject}',
    'a statue of a {subject}',
  ),
  'expression manipulation': (
    'a photo of a happy {subject}',
    'a photo of a sad {subject}',
    'a photo of a sleepy {subject}',
  ),
  'novel view synthesis': (
    'a photo of a {subject} seen from the front',
    'a photo of a {subject} seen from the side',
    'a photo of a {subject} seen from the back',
    'a photo of a {subject} seen from above',
  ),
  'accessorization': (
    'a photo of a {subject} wearing a hat',
    'a photo of a {subject} wearing a scarf',
    'a photo of a {subject} wearing sunglasses',
    'a photo of a {subject} wearing a crown',
  ),
  'property modification': (
    'a photo of a blue {subject}',
    'a photo of a red {subject}',
    'a photo of a {subject} made of gold',
    'a photo of a {subject} made of glass',
  ),
}

DOUBTFUL = ('expression manipulation', 'property modification')


def get_config():
  config = common.study(
    'study_applications',
    question='Which of the six applications work?',
    paper='Section 4.4: all six, in pictures, without figures.',
    arms={
      **{name: {'sample.prompts': texts} for name, texts in PROMPTS.items()},
      **{f'{name}, not trained': _not_trained(name) for name in DOUBTFUL},
    },
    subjects=common.ANIMALS,  # Things have no expression.
  )
  config.base.sample.batch = 8  # Two of each prompt, of which there are 3 or 4.
  return config


def _not_trained(name: str) -> dict:
  """What the cascade draws of the class."""
  return {
    'method': 'prompt_only',
    'subject.description': '$class_noun',
    'sample.prompts': PROMPTS[name],
  }
