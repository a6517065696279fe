"""The paper's figures of one subject (DreamBooth, section 4.2 and appendix).

    subject_fidelity  mean cosine of samples and photos: DINO, CLIP-I
    photos            the same of the photos among themselves: "real images"
    prompt_fidelity   mean agreement of samples and prompts: CLIP-T
    PRES              mean cosine of pictures of the class and photos: lower is
                      better, the class was not replaced by the subject
    DIV               mean LPIPS of two samples of one prompt

of how far the subjects of a run are apart, where it has several:

    other_subjects    mean cosine of the samples of the others and photos: lower
                      is better, none was mixed into another
    photos/other_subjects  the same of the others' photos: "real images"

and of its three failure modes. The first, a wrong context, is a low
prompt_fidelity, or with toybox's oracle a low prompt_fidelity/place:

    subject_fidelity/spread  standard deviation over prompts of their mean
                      subject_fidelity: context and appearance are entangled.
                      What prompts ask for (a painting, another colour) is part
                      of it, so only runs of the same prompts can be compared
    nearest_photo     mean cosine of a sample and its nearest photo; overfitted
                      samples repeat photos, and are nearer to one than photos
                      are to each other (photos/nearest)
    photo_distance    mean LPIPS of a sample and its nearest photo, likewise
                      (photos/distance)

Every figure belongs to the network that made it and says nothing beside that
of another. Prompts are compared without the identifier, which no network knows.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dbflax.data import images
from dbflax.evaluate import features, gathered, lpips, metrics

# LPIPS depends on the size: all systems are compared at this one, in pixels.
LPIPS_SIDE = 256

Figures = dict[str, float]


class Nearest(NamedTuple):
  """The nearest photo of each of N samples of the subject, in their order.

  Attributes:
    photo: which one.
    value: cosine, or LPIPS, of sample and photo.
  """

  photo: Int[np.ndarray, ' N']
  value: Float[np.ndarray, ' N']


class Scored(NamedTuple):
  """The figures of one network.

  Attributes:
    figures: those that it can make of these pictures.
    prompts: of every prompt of the subject, {prompt: {figure: value}}.
    intervals: {figure: its 95 % interval}, by bootstrap over prompts, too
      narrow of fewer than five; what is of one, or of photos, has none.
    nearest: photos by samples.
  """

  figures: Figures
  prompts: dict[str, Figures]
  intervals: dict[str, tuple[float, float]]
  nearest: Nearest


class _Seen(NamedTuple):
  """What a network sees of one subject.

  Attributes:
    real: of its photos; drawn: of its samples.
    samples: the same of the samples, in the network's own form.
  """

  real: Float[np.ndarray, 'N D']
  drawn: Float[np.ndarray, 'M D']
  samples: Any


def score(
  network: features.Network, subjects: Sequence[gathered.Shown]
) -> list[Scored]:
  """All figures of one network, about pictures of each subject of a run."""
  seen = [_look(network, shown) for shown in subjects]
  return [
    _score(network, shown, seen[n], [*seen[:n], *seen[n + 1 :]])
    for n, shown in enumerate(subjects)
  ]


def _look(network: features.Network, shown: gathered.Shown) -> _Seen:
  samples = network.look(_load(shown.ours))
  real, drawn = network.embed(shown.photos), network.vectors(samples)
  return _Seen(real, drawn, samples)


def _score(
  network: features.Network,
  shown: gathered.Shown,
  seen: _Seen,
  others: Sequence[_Seen],
) -> Scored:
  ours, real = shown.ours, seen.real
  cosine = seen.drawn @ real.T
  nearest = Nearest(cosine.argmax(1), cosine.max(1))
  each = {'subject_fidelity': cosine.mean(1), 'nearest_photo': nearest.value}
  if network.fit:
    says = [group.says for group in ours for _ in group.files]
    each |= network.fit(seen.samples, says)
  means, *rest = _over(ours, _by_prompt(ours, each))
  figures = _of_photos(real) | _fidelity(means, rest[0]) | means
  of_class = _load([group for group in shown.groups if group.of_class])
  foreign = {
    'PRES': [network.embed(of_class)] if of_class else [],
    'other_subjects': [other.drawn for other in others],
    'photos/other_subjects': [other.real for other in others],
  }
  for name, vectors in foreign.items():
    if vectors:
      figures[name] = metrics.similarity(np.concatenate(vectors), real)
  return Scored(figures, *rest, nearest)


def score_looks(shown: gathered.Shown, net: str = lpips.ALEXNET) -> Scored:
  """The figures of LPIPS: DIV, if a prompt has two pictures, and distances.

  Args:
    shown: pictures and photos of one subject.
    net: the network of LPIPS.

  Raises:
    UserError: the package of LPIPS is not installed.
  """
  ours, between = shown.ours, functools.partial(lpips.distance, net=net)
  drawn = [[_for_lpips(picture) for picture in g.load()] for g in ours]
  real = [_for_lpips(photo) for photo in shown.photos]
  flat = [picture for pictures in drawn for picture in pictures]
  pairs = [*itertools.product(flat, real)]
  distance = metrics.distances(pairs, between).reshape(len(flat), -1)
  nearest = Nearest(distance.argmin(1), distance.min(1))
  # One value of each prompt: however many pictures it has, it counts once.
  diversity = metrics.diversity(drawn, between)
  each = {'DIV': np.split(diversity, len(ours))}
  each |= _by_prompt(ours, {'photo_distance': nearest.value})
  figures, *rest = _over(ours, each)
  if len(real) > 1:
    pairs = [*itertools.combinations(real, 2)]
    among = metrics.distances(pairs, between)
    figures['photos/distance'] = metrics.nearest_other(among, len(real))
  return Scored(figures, *rest, nearest)


def _load(groups: Sequence[gathered.Group]) -> list[np.ndarray]:
  return [picture for group in groups for picture in group.load()]


def _for_lpips(picture: np.ndarray) -> Float[np.ndarray, 'S S 3']:
  square = images.square(picture)
  return images.to_float(images.resize(square, LPIPS_SIDE))


def _by_prompt(
  groups: Sequence[gathered.Group], each: Mapping[str, np.ndarray]
) -> dict[str, list[np.ndarray]]:
  """{figure: values of the pictures of each group}."""
  ends = np.cumsum([len(group.files) for group in groups])[:-1]
  return {name: np.split(values, ends) for name, values in each.items()}


def _over(
  groups: Sequence[gathered.Group], each: Mapping[str, list[np.ndarray]]
) -> tuple[Figures, dict[str, Figures], dict[str, tuple[float, float]]]:
  """(means, means of every prompt, intervals) of values that are not NaN."""
  figures, intervals = {}, {}
  prompts = {group.prompt: {} for group in groups}
  for name, parts in each.items():
    parts = [part[~np.isnan(part)] for part in parts]
    known = [part for part in parts if len(part)]
    if not known:
      continue
    figures[name] = float(np.concatenate(known).mean())
    means, counts = [p.mean() for p in known], [len(p) for p in known]
    if interval := metrics.bootstrap(means, counts):
      intervals[name] = interval
    for group, part in zip(groups, parts, strict=True):
      if len(part):
        prompts[group.prompt][name] = float(part.mean())
  return figures, prompts, intervals


def _fidelity(means: Figures, prompts: Mapping[str, Figures]) -> Figures:
  """The mean over all, and the spread over two prompts or more."""
  name = 'subject_fidelity'
  each = [figures[name] for figures in prompts.values()]
  found = {name: means[name]}
  if len(each) > 1:
    found[f'{name}/spread'] = float(np.std(each, ddof=1))
  return found


def _of_photos(real: Float[np.ndarray, 'N D']) -> Figures:
  """Of two photos or more, among themselves."""
  if len(real) < 2:
    return {}
  i, j = np.triu_indices(len(real), 1)
  apart = 1 - (real @ real.T)[i, j]
  return {
    'photos': metrics.self_similarity(real),
    'photos/nearest': 1 - metrics.nearest_other(apart, len(real)),
  }
