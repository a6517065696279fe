"""What a step needs, in numbers.

From shapes alone it takes seconds; `measured`, which `compiled` found out in
minutes, takes the place of what else is estimated. Roofline (Williams et al.,
2009): a program takes at least the longest of

    FLOPs / devices / peak,  bytes of memory / HBM bandwidth,
    bytes exchanged / interconnect (estimated: `exchange`)

as if they went on side by side. Bytes of memory are those of the arguments;
where they are measured, the likely time is by all that the compiler counts.
`efficiency` is the share of the peak that is assumed to be reached. Compiling,
reading weights and the host are left out.
"""

import collections
import dataclasses

from dbflax.plan import flops, hardware, memory, steps

Measured = dict[str, dict]  # program → what `compiled.measure` found


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the plan.

  flops: of one step, over all devices. resident: kind of bytes → how many lie
  on a device. working: bytes that the programs take besides, estimated where
  nothing is measured. least, likely: seconds of one step at the peak and at the
  efficiency assumed; None where no rates are known. exchanged: kind of
  collective → its 'bytes' in one step, for one device, and if measured its
  'count'.
  """

  name: str
  count: int
  flops: float
  resident: dict[str, int]
  working: int
  least: float | None
  likely: float | None
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
  work = {p.name: _flops(p) for p in step.programs}
  least = likely = None
  if chip:
    time = lambda share, found: sum(
      p.calls * _seconds(p, work[p.name], chip, share, found.get(p.name, {}))
      for p in step.programs
    )
    # What the compiler counts as accessed is no lower bound.
    bare = {name: {**found, 'accessed': 0} for name, found in measured.items()}
    least, likely = time(1.0, bare), time(efficiency, measured)
  return Row(
    step.name,
    step.count,
    sum(p.calls * work[p.name] for p in step.programs),
    step.resident,
    working(step, measured),
    least,
    likely,
    measured,
    _exchanged(step, measured),
  )


def working(step: steps.Step, measured: Measured) -> int:
  """Bytes on one device beside what is resident, when they are most."""
  if not measured:
    return max(
      memory.working(p.traced.jaxpr, p.batch, p.share, step.fsdp)
      for p in step.programs
      if p.batch
    )
  held = sum(step.resident.values())
  beside = lambda p: max(0, held - p.makes - memory.per_device(p.args))
  return max(beside(p) + measured[p.name]['peak'] for p in step.programs) - held


def _flops(program: steps.Program) -> float:
  return flops.count(program.traced.jaxpr) if program.batch else 0.0


def _seconds(program, work: float, chip, efficiency: float, found) -> float:
  """Of one call."""
  moved = max(memory.per_device(program.args), found.get('accessed', 0))
  return max(
    work / program.share / (chip.peak * efficiency),
    program.passes * moved / chip.hbm_rate,
    sending(found.get('collectives', program.exchanged), chip),
  )


def sending(exchanged: dict[str, dict], chip: hardware.Chip) -> float:
  """Seconds that collectives take, at the least."""
  # An all-reduce sends everything twice: sums in, results out.
  sent = sum(
    entry['bytes'] * (2 if kind == 'all-reduce' else 1)
    for kind, entry in exchanged.items()
  )
  return sent / chip.interconnect


def _exchanged(step: steps.Step, measured: Measured) -> dict[str, dict]:
  total = {}
  for program in step.programs:
    found = measured.get(program.name, {})
    entries = found.get('collectives', program.exchanged)
    for kind, entry in entries.items():
      sums = total.setdefault(kind, collections.Counter())
      sums.update({key: program.calls * n for key, n in entry.items()})
  return {kind: dict(sums) for kind, sums in total.items()}
