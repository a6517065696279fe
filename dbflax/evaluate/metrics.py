"""Numbers that say how good something is. Pure numpy: no network, no file."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from dbflax import rng


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


def diversity(
  groups: Sequence[Sequence[np.ndarray]],
  distance: Callable[[np.ndarray, np.ndarray], Float[np.ndarray, ' P']],
  batch: int = 16,
) -> float | None:
  """DIV: the mean distance of two pictures of one prompt; None without pairs.

  Args:
    groups: pictures [H, W, 3] of each prompt, all of one size.
    distance: (pictures [P, H, W, 3], others) → distances; P is always `batch`,
      so that one program serves.
    batch: pairs compared at once.

  Returns:
    The mean over prompts of the mean over their pairs.
  """
  pairs = [
    (group, a, b)
    for group, pictures in enumerate(groups)
    for a, b in itertools.combinations(pictures, 2)
  ]
  if not pairs:
    return None
  group, one, other = zip(*pairs, strict=True)
  found = []
  for start in range(0, len(pairs), batch):
    index = np.minimum(np.arange(start, start + batch), len(pairs) - 1)
    pick = lambda pictures, index=index: np.stack([pictures[i] for i in index])
    found.append(distance(pick(one), pick(other)))
  found, group = np.concatenate(found)[: len(pairs)], np.array(group)
  return float(np.mean([found[group == g].mean() for g in np.unique(group)]))


def bootstrap(
  values: Sequence[float],
  *,
  seed: int = 0,
  draws: int = 10_000,
  confidence: float = 0.95,
) -> tuple[float, float] | None:
  """The percentile bootstrap's interval of the mean; None of less than two.

  Args:
    values: one of each subject: subjects are what is drawn anew, since
      pictures of one subject are no independent evidence.
    seed: of the draws.
    draws: how many sets of subjects are drawn, with replacement.
    confidence: share of the means that lie in the interval.
  """
  if len(values) < 2:
    return None
  draw = rng.numpy(seed, 'bootstrap')
  index = draw.integers(len(values), size=(draws, len(values)))
  means = np.asarray(values, np.float64)[index].mean(1)
  tail = (1 - confidence) / 2
  low, high = np.quantile(means, (tail, 1 - tail))
  return float(low), float(high)
