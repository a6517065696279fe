"""What a subject is made of: paints and surfaces that are not its own.

A material keeps the lightness of every paint and takes its hue away, so an
individual in gold still shows its markings and proportions.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax.toybox import scene as scene_lib
from dbflax.toybox import shapes

_C = shapes.COLUMN
_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)


class Material(NamedTuple):
  """How a material looks.

  Attributes:
    dark, light: the rgb that black and white paint turn into.
    hue: 1 replaces the paints' own hues, 0 keeps them.
    gloss, grain, rim, weave: added to those columns of every shape.
    alpha, fur: multiply those columns.
  """

  dark: tuple = (0.0, 0.0, 0.0)
  light: tuple = (1.0, 1.0, 1.0)
  hue: float = 1.0
  gloss: float = 0.0
  grain: float = 0.0
  rim: float = 0.0
  weave: float = 0.0
  alpha: float = 1.0
  fur: float = 1.0


# In the order of scene.MATERIALS, then the stone of statues and the cloth of
# woven subjects, which pre-training never saw.
MATERIALS = (
  Material(hue=0.0),
  Material((0.34, 0.17, 0.01), (1.0, 0.83, 0.30), gloss=1.3, fur=0.0),
  Material((0.20, 0.09, 0.03), (0.86, 0.62, 0.36), grain=1.0, fur=0.0),
  Material(
    (0.22, 0.50, 0.60), (0.90, 1.0, 1.0), gloss=1.3, rim=0.8, alpha=0.5, fur=0.0
  ),
  Material((0.34, 0.34, 0.33), (0.86, 0.86, 0.83), fur=0.7),
  Material(hue=0.0, weave=1.0),
)
_STONE = len(scene_lib.MATERIALS)
WOVEN = _STONE + 1
_TABLE = Material(
  *[np.array(column, np.float32) for column in zip(*MATERIALS, strict=True)]
)


def of_subject(scene) -> Int[Array, '']:
  """Index into MATERIALS of the subject itself."""
  return jnp.where(
    scene.style_id == scene_lib.STYLES.index('statue'),
    _STONE,
    scene.material_id,
  )


def of_worn(scene) -> Int[Array, '']:
  """Index into MATERIALS of the face and of what is worn."""
  return jnp.where(
    scene.style_id == scene_lib.STYLES.index('statue'), _STONE, 0
  )


def paints(
  rgb: Float[Array, 'n 3'], index: Int[Array, '']
) -> Float[Array, 'n 3']:
  """Paints as they look in a material."""
  m = Material(*[jnp.asarray(column)[index] for column in _TABLE])
  grey = rgb @ jnp.asarray(_LUMINANCE)
  made = m.dark + (m.light - m.dark) * grey[:, None]
  return rgb + m.hue * (made - rgb)


def surface(
  rows: Float[Array, 'n columns'], index: Int[Array, '']
) -> Float[Array, 'n columns']:
  """Rows with the gloss, texture and opacity of a material."""
  m = Material(*[jnp.asarray(column)[index] for column in _TABLE])
  added = jnp.array([_C[name] for name in ('gloss', 'grain', 'rim', 'weave')])
  scaled = jnp.array([_C['alpha'], _C['fur']])
  return (
    rows.at[:, added].add(jnp.stack([m.gloss, m.grain, m.rim, m.weave]))
    .at[:, scaled].multiply(jnp.stack([m.alpha, m.fur]))
  )  # fmt: skip
