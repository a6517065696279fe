"""The optimizer of every stage, behind a clipped global norm.

AdamW fine-tunes, as in the paper. Muon (Jordan et al., 2024) pre-trains: the
updates of matrices and convolutions are orthogonalised, which takes a small
network further with the same number of pictures; everything else is AdamW's.
"""

import jax
import optax
import optax.contrib

KINDS = ('adamw', 'muon')


def build(
  *,
  learning_rate: float,
  steps: int,
  kind: str = 'adamw',
  warmup: int = 0,
  decay: float = 0.0,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  b2: float = 0.999,
) -> optax.GradientTransformation:
  """Linear warmup, then a constant rate, at last a cosine down to zero.

  Args:
    learning_rate: the rate after warmup. Muon's updates are scaled to AdamW's
      size, so that one rate serves both.
    steps: length of the run, which the decay ends with.
    kind: one of `KINDS`.
    warmup: steps of linear warmup.
    decay: share of the steps after warmup over which the rate falls, at the
      end of the run: 0 never (fine-tuning), 1 all of them.
    weight_decay: decoupled decay (0 for fine-tuning, as in the paper).
    clip_norm: largest global norm of the gradients; 0 switches it off.
    b2: decay of AdamW's second moment.

  Raises:
    ValueError: the kind is unknown.
  """
  if kind not in KINDS:
    raise ValueError(f'optimizer {kind!r} is not one of {KINDS}')
  rate = _schedule(learning_rate, steps, warmup, decay)
  if kind == 'muon':
    update = optax.contrib.muon(
      rate,
      weight_decay=weight_decay,
      adam_b2=b2,
      adam_weight_decay=weight_decay,
      consistent_rms=_ADAM_RMS,
      muon_weight_dimension_numbers=_matrices,
    )
  else:
    update = optax.adamw(rate, b2=b2, weight_decay=weight_decay)
  if not clip_norm:
    return update
  return optax.chain(optax.clip_by_global_norm(clip_norm), update)


_ADAM_RMS = 0.2  # root mean square of AdamW's updates (arXiv 2502.16982)


def _schedule(learning_rate, steps, warmup, decay) -> optax.Schedule:
  constant = optax.constant_schedule(learning_rate)
  falling = round(decay * max(steps - warmup, 1))
  # From a first part of the rate, not from zero: no step is for nothing.
  ramp = optax.linear_schedule(
    learning_rate / (warmup + 1), learning_rate, max(warmup, 1)
  )
  parts, ends = [ramp, constant], [warmup]
  if falling:
    parts.append(optax.cosine_decay_schedule(learning_rate, falling))
    ends.append(steps - falling)
  return optax.join_schedules(parts, ends)


def _matrices(params: dict):
  """Which axes of which parameters are a matrix; None is left to AdamW.

  The first and the last convolution work on pixels, not on features.
  """

  def axes(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if leaf.ndim < 2 or not name.endswith('kernel') or name in _PIXEL_LAYERS:
      return None
    reduced = tuple(range(leaf.ndim - 1))
    return optax.contrib.MuonDimensionNumbers(reduced, leaf.ndim - 1)

  return jax.tree_util.tree_map_with_path(axes, params)


_PIXEL_LAYERS = ('conv_in/kernel', 'conv_out/kernel')
