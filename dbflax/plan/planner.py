"""--mode=plan: what a run needs of a slice, before the slice is rented."""

import dataclasses
import math
from collections.abc import Iterator

import jax

from dbflax import job, sharding
from dbflax.plan import changes, hardware, quick, steps


@dataclasses.dataclass(frozen=True)
class Place:
  """Where the run would be: so many devices, of a chip if it is a known one."""

  name: str
  size: int
  slice: hardware.Slice | None = None
  chip: hardware.Chip | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
  """All that is known of a run. See `quick.Row` for the units."""

  name: str
  place: Place
  mesh: dict[str, int]
  rows: list[quick.Row]
  limit: float | None  # usable bytes of a device, less the headroom
  efficiency: float
  notes: list[str]

  def fits(self, row) -> bool:
    return self.limit is None or row.bytes <= self.limit

  def seconds(self, kind: str) -> float | None:
    """Of the whole run; `kind` is 'least' or 'likely'."""
    if self.place.chip is None:
      return None
    return sum(row.count * getattr(row, kind) for row in self.rows)


def place_of(topology: str) -> Place:
  """The slice named, or for '' the devices of this process."""
  if topology:
    found = hardware.parse(topology)
    return Place(found.name, found.size, found, found.chip)
  devices = jax.devices()
  kind = devices[0].device_kind
  chip = {chip.kind: chip for chip in hardware.CHIPS.values()}.get(kind)
  return Place(f'{len(devices)} x {kind}, here', len(devices), chip=chip)


def make(config) -> Plan:
  """The quick plan of a run.

  Raises:
    UserError: the topology, the cascade or what is to be trained is wrong.
  """
  place = place_of(config.plan.topology)
  config, notes = _fitted(config, place.size)
  chip, efficiency = place.chip, config.plan.efficiency
  rows = [quick.row(s, chip, efficiency) for s in steps_of(config, place.size)]
  mesh = dict(_mesh(config, place.size).shape)
  limit = chip and chip.hbm * (1 - config.plan.headroom)
  plan = Plan(config.name, place, mesh, rows, limit, efficiency, notes)
  notes += _batches(config, plan)
  notes += [_remedy(config, plan, r) for r in rows if not plan.fits(r)]
  return plan


def _mesh(config, size: int):
  return sharding.abstract_mesh(size, config.mesh.data, config.mesh.fsdp)


def steps_of(config, size: int) -> Iterator[steps.Step]:
  """The steps of a run on `size` devices, none of which has to be there."""
  model = job.open_cascade(config, config.cascade.stages, weights=False)
  flat = sharding.abstract_mesh(size, 1, size)
  return steps.of_run(config, model, _mesh(config, size), flat)


def _fitted(config, size: int):
  """(config, what was changed): a mesh that the devices can make."""
  fsdp = math.gcd(config.mesh.fsdp, size)
  if config.mesh.data in (-1, size // fsdp) and fsdp == config.mesh.fsdp:
    return config, []
  config = _changed(config, {'mesh.data': -1, 'mesh.fsdp': fsdp})
  return config, [
    f'{size} devices do not make this mesh; planned with '
    f'--config.mesh.data=-1 --config.mesh.fsdp={fsdp}'
  ]


def _changed(config, change: changes.Change):
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict(change)
  return config


def _batches(config, plan: Plan) -> list[str]:
  """Batches that leave devices idle."""
  size = plan.place.size
  return [
    f'{name}.batch={config[name].batch} is not a multiple of {size} devices, '
    'so each of them has all of it'
    for name in config.cascade.stages
    if config[name].train and config[name].batch % size
  ]


def _remedy(config, plan: Plan, row: quick.Row) -> str:
  """What makes a step fit that does not, in a line."""
  place = plan.place
  found = [
    _first(config, plan, row, place.size, candidates)
    for candidates in (
      changes.harmless(config, row.name, place.size),
      changes.other_training(config, row.name, place.size),
    )
  ]
  options = [f'{text} on {place.name}' for text in found if text][:1]
  if not found[0] and place.slice:
    options += _larger(config, plan, row)
  advice = ', or '.join(options) or 'nothing that was tried makes it fit'
  return f'{row.name} does not fit: {advice}'


def _first(config, plan, row, size: int, candidates) -> str:
  """The first of the candidates with which a step fits, as flags."""
  for change in candidates:
    if _fits(_changed(config, change), plan, row.name, size):
      return changes.flags(change)
  return ''


def _larger(config, plan: Plan, row: quick.Row) -> list[str]:
  for larger, change in changes.larger_slices(config, plan.place.slice):
    if _fits(_changed(config, change), plan, row.name, larger.size):
      return [f'{changes.flags(change)} on {larger.name}']
  return []


def _fits(config, plan: Plan, name: str, size: int) -> bool:
  """Whether a step would fit with this config; traced only if it may."""
  step = next(s for s in steps_of(config, size) if s.name == name)
  resident = sum(step.resident.values())
  return resident <= plan.limit and (
    resident + quick.working(step) <= plan.limit
  )
