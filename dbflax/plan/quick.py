"""What a step needs, in numbers.

From shapes alone it takes seconds; `measured`, which `compiled` found out in
minutes, takes the place of what else is estimated. Roofline (Williams et al.,
2009): a program takes at least the longest of

    FLOPs / devices / peak,  bytes of memory / HBM bandwidth,
    bytes exchanged / interconnect (estimated: `exchange`)

as if they went on side by side. Bytes of memory are those of the arguments;
where a program is compiled, the likely time is by all that it reads and writes.
`efficiency` is the share of the peak that is assumed to be reached. Compiling,
reading weights and the host are left out.
"""

import dataclasses

from dbflax.plan import exchange, flops, hardware, memory, steps

Measured = dict[str, dict]  # program → what `compiled.measure` found


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the plan.

  flops: of one step, over all devices. resident: kind of bytes → how many lie
  on a device. working: bytes that the programs take besides, estimated where
  nothing is measured. least, likely: seconds of one step at the peak and at the
  efficiency assumed; None where no rates are known. sent: bytes that come to a
  device in one step, estimated where nothing is measured. exchanged: kind of
  collective → its 'count' and 'bytes' in one step, for one device.
  """

  name: str
  count: int
  flops: float
  resident: dict[str, int]
  working: int
  least: float | None
  likely: float | None
  sent: float = 0.0
  measured: Measured = dataclasses.field(default_factory=dict)
  exchanged: dict[str, dict] = dataclasses.field(default_factory=dict)

  @property
  def bytes(self) -> int:
    return sum(self.resident.values()) + self.working


def row(
  step: steps.Step,
  chip: hardware.Chip | None,
  efficiency: float,
  measured: Measured,
) -> Row:
  """Traces the step's programs; `measured` may be empty."""
  found = {p.name: measured.get(p.name, {}) for p in step.programs}
  work = {p.name: _flops(p) for p in step.programs}
  sent = {p.name: _sent(p, step.fsdp, found[p.name]) for p in step.programs}
  total = lambda of: sum(p.calls * of(p) for p in step.programs)
  least = likely = None
  if chip:
    time = lambda share, read: total(
      lambda p: _seconds(p, chip, work[p.name] / share, read(p), sent[p.name])
    )
    # All that a program reads and writes is no lower bound (`traffic`).
    least = time(1.0, lambda p: 0)
    likely = time(efficiency, lambda p: found[p.name].get('accessed', 0))
  return Row(
    step.name,
    step.count,
    total(lambda p: work[p.name]),
    step.resident,
    working(step, measured, chip),
    least,
    likely,
    total(lambda p: sent[p.name]),
    measured,
    _exchanged(step, measured),
  )


def working(
  step: steps.Step, measured: Measured, chip: hardware.Chip | None = None
) -> int:
  """Bytes on one device beside what is resident, when they are most.

  Estimated where nothing is measured: as TPUs pad, if there is a `chip`.
  """
  if not measured:
    tile = hardware.TILE if chip else (1, 1)
    return max(
      memory.working(p.traced.jaxpr, p.batch, p.share, step.fsdp, tile)
      for p in step.programs
      if p.batch
    )
  held = sum(step.resident.values())
  beside = lambda p: max(0, held - p.makes - memory.per_device(p.args))
  return max(beside(p) + measured[p.name]['peak'] for p in step.programs) - held


def _flops(program: steps.Program) -> float:
  return flops.count(program.traced.jaxpr) if program.batch else 0.0


def _seconds(program, chip, work: float, accessed: float, sent: float) -> float:
  """Of one call; its parameters are read in every pass."""
  moved = max(program.passes * memory.per_device(program.args), accessed)
  return max(
    work / program.share / chip.peak,
    moved / chip.hbm_rate,
    sent / chip.interconnect,
  )


def _sent(program: steps.Program, fsdp: int, found) -> float:
  """Bytes that come to a device in one call."""
  if found:
    # An all-reduce sends everything twice: sums in, results out.
    return sum(
      entry['bytes'] * (2 if kind == 'all-reduce' else 1)
      for kind, entry in found['collectives'].items()
    )
  if not program.batch:
    return 0.0
  replicas = program.share // fsdp
  return exchange.least(program.traced.jaxpr, program.batch, fsdp, replicas)


def _exchanged(step: steps.Step, measured: Measured) -> dict[str, dict]:
  total = {}
  for program in step.programs if measured else ():
    for kind, entry in measured[program.name]['collectives'].items():
      sums = total.setdefault(kind, {'count': 0, 'bytes': 0})
      for key in sums:
        sums[key] += program.calls * entry[key]
  return total
