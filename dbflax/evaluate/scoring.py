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
  ours = [group for group in groups if not group.of_class]
  each = {group.prompt: _of_prompt(network, group, real) for group in ours}
  counts = [len(group.files) for group in ours]
  figures = _averaged(list(each.values()), counts)
  if len(photos) > 1:
    figures = {'photos': metrics.self_similarity(real), **figures}
  of_class, _ = gathered.load_all(groups, lambda group: group.of_class)
  if of_class:
    figures['PRES'] = metrics.similarity(network.embed(of_class), real)
  return Scored(figures, each)


def _of_prompt(network, group, real) -> Figures:
  """What a network says of the samples of one prompt."""
  pictures = group.load()
  drawn = network.embed(pictures)
  found = {'subject_fidelity': metrics.similarity(drawn, real)}
  if network.fit:
    fit = network.fit(pictures, [group.says] * len(pictures))
    known = {name: values[~np.isnan(values)] for name, values in fit.items()}
    found |= {name: float(v.mean()) for name, v in known.items() if len(v)}
  return found


def _averaged(each: Sequence[Figures], counts: Sequence[int]) -> Figures:
  """Means over pictures, of the prompts that a figure is known of."""
  names = dict.fromkeys(name for figures in each for name in figures)
  mean = lambda name: np.average(
    [figures[name] for figures in each if name in figures],
    weights=[n for f, n in zip(each, counts, strict=True) if name in f],
  )
  return {name: float(mean(name)) for name in names}


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
