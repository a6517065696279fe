"""Numbers that say how good something is. Pure numpy: no network, no file."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from dbflax import rng

# (pictures [P, H, W, 3], others [P, H, W, 3]) → the distance of each pair.
Distance = Callable[[np.ndarray, np.ndarray], Float[np.ndarray, ' P']]


def auc(
  positive: Float[np.ndarray, ' P'], negative: Float[np.ndarray, ' N']
) -> float:
  """The chance that a positive scores above a negative; ties count half.

  It is the area under the curve of hits against false alarms, computed as
  the Mann-Whitney statistic: 1 separates perfectly, 0.5 is guessing.
  """
  negative = np.sort(negative)
  below = np.searchsorted(negative, positive, 'left')
  not_above = np.searchsorted(negative, positive, 'right')
  return float((below + not_above).mean() / 2 / len(negative))


def same_and_other(
  embedding: Float[np.ndarray, 'N D'],
  individual: Int[np.ndarray, ' N'],
  group: Int[np.ndarray, ' N'],
) -> tuple[np.ndarray, np.ndarray]:
  """Similarities of all pairs: of one individual, of two within a group.

  Args:
    embedding: unit vectors.
    individual: whose each is.
    group: within which to compare, such as the class.

  Returns:
    (dot products of same-individual pairs, of same-group-other pairs).
  """
  i, j = np.triu_indices(len(embedding), 1)
  similarity = (embedding @ embedding.T)[i, j]
  same = individual[i] == individual[j]
  other = ~same & (group[i] == group[j])
  return similarity[same], similarity[other]


def psnr(
  a: Float[np.ndarray, 'N H W C'], b: Float[np.ndarray, 'N H W C']
) -> Float[np.ndarray, ' N']:
  """Peak signal-to-noise ratio in dB of pairs of pictures in [-1, 1]."""
  error = np.square((np.asarray(a, np.float64) - b) / 2).mean((1, 2, 3))
  with np.errstate(divide='ignore'):  # Equal pictures: infinite.
    return -10 * np.log10(error)


def similarity(
  a: Float[np.ndarray, 'N D'], b: Float[np.ndarray, 'M D']
) -> float:
  """The mean cosine of all N × M pairs of unit vectors.

  DINO, CLIP-I and PRES of DreamBooth (section 4.2, appendix): of pictures
  drawn and photos of the subject.
  """
  return float((a @ b.T).mean())


def self_similarity(a: Float[np.ndarray, 'N D']) -> float | None:
  """The mean cosine of all pairs of two different rows; None below two.

  The paper's row of real images: as near as photos of a subject are.
  """
  i, j = np.triu_indices(len(a), 1)
  return float((a @ a.T)[i, j].mean()) if len(i) else None


def agreement(
  a: Float[np.ndarray, 'N D'], b: Float[np.ndarray, 'N D']
) -> Float[np.ndarray, ' N']:
  """The cosine of each pair (a[n], b[n]) of unit vectors: CLIP-T's terms."""
  return np.einsum('nd,nd->n', a, b)


def distances(
  pairs: Sequence[tuple[np.ndarray, np.ndarray]],
  distance: Distance,
  batch: int = 16,
) -> Float[np.ndarray, ' N']:
  """The distance of each of N pairs of pictures [H, W, 3], all of one size.

  Args:
    pairs: the pictures.
    distance: is given `batch` pairs each time, so that one program serves.
    batch: pairs compared at once.
  """
  found = []
  for start in range(0, len(pairs), batch):
    index = np.minimum(np.arange(start, start + batch), len(pairs) - 1)
    one, other = zip(*(pairs[i] for i in index), strict=True)
    found.append(distance(np.stack(one), np.stack(other)))
  return np.concatenate(found)[: len(pairs)] if found else np.zeros(0)


def diversity(
  groups: Sequence[Sequence[np.ndarray]], distance: Distance, batch: int = 16
) -> Float[np.ndarray, ' G']:
  """DIV of each prompt: the mean distance of two of its pictures.

  Args:
    groups: pictures [H, W, 3] of each prompt, all of one size.
    distance, batch: as of `distances`.

  Returns:
    One value of each prompt; NaN of one that has no two pictures.
  """
  paired = [[*itertools.combinations(pictures, 2)] for pictures in groups]
  found = distances(
    [pair for pairs in paired for pair in pairs], distance, batch
  )
  ends = np.cumsum([len(pairs) for pairs in paired])[:-1]
  parts = np.split(found, ends)
  return np.array([part.mean() if len(part) else np.nan for part in parts])


def nearest_other(distance: Float[np.ndarray, ' P'], count: int) -> float:
  """The mean over `count` pictures of the distance to the nearest other one.

  Args:
    distance: of the P pairs, in the order of `itertools.combinations`.
    count: of the pictures, two or more.
  """
  square = np.full((count, count), np.inf)
  i, j = np.triu_indices(count, 1)
  square[i, j] = square[j, i] = distance
  return float(square.min(1).mean())


def bootstrap(
  values: Sequence[float],
  weights: Sequence[float] | None = None,
  *,
  seed: int = 0,
  draws: int = 10_000,
  confidence: float = 0.95,
) -> tuple[float, float] | None:
  """The bootstrap's interval of the mean; None of less than two values.

  Percentiles of few means are too near to each other: of six subjects, 95 %
  would hold the mean 87 times of 100. So they are those further out which, of
  a normal distribution, give Student's interval (the expanded percentile,
  Hesterberg, arXiv 1411.5279). Of less than five values even their range, the
  widest that it can be, holds the mean less often than 90 times of 100.

  Args:
    values: one of each subject, or of each prompt of one subject: these are
      drawn anew, since pictures that share one are no independent evidence.
    weights: of the values in the mean, such as how many pictures each stands
      for; None is all alike.
    seed: of the draws.
    draws: how many sets of values are drawn, with replacement.
    confidence: how often such an interval holds what the mean is of.
  """
  if len(values) < 2:
    return None
  draw = rng.numpy(seed, 'bootstrap')
  index = draw.integers(len(values), size=(draws, len(values)))
  weights = np.ones(len(values)) if weights is None else np.asarray(weights)
  total = (weights * np.asarray(values, np.float64))[index].sum(1)
  means = total / weights[index].sum(1)
  student = special.stdtrit(len(values) - 1, (1 + confidence) / 2)
  tail = special.ndtr(-student * math.sqrt(len(values) / (len(values) - 1)))
  low, high = np.quantile(means, (tail, 1 - tail))
  return float(low), float(high)
