"""What all studies share: subjects, seeds, and the run that arms change."""

from collections.abc import Sequence

import ml_collections

from configs import default

PROMPTS = (
  'a photo of a {subject}',
  'a photo of a {subject} on the beach',
  'a photo of a {subject} in the snow',
  'a painting of a {subject}',
  'a photo of a {subject} wearing a hat',
  # For PRES: what became of the class.
  'a {class_noun}',
)


def _subject(photos: str, other_noun: str, description: str) -> dict:
  """A held-out individual, which pre-training never saw.

  Args:
    photos: toybox:CLASS/SEED.
    other_noun: a wrong class (Table 4).
    description: how it looks, in words that captions have (Table 1).
  """
  noun = photos.removeprefix('toybox:').split('/')[0]
  return dict(
    photos=photos,
    class_noun=noun,
    other_noun=other_noun,
    description=description,
  )


ANIMALS = (
  _subject('toybox:dog/1', 'teapot', 'purple dog'),
  _subject('toybox:cat/1', 'vase', 'yellow cat'),
  _subject('toybox:bear/1', 'clock', 'grey bear'),
  _subject('toybox:duck/1', 'boot', 'grey duck'),
  _subject('toybox:dog/2', 'car', 'pink dog'),
  _subject('toybox:cat/2', 'backpack', 'blue cat'),
)
SUBJECTS = (
  *ANIMALS[:3],
  _subject('toybox:teapot/1', 'dog', 'brown teapot'),
  _subject('toybox:car/1', 'cat', 'green car'),
  _subject('toybox:backpack/1', 'duck', 'black backpack'),
)


def study(
  name: str,
  *,
  question: str,
  paper: str,
  arms: dict,
  expect: Sequence[tuple[str, str, str, str]] = (),
  subjects: Sequence[dict] = SUBJECTS,
  prompts: Sequence[str] = PROMPTS,
) -> ml_collections.ConfigDict:
  """A study.

  Args:
    name: of the study; its workdir is runs/<name>.
    question: what it asks, for the page.
    paper: what the paper finds, and where.
    arms: {arm: {field of a run: value}}; the first is what others are compared
      with. A text may hold $class_noun, $other_noun or $description, which
      become the subject's.
    expect: (figure, arm, '<' or '>', other arm): what the paper finds.
    subjects: whom each arm is tried with.
    prompts: what is drawn.
  """
  c = ml_collections.ConfigDict()
  c.name = name
  c.question = question
  c.paper = paper
  # (arm, the fields that it changes).
  c.arms = tuple(arms.items())
  c.expect = tuple(expect)
  c.subjects = tuple(subjects)
  # How many of them, from the first; 0 is all.
  c.num_subjects = 0
  # Seeds of each arm with each subject.
  c.seeds = (0, 1, 2)
  # The run that arms change. At 64 pixels, where the subject and the class are
  # decided: a run of all stages takes several times as long.
  c.base = default.get_config()
  c.base.cascade.stages = ('stage_1',)
  c.base.stage_1.sample_every = 0
  c.base.sample.prompts = tuple(prompts)
  return c
