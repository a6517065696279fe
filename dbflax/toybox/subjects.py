"""Photos of one held-out individual: what a user of DreamBooth would bring.

    python -m dbflax.toybox.subjects --subject=cat/3 --out=photos/cat

draws five photos of 1024 px of an individual that pre-training never saw, in
different places and poses, in plain photo style without accessories. Every
class has `SEEDS` of them; 'dog' and 'teapot' are the two that are embedded.
'cat/3/woven' is the same in cloth, whose threads 64 pixels do not show: what
super-resolution has to learn of a subject.
"""

import functools
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from PIL import Image

from dbflax import errors, rng
from dbflax.toybox import materials, render
from dbflax.toybox import scene as scene_lib


class Subject(NamedTuple):
  """An individual and its photos.

  Attributes:
    class_name: its class.
    seed: chooses the individual. Colours and proportions follow from it alone,
      so it differs between subjects, of different classes too.
    shots: (place, view, facing) of each photo; places differ, so that what
      the photos share is the subject alone.
    woven: whether it is made of cloth.
  """

  class_name: str
  seed: int
  shots: tuple
  woven: bool = False


_STEP = 7  # of 255
_SHOTS = (
  ('in the meadow', 'side', 1.0),
  ('in the kitchen', 'front', 1.0),
  ('on the street', 'side', -1.0),
  ('in the snow', 'front', -1.0),
  ('in the desert', 'side', 1.0),
)
SUBJECTS = {
  'dog': Subject('dog', 5, _SHOTS),
  'teapot': Subject('teapot', 8, _SHOTS),
}
SEEDS = 1000  # individuals of each class
_WOVEN = '/woven'


def named(name: str) -> Subject:
  """The subject of a name such as 'cat/3' or 'cat/3/woven': a class and a seed.

  'dog/5' is the embedded dog.

  Raises:
    UserError: no such class, or a seed that is none of 0 … SEEDS - 1.
  """
  plain = name.removesuffix(_WOVEN)
  class_name, _, seed = plain.partition('/')
  if class_name not in scene_lib.CLASSES:
    raise errors.UserError(
      f"no class '{class_name}' in toybox, as 'toybox:{name}' wants; there are "
      f'{", ".join(scene_lib.CLASSES)}'
    )
  if seed not in map(str, range(SEEDS)):
    raise errors.UserError(
      f"'toybox:{name}': {seed!r} is no individual; give a number from 0 to "
      f"{SEEDS - 1}, such as 'toybox:{class_name}/3'"
    )
  class_id = scene_lib.CLASSES.index(class_name)
  number = SEEDS * class_id + int(seed)
  return Subject(class_name, number, _SHOTS, woven=plain != name)


def individual(subject: Subject):
  """The held-out individual of a subject, float32 [INDIVIDUAL]."""
  class_id = scene_lib.CLASSES.index(subject.class_name)
  key = rng.key(jax.random.key(subject.seed), 'subject')
  return scene_lib.individual(key, class_id, held_out=True)


def scene(
  subject: Subject, stream: str, index: int, *, place: str, view: str
) -> scene_lib.Scene:
  """The subject somewhere; its pose is drawn by (subject, stream, index)."""
  return scene_lib.staged(
    rng.key(jax.random.key(subject.seed), stream, index),
    individual=individual(subject),
    class_id=scene_lib.CLASSES.index(subject.class_name),
    place_id=scene_lib.PLACES.index(place),
    view_id=scene_lib.VIEWS.index(view),
    material_id=materials.WOVEN if subject.woven else 0,
  )


def scenes(subject: Subject) -> list[scene_lib.Scene]:
  """One scene per photo."""
  return [
    scene(subject, 'shot', index, place=place, view=view)._replace(
      facing=jnp.float32(facing)
    )
    for index, (place, view, facing) in enumerate(subject.shots)
  ]


@functools.partial(jax.jit, static_argnums=1)
def draw(scene: scene_lib.Scene, resolution: int):
  """[resolution, resolution, 3] in [-1, 1]."""
  return render.render(scene, resolution)


def photos(subject: Subject, resolution: int = 1024):
  """uint8 [photos, resolution, resolution, 3]."""
  pictures = np.stack(
    [np.asarray(draw(scene, resolution)) for scene in scenes(subject)]
  )
  return np.clip(np.round((pictures + 1) * 127.5), 0, 255).astype(np.uint8)


def save(picture, path: pathlib.Path) -> None:
  """Writes a PNG of half the size by rounding colours to steps of `_STEP`.

  A palette would be smaller still, but it takes a small part's colour, such
  as a lid's knob, from whatever else is in the photo.
  """
  coarse = np.clip(np.round(picture / _STEP) * _STEP, 0, 255)
  Image.fromarray(coarse.astype(np.uint8)).save(path, optimize=True)


def main(argv):
  del argv
  name = _SUBJECT.value
  subject = SUBJECTS[name] if name in SUBJECTS else named(name)
  folder = pathlib.Path(_OUT.value)
  folder.mkdir(parents=True, exist_ok=True)
  for index, picture in enumerate(photos(subject)):
    save(picture, folder / f'{index:02d}.png')


if __name__ == '__main__':
  _SUBJECT = flags.DEFINE_string('subject', 'dog', 'In SUBJECTS, or cat/3.')
  _OUT = flags.DEFINE_string('out', None, 'Folder to write.', required=True)
  app.run(main)
