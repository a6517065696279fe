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


def subject(photos: str, other_noun: str, *colours: str, **more: str) -> dict:
  """A held-out individual, which pre-training never saw.

  Args:
    photos: toybox:CLASS/SEED.
    other_noun: a wrong class (Table 4).
    colours: of its parts, the main one first, in words that captions have. All
      of them are its description (Table 1): "brown, purple and red teapot".
    more: what else arms may say of it.
  """
  noun = photos.removeprefix('toybox:').split('/')[0]
  *others, last = colours
  return dict(
    photos=photos,
    class_noun=noun,
    other_noun=other_noun,
    colour=colours[0],
    description=f'{", ".join(others)} and {last} {noun}',
    **more,
  )


ANIMALS = (
  subject('toybox:dog/1', 'teapot', 'purple', 'black'),
  subject('toybox:cat/1', 'vase', 'yellow', 'brown'),
  subject('toybox:bear/1', 'clock', 'grey', 'pink'),
  subject('toybox:duck/1', 'boot', 'grey', 'brown'),
  subject('toybox:dog/2', 'car', 'pink', 'brown'),
  subject('toybox:cat/2', 'backpack', 'blue', 'pink'),
)
SUBJECTS = (
  *ANIMALS[:3],
  subject('toybox:teapot/1', 'dog', 'brown', 'purple', 'red'),
  subject('toybox:car/1', 'cat', 'green', 'black', 'purple'),
  subject('toybox:backpack/1', 'duck', 'black', 'brown', 'orange'),
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
      with. A text may hold $class_noun, $other_noun, $colour, $description or
      what else the subjects say, which become the subject's.
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
  # results.json files of the study from elsewhere, whose runs are not done
  # again, such as ('docs/studies/prior.json',).
  c.known_results = ()
  # The run that arms change. At 64 pixels, where the subject and the class are
  # decided: a run of all stages takes several times as long.
  c.base = default.get_config()
  c.base.cascade.stages = ('stage_1',)
  c.base.sample.prompts = tuple(prompts)
  # All at once: a GPU draws many as fast as one.
  c.base.sample.batch = len(prompts) * c.base.sample.images_per_prompt
  c.base.prior.batch = 32
  # A run is short. Where it is not, there is a checkpoint every ten minutes.
  for trained in (c.base.stage_1, c.base.inversion):
    trained.checkpoint_every = trained.steps
    trained.sample_every = 0
  return c
