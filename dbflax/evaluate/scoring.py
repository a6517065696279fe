"""The paper's figures of one subject (DreamBooth, section 4.2 and appendix).

    subject_fidelity  mean cosine of samples and photos: DINO, CLIP-I
    photos            the same of the photos among themselves: "real images"
    prompt_fidelity   mean agreement of samples and prompts: CLIP-T
    PRES              mean cosine of pictures of the class and photos: lower is
                      better, the class was not replaced by the subject
    DIV               mean LPIPS of two samples of one prompt

Every figure belongs to the network that made it and says nothing beside that
of another. Prompts are compared without the identifier, which no network knows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dbflax.data import images
from dbflax.evaluate import features, gathered, lpips, metrics

LPIPS = 'LPIPS AlexNet v0.1'
# LPIPS depends on the size: all systems are compared at this one, in pixels.
LPIPS_SIDE = 256

Figures = dict[str, float]


class Scored(NamedTuple):
  """The figures of one network.

  Attributes:
    figures: those that it can make of these pictures.
    prompts: of every prompt of the subject, {prompt: {figure: value}}.
  """

  figures: Figures
  prompts: dict[str, Figures]


def score(
  network: features.Network,
  groups: Sequence[gathered.Group],
  photos: features.Pictures,
) -> Scored:
  """All figures of one network, about pictures of one subject."""
  real = network.embed(photos)
  figures = {}
  if len(photos) > 1:
    figures['photos'] = metrics.self_similarity(real)
  ours = [group for group in groups if not group.of_class]
  each = _of_pictures(network, ours, real)
  figures |= _means(each)
  if of_class := _load([group for group in groups if group.of_class]):
    figures['PRES'] = metrics.similarity(network.embed(of_class), real)
  ends = np.cumsum([len(group.files) for group in ours])[:-1]
  parts = {name: np.split(values, ends) for name, values in each.items()}
  prompts = {
    group.prompt: _means({name: part[n] for name, part in parts.items()})
    for n, group in enumerate(ours)
  }
  return Scored(figures, prompts)


def _of_pictures(network, groups, real) -> dict[str, Float[np.ndarray, ' N']]:
  """{figure: its value for each picture of the groups}; NaN is unknown."""
  seen = network.look(_load(groups))
  found = {'subject_fidelity': (network.vectors(seen) @ real.T).mean(1)}
  if network.fit:
    says = [group.says for group in groups for _ in group.files]
    found |= network.fit(seen, says)
  return found


def _load(groups: Sequence[gathered.Group]) -> list[np.ndarray]:
  return [picture for group in groups for picture in group.load()]


def _means(each: dict[str, np.ndarray]) -> Figures:
  """The mean of each figure over the pictures that it is known of, if any."""
  known = {name: values[~np.isnan(values)] for name, values in each.items()}
  return {name: float(v.mean()) for name, v in known.items() if len(v)}


def diversity(groups: Sequence[gathered.Group]) -> Figures:
  """DIV of the subject's prompts; {} if none has two pictures.

  Raises:
    UserError: the package of LPIPS is not installed.
  """
  small = lambda picture: images.to_float(
    images.resize(images.square(picture), LPIPS_SIDE)
  )
  pictures = [
    [small(picture) for picture in group.load()]
    for group in groups
    if not group.of_class
  ]
  found = metrics.diversity(pictures, lpips.distance)
  return {} if found is None else {'DIV': found}
