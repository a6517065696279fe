"""--mode=plan: what a run needs of a slice, before the slice is rented."""

import collections
import dataclasses
import functools
import itertools
import logging
import math
import pathlib
from collections.abc import Iterator

import jax

from dbflax import job, methods, sharding
from dbflax.plan import changes, compiled, hardware, quick, steps

_log = logging.getLogger(__name__)

# Of each kind of change, how many are compiled before it is given up.
_CONFIRMATIONS = 2


@dataclasses.dataclass(frozen=True)
class Place:
  """Where the run would be: so many devices, of a chip if it is a known one."""

  name: str
  size: int
  slice: hardware.Slice | None = None
  chip: hardware.Chip | None = None
  memory: float | None = None  # usable bytes of a device, if they are known


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
    return Place(found.name, found.size, found, found.chip, found.chip.hbm)
  first, *others = jax.devices()
  kind, size = first.device_kind, 1 + len(others)
  chip = {chip.kind: chip for chip in hardware.CHIPS.values()}.get(kind)
  # Of a GPU, what JAX's allocator may take; a CPU does not say.
  told = (first.memory_stats() or {}).get('bytes_limit')
  memory = chip.hbm if chip else told
  return Place(f'{size} x {kind}, here', size, chip=chip, memory=memory)


def make(config, folder: pathlib.Path) -> Plan:
  """The plan of a run; what is compiled for it is kept in `folder`.

  Raises:
    UserError: the topology, the cascade or what is to be trained is wrong, or
      the TPU compiler is missing.
  """
  place = place_of(config.plan.topology)
  if config.plan.compile and place.slice:
    compiled.check()
  config, notes = _fitted(config, place.size)
  rows = [_row(config, place, step, folder) for step in steps_of(config)]
  limit = place.memory and place.memory * (1 - config.plan.headroom)
  mesh = dict(_meshes(config)[0].shape)
  plan = Plan(
    config.name, place, mesh, rows, limit, config.plan.efficiency, notes
  )
  notes += _batches(config, plan)
  notes += _remedies(config, plan, folder)
  return plan


def _row(config, place: Place, step: steps.Step, folder) -> quick.Row:
  measured = _measured(config, step, folder)
  return quick.row(step, place.chip, config.plan.efficiency, measured)


def _meshes(config):
  """The mesh of the U-Nets, and that of the text encoder.

  Abstract, unless programs are to be compiled for the devices that are here.
  """
  place, mesh = place_of(config.plan.topology), config.mesh
  if config.plan.compile and not place.slice:
    make = sharding.make_mesh
  else:
    make = functools.partial(sharding.abstract_mesh, place.size)
  return make(mesh.data, mesh.fsdp), make(1, place.size)


def steps_of(config, meshes=None) -> Iterator[steps.Step]:
  """The steps of a run; `meshes` are those of the config if not given."""
  model = job.open_cascade(config, config.cascade.stages, weights=False)
  return steps.of_run(config, model, *(meshes or _meshes(config)))


def step_of(config, name: str, meshes=None) -> steps.Step:
  return next(s for s in steps_of(config, meshes) if s.name == name)


def _measured(config, step: steps.Step, folder) -> quick.Measured:
  """What compiling a step tells; nothing if that is not asked for."""
  if not config.plan.compile:
    return {}
  _log.info('plan: compiling %s', step.name)
  place = place_of(config.plan.topology)
  if place.slice:
    return compiled.elsewhere(config, step.name, folder)
  return compiled.measure(step, folder, place.name, {})


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
    for name in methods.trained(config)
    if config[name].batch % size
  ]


def _remedies(config, plan: Plan, folder) -> list[str]:
  """What makes steps fit that do not; one line for all that it helps."""
  names = collections.defaultdict(list)
  for row in plan.rows:
    if not plan.fits(row):
      names[_remedy(config, plan, row, folder)].append(row.name)
  return [
    f'to make {" and ".join(fixed)} fit: {remedy}'
    for remedy, fixed in names.items()
  ]


def _remedy(config, plan: Plan, row: quick.Row, folder) -> str:
  """What makes a step fit that does not."""
  place, grown = plan.place, _grown(config, row)
  here = lambda tried: (
    (place.name, change) for change in tried(config, row.name, place.size)
  )
  first = lambda tried: _first(config, plan, row, folder, grown, tried)
  if found := first(here(changes.harmless)):
    return found
  options = [first(here(changes.other_training))]
  if place.slice:
    options.append(first(changes.larger_slices(config, place.slice)))
  return ', or '.join(filter(None, options)) or (
    'nothing that was tried is enough'
  )


def _first(config, plan, row, folder, grown: float, tried) -> str:
  """The first of (slice, change) with which a step fits, as it is typed.

  All are tried by the quick estimate; where plans are compiled, so are the
  first that fit by it, until one does.
  """
  fitting = (
    (name, change, changed)
    for name, change in tried
    for changed in [_changed(config, change | _topology(plan, name))]
    if _may_fit(changed, plan, row.name, grown)
  )
  for name, change, changed in itertools.islice(fitting, _CONFIRMATIONS):
    if not config.plan.compile or _fits(changed, plan, row.name, folder):
      return f'{changes.flags(change)} on {name}'
  return ''


def _topology(plan: Plan, name: str) -> changes.Change:
  return {'plan.topology': name} if plan.place.slice else {}


def _grown(config, row: quick.Row) -> float:
  """Ratio of the measured working memory of a step to the estimated one."""
  if not row.measured:
    return 1.0
  chip = place_of(config.plan.topology).chip
  estimate = quick.working(step_of(config, row.name), {}, chip)
  return row.working / estimate if estimate else 1.0


def _may_fit(config, plan: Plan, name: str, grown: float) -> bool:
  """Whether a step would fit by the estimate; traced only if it may."""
  step = step_of(config, name)
  resident = sum(step.resident.values())
  if resident > plan.limit:
    return False
  working = quick.working(step, {}, plan.place.chip)
  return resident + grown * working <= plan.limit


def _fits(config, plan: Plan, name: str, folder) -> bool:
  """Whether a step does fit, as compiled."""
  place, step = place_of(config.plan.topology), step_of(config, name)
  return plan.fits(_row(config, place, step, folder))
