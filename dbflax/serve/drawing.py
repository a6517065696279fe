"""The other end of --mode=draw: a process that has the model loaded.

It is not the page's own, so that a run, which comes after it, finds the
accelerator free, and so that the page survives whatever happens there.
"""

import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence

from dbflax import draw, errors
from dbflax.serve import jobs

_PATIENCE = 10  # seconds to end by itself


class Model:
  """Draws prompts; the process starts with the first one, and then stays."""

  def __init__(self, folder: pathlib.Path):
    """`folder` is where the process's log goes."""
    self._folder = folder
    self._process, self._command = None, None
    self._mutex = threading.Lock()

  def draw(
    self, command: Sequence[str], template: str, others: int = 0
  ) -> pathlib.Path:
    """Draws a prompt, and returns the folder of its pictures.

    Args:
      command: the run's, in --mode=draw.
      template: as in `sample.prompts`.
      others: how many subjects the run has besides the first.

    Raises:
      UserError: it cannot be drawn.
    """
    template = ' '.join(template.split())  # A line is a prompt.
    if not template:
      raise errors.UserError('no prompt; type what to draw')
    draw.check(template, others)
    with self._mutex:
      self._start(command)
      return self._ask(template)

  def _start(self, command: Sequence[str]) -> None:
    """The process of this command, if it is not there already."""
    alive = self._process and self._process.poll() is None
    if alive and self._command == command:
      return
    self._end()
    with jobs.open_log(self._folder) as log:
      self._process = subprocess.Popen(
        [sys.executable, *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
      )
    self._command = command

  def _ask(self, template: str) -> pathlib.Path:
    try:
      self._process.stdin.write(f'{template}\n')
      self._process.stdin.flush()
    except BrokenPipeError:
      raise self._ended() from None
    # Other lines are the run's, such as what it says of the class noun.
    for line in self._process.stdout:
      if line.startswith(draw.DRAWN):
        return pathlib.Path(line.removeprefix(draw.DRAWN).strip())
      if line.startswith(draw.FAILED):
        raise errors.UserError(line.removeprefix(draw.FAILED).strip())
    raise self._ended()

  def _ended(self) -> errors.UserError:
    code = self._process.wait()
    return errors.UserError(jobs.reason(jobs.read_log(self._folder), code))

  def close(self) -> None:
    """Ends the process: at once if it is drawing, as nobody waits for it."""
    process = self._process
    if process and process.poll() is None and self._mutex.locked():
      process.terminate()
    with self._mutex:
      self._end()

  def _end(self) -> None:
    if self._process is None:
      return
    # It goes at the end of its input.
    self._process.stdin.close()
    try:
      self._process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    self._process.stdout.close()
    self._process = None
