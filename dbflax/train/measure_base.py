"""How well the base stage draws what prompts say, and how varied.

Prompts are captions that the grammar writes for random scenes, and the oracle
reads the samples. Only what a caption says may be counted wrong: a caption
that names no place may be drawn anywhere and is not scored for place. What it
says is found by asking the grammar: a caption tells a field of the scene if
no other value of that field would have been captioned in the same words. So
"a dog" tells the style (photo) and the accessory (none), but not the place.
"""

from collections.abc import Callable

import jax
import numpy as np

from dbflax import rng
from dbflax.toybox import captions, oracle, scene
from dbflax.train import drawing

# The shares of right answers that are asked for.
BARS = {
  'class': ('≥', 0.97),
  'place': ('≥', 0.93),
  'accessory': ('≥', 0.85),
  'style': ('≥', 0.90),
}
# Wordings tried until one names the place; three in five do.
_WORDINGS = 100
_PAIRS = 64  # pairs of pictures compared at a time
# One scene in six is as plain as "a photo of a dog" means it.
_PLAIN_TRIES = 20


def draw_scenes(key, count: int, *, held_out: bool) -> scene.Scene:
  """Scenes as pre-training shows them, or as it never does."""
  sample = lambda key: scene.sample(key, held_out=held_out)
  drawn = jax.jit(jax.vmap(sample))(jax.random.split(key, count))
  return jax.tree.map(np.asarray, drawn)


def told(one: scene.Scene, write: Callable[[scene.Scene], str]) -> set[str]:
  """The fields that a scene's caption tells; `write` writes it, always alike.

  A field is told if every other value of it would give another caption.
  """
  text = write(one)
  others = lambda name, words: (
    one._replace(**{name: np.int32(value)})
    for value in range(len(words))
    if value != getattr(one, name)
  )
  return {
    name
    for name, words in oracle.QUESTIONS.items()
    if all(write(other) != text for other in others(name, words))
  }


def write_prompts(
  scenes: scene.Scene, seed: int, *, with_place: bool = False
) -> tuple[list[str], dict[str, np.ndarray]]:
  """A caption of every scene, and what it tells.

  Args:
    scenes: [N] of them, of numpy arrays.
    seed: root of the wording.
    with_place: choose wordings that name the place.

  Returns:
    (captions, {question: bool [N]}).
  """
  texts, tellings = [], []
  for n in range(len(scenes.class_id)):
    one = jax.tree.map(lambda field, n=n: field[n], scenes)
    for wording in range(_WORDINGS):
      write = lambda other, n=n, wording=wording: captions.caption(
        other, rng.numpy(seed, f'prompt wording {wording}', n)
      )
      telling = told(one, write)
      if 'place_id' in telling or not with_place:
        break
    else:
      raise RuntimeError(f'no wording of {_WORDINGS} names the place of {one}')
    texts.append(write(one))
    tellings.append(telling)
  return texts, {
    name: np.array([name in telling for telling in tellings])
    for name in oracle.QUESTIONS
  }


def measure(
  draw: drawing.Draw,
  render: drawing.Render,
  read: Callable[[drawing.Image], oracle.Reading],
  *,
  seed: int,
  count: int,
  held_out: bool = False,
) -> dict:
  """Shares of right answers about `count` samples, and about real renders.

  Args:
    draw: (prompts, keys) → samples.
    render: scenes → real pictures of the same size.
    read: the oracle.
    seed: root of scenes, wording and noise.
    count: how many samples.
    held_out: prompts ask for combinations that pre-training never shows,
      in wordings that name the place.

  Returns:
    'values' of the samples; 'renders', the same of renders of the very same
    scenes, above which samples can hardly get; how many were 'scored';
    'by_class'; and the 'confusion' of classes: {asked for: {seen: count}}.
  """
  name = 'held_out' if held_out else 'base'
  root = jax.random.key(seed)
  scenes = draw_scenes(
    rng.key(root, f'measure {name}'), count, held_out=held_out
  )
  texts, telling = write_prompts(scenes, seed, with_place=held_out)
  seen = read(draw(texts, drawing.keys(seed, f'measure {name}', count)))
  right = oracle.right(seen, scenes)
  real = oracle.right(read(render(scenes)), scenes)
  everything = np.ones(count, bool)
  of = lambda class_id: scenes.class_id == class_id
  return {
    'values': shares(right, telling, everything),
    'renders': shares(real, telling, everything),
    'scored': {_short(q): int(mask.sum()) for q, mask in telling.items()},
    'by_class': {
      noun: shares(right, telling, of(class_id))
      for class_id, noun in enumerate(scene.CLASSES)
    },
    'confusion': confusion(scenes.class_id, seen.logits['class_id'].argmax(-1)),
  }


def _short(question: str) -> str:
  return question.removesuffix('_id')


def shares(right: dict, telling: dict, among: np.ndarray) -> dict:
  """{question: share right of those told}; None where none was told."""
  masks = {q: telling[q] & among for q in right}
  return {
    _short(q): float(right[q][mask].mean()) if mask.any() else None
    for q, mask in masks.items()
  }


def confusion(truth: np.ndarray, seen: np.ndarray) -> dict[str, dict]:
  """{class asked for: {class seen: how often, if ever}}."""
  table = np.zeros((len(scene.CLASSES),) * 2, int)
  np.add.at(table, (truth, seen), 1)
  return {
    noun: {scene.CLASSES[i]: int(row[i]) for i in np.flatnonzero(row)}
    for noun, row in zip(scene.CLASSES, table, strict=True)
  }


def plain(key, noun: str, count: int) -> scene.Scene:
  """Scenes of what "a photo of a <noun>" means, as often as it does.

  Those scenes of pre-training whose captions need name nothing: a plain photo
  of any individual anywhere, from the side or the front.
  """
  class_id = scene.CLASSES.index(noun)

  def one(key):
    who = scene.individual(rng.key(key, 'individual'), class_id)
    return scene.around(key, who, class_id)

  drawn = jax.jit(jax.vmap(one))(jax.random.split(key, _PLAIN_TRIES * count))
  drawn = jax.tree.map(np.asarray, drawn)
  defaults = (drawn.style_id, drawn.accessory_id, drawn.expression_id)
  defaults += (drawn.material_id,)
  free = [scene.VIEWS.index(view) for view in ('side', 'front')]
  fits = ~np.any(defaults, axis=0) & np.isin(drawn.view_id, free)
  kept = np.flatnonzero(fits)[:count]
  if len(kept) < count:
    raise RuntimeError(f'only {len(kept)} plain scenes instead of {count}')
  return jax.tree.map(lambda field: field[kept], drawn)


def diversity(
  draw: drawing.Draw,
  render: drawing.Render,
  distance: Callable[[drawing.Image, drawing.Image], np.ndarray],
  *,
  seed: int,
  count: int,
) -> dict:
  """How unlike each other samples of "a photo of a dog" are.

  The mean LPIPS of all pairs of `count` samples over that of as many renders
  of plain dogs.
  """
  keys = drawing.keys(seed, 'measure diversity', count)
  drawn = spread(draw(['a photo of a dog'] * count, keys), distance)
  real_key = rng.key(jax.random.key(seed), 'measure plain')
  real = spread(render(plain(real_key, 'dog', count)), distance)
  return {
    'values': {'of renders': drawn / real},
    'bars': {'of renders': ('≥', 0.85)},
    'LPIPS of samples': drawn,
    'LPIPS of renders': real,
  }


def spread(pictures: drawing.Image, distance: Callable) -> float:
  """The mean distance of all pairs of pictures."""
  i, j = np.triu_indices(len(pictures), 1)
  parts = [
    distance(pictures[i[index]], pictures[j[index]])
    for index in drawing.batches(len(i), _PAIRS)
  ]
  return float(np.concatenate(parts)[: len(i)].mean())
