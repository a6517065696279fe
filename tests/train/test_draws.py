"""What a training step draws by chance."""

import jax
import numpy as np

from dbflax.train import step


def test_a_power_draws_more_of_the_low_levels(tiny):
  """low + (high − low) u^power, of the same u."""
  stage, crops = tiny.stages['stage_2'], np.zeros((4, 8, 8, 3), np.float32)
  even, low = (
    step.draw(
      stage,
      step.Objective(noise_level=(0.1, 0.3), noise_power=power),
      step.Batch(crops, text=None),
      jax.random.key(7),
    ).level
    for power in (1, 3)
  )
  share = (even - 0.1) / 0.2
  np.testing.assert_allclose(low, 0.1 + 0.2 * share**3, rtol=1e-5)
  assert (low < even).all()
