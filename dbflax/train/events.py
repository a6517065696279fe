"""What was logged, for TensorBoard: `tensorboard --logdir runs/dog`.

The file is a function of the log's lines alone, so that a training that was
killed and resumed leaves the same bytes. Times are therefore not the clock's:
step n is n seconds after 1970.
"""

import pathlib
from collections.abc import Iterable, Mapping

# TensorBoard looks for the middle word.
NAME = 'events.out.tfevents.dbflax'
_VERSION = 'brain.Event:2'
_FLUSH_EVERY = 10  # steps; a flush waits for the disk


class Events:
  """An event file, begun anew with the lines that are known already."""

  def __init__(self, path: pathlib.Path, lines: Iterable[Mapping] = ()):
    """Writes the lines, {'step': n, metric: value, …} each, to `path`."""
    # It imports torch where that is installed, which takes a second.
    from tensorboardX import record_writer, summary
    from tensorboardX.proto import event_pb2

    self._event, self._scalar = event_pb2.Event, summary.scalar
    self._writer = record_writer.RecordWriter(str(path))
    self._write(self._event(wall_time=0, file_version=_VERSION))
    for line in lines:
      self.add(**line)

  def add(self, step: int, **values: float) -> None:
    """Appends the metrics of a step."""
    scalars = self._event(wall_time=step, step=step)
    for name, value in values.items():
      scalars.summary.MergeFrom(self._scalar(name, value))
    self._write(scalars)
    if step % _FLUSH_EVERY == 0:
      self._writer.flush()

  def _write(self, event) -> None:
    self._writer.write(event.SerializeToString(deterministic=True))

  def close(self) -> None:
    self._writer.close()
