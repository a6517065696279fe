"""What a step needs, from shapes alone: seconds to know, nothing compiled.

Roofline (Williams et al., 2009): a program takes at least

    max(FLOPs / devices / peak, bytes read / HBM bandwidth)

`efficiency` is the share of the peak that is assumed to be reached. Time on the
interconnect, compiling, reading weights and the host's work are left out.
"""

import dataclasses

from dbflax.plan import flops, hardware, memory, steps


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the plan.

  flops: of one step, over all devices. resident: kind of bytes → how many lie
  on a device. working: estimate of the bytes that the programs take besides.
  least, likely: seconds of one step at the peak and at the efficiency assumed;
  None where no rates are known.
  """

  name: str
  count: int
  flops: float
  resident: dict[str, int]
  working: int
  least: float | None
  likely: float | None

  @property
  def bytes(self) -> int:
    return sum(self.resident.values()) + self.working


def row(step: steps.Step, chip: hardware.Chip | None, efficiency: float) -> Row:
  """Traces the step's programs."""
  work = {p.name: _flops(p) for p in step.programs}
  least = likely = None
  if chip:
    time = lambda share: sum(
      p.calls * _seconds(p, work[p.name], chip, share) for p in step.programs
    )
    least, likely = time(1.0), time(efficiency)
  return Row(
    step.name,
    step.count,
    sum(p.calls * work[p.name] for p in step.programs),
    step.resident,
    working(step),
    least,
    likely,
  )


def working(step: steps.Step) -> int:
  """Estimated bytes of what programs make and drop again, on one device."""
  return max(
    memory.working(p.traced.jaxpr, p.batch, p.share, step.fsdp)
    for p in step.programs
    if p.batch
  )


def _flops(program: steps.Program) -> float:
  return flops.count(program.traced.jaxpr) if program.batch else 0.0


def _seconds(program, work: float, chip, efficiency: float) -> float:
  """Of one call."""
  moved = program.passes * memory.per_device(program.args)
  compute = work / program.share / (chip.peak * efficiency)
  return max(compute, moved / chip.hbm_rate)
