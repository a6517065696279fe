"""One case from the first process to the ratios."""

from collections.abc import Callable, Sequence

from benchmarks import hardware, sides, timing
from benchmarks import spec as spec_lib

# Their first results are the same numbers; samplers draw noise of their own.
_COMPARABLE = ('train', 'text')


class Measurement:
  """The sides of a case, and what is known of them."""

  def __init__(
    self,
    spec: spec_lib.Spec,
    cache: str,
    timeout: float,
    peak: float | None,
    result: dict,
    save: Callable[[], None],
  ):
    """`result` gets what is found, and save() is called after each finding.

    `timeout` is what a side may take for one answer, in seconds; `peak` the
    device's FLOP/s, or None where the table shall say.
    """
    self._spec, self._cache, self._timeout = spec, cache, timeout
    self._peak, self._result, self._save = peak, result, save
    self._found, self._running = {}, {}

  def run(
    self, names: Sequence[str], repetitions: int, calls: int | None
  ) -> None:
    """Starts the sides in turn, measures them in turn, and ends them."""
    try:
      for name in names:
        self._attempt(name, self._start)
      for name in list(self._running):
        self._attempt(name, self._warm_up)
      calls = calls or self._calls()
      for name in timing.order(list(self._running), repetitions):
        self._attempt(name, lambda side: self._repeat(side, calls))
    finally:
      for side in self._running.values():
        side.end()
    self._check()

  def _attempt(self, name: str, ask: Callable[[str], dict]) -> None:
    """Notes what ask(name) says; a side that fails is out."""
    found = self._found.setdefault(name, {})
    if 'failed' in found:
      return
    try:
      values = ask(name)
    except sides.Failed as error:
      values = {'failed': str(error)}
      self._running.pop(name).end()
    found |= values
    print(f'  {name}: {_short(values)}', flush=True)
    self._note()

  def _note(self) -> None:
    peak = self._peak or hardware.PEAKS.get(self._device())
    self._result['sides'] = timing.summarise(self._found, peak)
    self._save()

  def _device(self) -> str:
    """JAX's name of it, once our side has said it."""
    return self._found.get(timing.OURS, {}).get('device', '')

  def _start(self, name: str) -> dict:
    """Twice: what is measured has its programs from the folder, as training.

    In a run on a CPU they are another process's (`dbflax.compiler`); what
    compiling leaves of a heap would slow every step.
    """
    first = self._come_up(name)
    self._running.pop(name).end()
    return {**first, 'again_s': self._come_up(name)['first_s']}

  def _come_up(self, name: str) -> dict:
    self._running[name] = sides.Side(name, self._spec, self._cache)
    return self._running[name].answer(self._timeout)

  def _warm_up(self, name: str) -> dict:
    return {'warm_s': self._running[name].run(1, self._timeout)['seconds']}

  def _calls(self) -> int:
    """The same number of all, by the slowest."""
    warm = [self._found[name]['warm_s'] for name in self._running]
    return timing.calls(max(warm, default=1))

  def _repeat(self, name: str, calls: int) -> dict:
    answer = self._running[name].run(calls, self._timeout)
    seconds = [*self._found[name].get('seconds', []), answer['seconds']]
    return {**answer, 'seconds': seconds, 'calls': calls}

  def _check(self) -> None:
    """Notes whether the sides compute the same."""
    if self._spec.kind not in _COMPARABLE:
      return
    off = timing.disagreement(self._found)
    if off is not None:
      agree = off <= timing.TOLERANCE[self._spec.dtype]
      self._result |= {'disagreement': off, 'agree': agree}
      self._save()


def _short(values: dict) -> str:
  form = lambda v: f'{v:.4g}' if isinstance(v, float) else str(v)
  last = lambda v: v[-1] if isinstance(v, list) else v
  return ', '.join(f'{k} {form(last(v))}' for k, v in values.items())
