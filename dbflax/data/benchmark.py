"""The 30 subjects of the DreamBooth dataset: their classes, and their prompts.

Names and class nouns are those of google/dreambooth (prompts_and_classes.txt,
CC BY 4.0); the prompts, 25 for each kind, are in `text.prompts`.
"""

from typing import NamedTuple

from dbflax.text import prompts


class Subject(NamedTuple):
  """One of the 30.

  Attributes:
    class_noun: what it is.
    kind: 'live' or 'object'; says which prompts it gets.
  """

  class_noun: str
  kind: str

  @property
  def prompts(self) -> tuple[str, ...]:
    """Its 25 prompts, as templates."""
    return prompts.BENCHMARK[self.kind]


_OBJECTS = {
  'backpack': 'backpack',
  'backpack_dog': 'backpack',
  'bear_plushie': 'stuffed animal',
  'berry_bowl': 'bowl',
  'can': 'can',
  'candle': 'candle',
  'clock': 'clock',
  'colorful_sneaker': 'sneaker',
  'duck_toy': 'toy',
  'fancy_boot': 'boot',
  'grey_sloth_plushie': 'stuffed animal',
  'monster_toy': 'toy',
  'pink_sunglasses': 'glasses',
  'poop_emoji': 'toy',
  'rc_car': 'toy',
  'red_cartoon': 'cartoon',
  'robot_toy': 'toy',
  'shiny_sneaker': 'sneaker',
  'teapot': 'teapot',
  'vase': 'vase',
  'wolf_plushie': 'stuffed animal',
}
_LIVE = {
  **dict.fromkeys(('cat', 'cat2'), 'cat'),
  **dict.fromkeys(
    ('dog', 'dog2', 'dog3', 'dog5', 'dog6', 'dog7', 'dog8'), 'dog'
  ),
}
SUBJECTS = dict(
  sorted(
    [(name, Subject(noun, 'object')) for name, noun in _OBJECTS.items()]
    + [(name, Subject(noun, 'live')) for name, noun in _LIVE.items()]
  )
)
