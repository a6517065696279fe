"""Numbers that say how good something is. Pure numpy: no network, no file."""

import numpy as np
from jaxtyping import Float, Int


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
