"""The three ways in which the method fails: the paper's section 4.5, Figure 9.

  python -m dbflax.main --mode=study --config=configs/studies/failures.py

One training for each subject and seed: the arms only draw other prompts.

    wrong context  the place is not drawn. Each subject is asked into one where
                   pre-training never showed its class (toybox.held_out), and
                   into one where it did: prompt_fidelity/place
    entanglement   the place changes the subject: its subject_fidelity in a new
                   place is below that in the places of the photos
    overfitting    asked into a place of the photos, it becomes the photo:
                   nearest_photo (cosine) is higher and photo_distance (LPIPS)
                   lower than in a new place; above photos/nearest and below
                   photos/distance samples are nearer to a photo than photos
                   are to each other
"""

from configs.studies import common

# One's strange place is known to the one before: both arms have the same six.
_PLACES = {
  'dog': ('in the living room', 'in the jungle'),
  'cat': ('in the jungle', 'in the mountains'),
  'teapot': ('in the mountains', 'on the beach'),
  'backpack': ('on the beach', 'in the forest'),
  'vase': ('in the forest', 'under water'),
  'boot': ('under water', 'in the living room'),
}
_SUBJECTS = (
  *(s for s in common.SUBJECTS if s['class_noun'] in _PLACES),
  common.subject('toybox:vase/1', 'cat', 'blue', 'white', 'pink'),
  common.subject('toybox:boot/1', 'duck', 'brown', 'pink', 'grey'),
)


def get_config():
  config = common.study(
    'study_failures',
    question='Where does it fail?',
    paper='Section 4.5 and Figure 9, in pictures: wrong contexts where subject '
    'and place are rarely together, subjects that change with the context, '
    'and photos that come back where the prompt is like them.',
    arms={
      'known place': _in('a photo of a {subject} $known'),
      'strange place': _in('a photo of a {subject} $strange'),
      'place of a photo': _in(
        'a photo of a {subject} in the meadow',
        'a photo of a {subject} in the kitchen',
        'a photo of a {subject} on the street',
        'a photo of a {subject} in the snow',
      ),
    },
    expect=(
      ('prompt_fidelity/place', 'strange place', '<', 'known place'),
      ('subject_fidelity', 'known place', '<', 'place of a photo'),
      ('nearest_photo', 'place of a photo', '>', 'known place'),
      ('photo_distance', 'place of a photo', '<', 'known place'),
    ),
    subjects=[
      {**s, 'strange': strange, 'known': known}
      for s in _SUBJECTS
      for strange, known in [_PLACES[s['class_noun']]]
    ],
  )
  config.base.sample.batch = 8
  return config


def _in(*prompts: str) -> dict:
  """Eight pictures of these prompts."""
  count = 8 // len(prompts)
  return {'sample.prompts': prompts, 'sample.images_per_prompt': count}
