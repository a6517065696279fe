"""The optimizer of every stage: AdamW behind a clipped global norm."""

import optax


def build(
  *,
  learning_rate: float,
  steps: int,
  warmup: int = 0,
  decay: bool = False,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  b2: float = 0.999,
) -> optax.GradientTransformation:
  """AdamW with linear warmup, then constant or cosine decay to zero.

  Args:
    learning_rate: the rate after warmup.
    steps: length of the run, which the decay ends with.
    warmup: steps of linear warmup.
    decay: cosine decay (pre-training); fine-tuning keeps the rate constant.
    weight_decay: decoupled decay (0 for fine-tuning, as in the paper).
    clip_norm: largest global norm of the gradients; 0 switches it off.
    b2: decay of the second moment.
  """
  after = optax.constant_schedule(learning_rate)
  if decay:
    after = optax.cosine_decay_schedule(learning_rate, max(steps - warmup, 1))
  # From a first part of the rate, not from zero: no step is for nothing.
  ramp = optax.linear_schedule(
    learning_rate / (warmup + 1), learning_rate, max(warmup, 1)
  )
  rate = optax.join_schedules([ramp, after], [warmup]) if warmup else after
  adamw = optax.adamw(rate, b2=b2, weight_decay=weight_decay)
  if not clip_norm:
    return adamw
  return optax.chain(optax.clip_by_global_norm(clip_norm), adamw)
