"""Toybox's oracle as a network that scores pictures.

It tells individuals apart, and reads the class, place, accessory, style and so
on that a prompt names. It knows the toybox world alone: of other pictures its
figures mean nothing. Nor is it always right: assets/toybox/README.md says how
often it is.
"""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from dbflax.evaluate import features
from dbflax.toybox import captions, oracle, scene

NAME = 'toybox oracle'


@functools.cache
def network() -> features.Network:
  """The embedded oracle, which is loaded once."""
  weights = {p.name: p for p in sorted(oracle.FOLDER.iterdir())}
  vectors = lambda reading: reading.identity
  return features.Network(NAME, weights, _Reader(), vectors, answers)


class _Reader:
  """Pictures → what the oracle sees; it is loaded when first asked."""

  @functools.cached_property
  def _oracle(self) -> oracle.Oracle:
    return oracle.load()

  def __call__(self, pictures: features.Pictures) -> oracle.Reading:
    # Averaged over areas, as `oracle.read` does where sides are multiples.
    side, area = oracle.RESOLUTION, Image.Resampling.BOX
    return oracle.read(self._oracle, features.squares(pictures, side, area))


def answers(
  reading: oracle.Reading, prompts: Sequence[str]
) -> dict[str, np.ndarray]:
  """How far each of N pictures shows what its prompt names.

  Args:
    reading: what the oracle saw in the pictures.
    prompts: one of each.

  Returns:
    'prompt_fidelity', the share of the things named that are there, and
    'prompt_fidelity/class' and so on, whether this one is: float [N], NaN
    where it is not named.
  """
  asked = [captions.named(prompt) for prompt in prompts]
  seen = {field: v.argmax(-1) for field, v in reading.logits.items()}
  seen['colour'] = np.array([scene.nearest_colour(n) for n in reading.numbers])
  right = {
    field: np.array(
      [
        float(want[field] == found) if field in want else np.nan
        for want, found in zip(asked, seen[field], strict=True)
      ]
    )
    for field in seen
  }
  share = np.array([_mean(row) for row in np.stack([*right.values()], -1)])
  return {
    'prompt_fidelity': share,
    **{f'prompt_fidelity/{_short(f)}': v for f, v in right.items()},
  }


def _mean(row: np.ndarray) -> float:
  """The mean of what is not NaN; NaN of nothing."""
  known = row[~np.isnan(row)]
  return float(known.mean()) if len(known) else np.nan


def _short(field: str) -> str:
  return field.removesuffix('_id')
