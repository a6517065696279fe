"""What TPU chips can do, and the slices of them that can be rented.

Peak rates and HBM bandwidth are those of Google's pages on each generation,
cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e} (read in 2026). The interconnect is
one way, all links of a chip together: half of the 400, 1200 and 800 GB/s that
these pages give both ways for v5e, v5p and v6e; v4's is 6 links of 50 GB/s
(Jouppi et al., arXiv 2304.01433, table 4). A small slice does not use all the
links, so times made of it are lower bounds. The usable HBM is the limit that
the TPU compiler itself checks programs against, measured with libtpu 0.0.42.
"""

import dataclasses
import math

from dbflax import errors

GIB = 2**30
# The last two dimensions of an array lie in tiles of 8 x 128 numbers of four
# bytes each, or of 16 x 128 of two. The compiler may choose which dimensions
# are last, so what is padded is an estimate.
TILE = (8, 128)


@dataclasses.dataclass(frozen=True)
class Chip:
  """One chip, which JAX sees as one device (v4 and v5p: by 'megacore').

  peak: bf16 FLOP/s, also of float32 at JAX's default precision.
  hbm: usable bytes; hbm_rate, interconnect: bytes/s.
  """

  name: str
  peak: float
  hbm: float
  hbm_rate: float
  interconnect: float
  kind: str  # JAX's `device_kind`
  shapes: tuple[str, ...]  # of the slices that are offered
  megacore: bool = False


_CUBES = ('2x2x1', '2x2x2', '2x2x4', '2x4x4', '4x4x4', '4x4x8', '4x8x8')
_SQUARES = ('1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16')

CHIPS = {
  chip.name: chip
  for chip in (
    Chip(
      'v4', 275e12, 30.75 * GIB, 1.2e12, 300e9, 'TPU v4', _CUBES, megacore=True
    ),
    Chip('v5e', 197e12, 15.75 * GIB, 819e9, 200e9, 'TPU v5 lite', _SQUARES),
    Chip(
      'v5p', 459e12, 95.73 * GIB, 2765e9, 600e9, 'TPU v5', _CUBES, megacore=True
    ),
    Chip('v6e', 918e12, 31.24 * GIB, 1638e9, 400e9, 'TPU v6 lite', _SQUARES),
  )
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """Some chips of one generation, such as v4:2x2x1."""

  chip: Chip
  shape: tuple[int, ...]

  @property
  def size(self) -> int:
    """How many chips."""
    return math.prod(self.shape)

  @property
  def name(self) -> str:
    return f'{self.chip.name}:{"x".join(map(str, self.shape))}'

  @property
  def host_bounds(self) -> tuple[int, int, int]:
    """Chips that share a host, as the TPU compiler wants to know them."""
    if self.size == 1:
      return (1, 1, 1)
    return (2, 4, 1) if self.shape == (2, 4) else (2, 2, 1)

  def larger(self) -> list['Slice']:
    """Slices of the same chip that have more of them, the smallest first."""
    names = [f'{self.chip.name}:{shape}' for shape in self.chip.shapes]
    return [s for s in map(parse, names) if s.size > self.size]


def parse(topology: str) -> Slice:
  """The slice that `plan.topology` names.

  Raises:
    UserError: no such generation or shape.
  """
  name, _, shape = topology.partition(':')
  if name not in CHIPS:
    known = ', '.join(f'{c.name}:{c.shapes[0]}' for c in CHIPS.values())
    raise errors.UserError(
      f'plan.topology={topology!r}: no TPU {name!r} is known; it is a '
      f'generation and a shape, such as {known}.'
    )
  chip = CHIPS[name]
  if shape not in chip.shapes:
    raise errors.UserError(
      f'plan.topology={topology!r}: {name} has no slices of shape {shape!r}; '
      f'known: {", ".join(chip.shapes)}.'
    )
  return Slice(chip, tuple(map(int, shape.split('x'))))
