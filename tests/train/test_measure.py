"""What a pre-trained cascade is measured with."""

import jax
import numpy as np
import pytest

from dbflax.toybox import scene
from dbflax.train import measure


def test_psnr_of_known_errors():
  black = np.full((2, 4, 4, 3), -1.0)
  # The whole range wrong everywhere is 0 dB; a tenth of it is 20 dB.
  assert measure.psnr(black, -black) == pytest.approx(0)
  assert measure.psnr(black, black + 0.2) == pytest.approx(20)


def test_scenes_show_held_out_individuals():
  keys = jax.vmap(jax.random.key)(np.arange(12))
  classes, places = np.arange(12) % 6, np.arange(12) % 8
  scenes = measure._held_out(keys, classes, places)
  assert jax.vmap(scene.held_out)(scenes).all()
  np.testing.assert_array_equal(scenes.class_id, classes)
  np.testing.assert_array_equal(scenes.place_id, places)
