"""Truths of the table of chips and of the names of slices."""

import pytest

from dbflax import errors
from dbflax.plan import hardware


def test_a_slice_has_as_many_chips_as_its_shape_says():
  sizes = {
    'v4:2x2x1': 4,
    'v4:2x2x2': 8,
    'v5e:1x1': 1,
    'v5e:4x4': 16,
    'v5p:2x2x1': 4,
    'v6e:2x2': 4,
  }
  for name, size in sizes.items():
    found = hardware.parse(name)
    assert (found.name, found.size) == (name, size)


@pytest.mark.parametrize(
  ('topology', 'message'),
  [
    ('v4', "v4 has no slices of shape ''; known: 2x2x1, 2x2x2"),
    ('v4:2x2', "no slices of shape '2x2'; known: 2x2x1"),
    ('v5e:3x3', "no slices of shape '3x3'; known: 1x1, 2x2, 2x4"),
    ('h100:8', "no TPU 'h100' is known; .* v4:2x2x1, v5e:1x1"),
  ],
)
def test_a_bad_topology_is_told_the_known_ones_in_a_line(topology, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    hardware.parse(topology)
  assert '\n' not in str(caught.value)


def test_slices_grow():
  for chip in hardware.CHIPS.values():
    sizes = [hardware.parse(f'{chip.name}:{s}').size for s in chip.shapes]
    assert sizes == sorted(set(sizes))
    smallest = hardware.parse(f'{chip.name}:{chip.shapes[0]}')
    assert [s.size for s in smallest.larger()] == sizes[1:]


def test_every_host_of_a_slice_is_whole():
  for chip in hardware.CHIPS.values():
    for shape in chip.shapes:
      found = hardware.parse(f'{chip.name}:{shape}')
      sides = (*found.shape, 1)[:3]
      for side, bound in zip(sides, found.host_bounds, strict=True):
        assert side % bound == 0, found.name
