"""Truths of the event files: what is in them, and that a resume is exact."""

import struct

import jax.numpy as jnp
import pytest
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2

from dbflax import disk
from dbflax.train import events, loop


def read(path):
  """The events of a file, with their checksums checked."""
  content, found = path.read_bytes(), []
  while content:
    header, (length, check) = content[:8], struct.unpack('<QI', content[:12])
    body = content[12 : 12 + length]
    assert check == record_writer.masked_crc32c(header)
    [check] = struct.unpack('<I', content[12 + length : 16 + length])
    assert check == record_writer.masked_crc32c(body)
    found.append(event_pb2.Event.FromString(body))
    content = content[16 + length :]
  return found


def scalars(path):
  """[(step, {metric: value}), …]; the first event says the version."""
  first, *rest = read(path)
  assert first.file_version == 'brain.Event:2'
  as_dict = lambda e: {v.tag: v.simple_value for v in e.summary.value}
  return [(event.step, as_dict(event)) for event in rest]


def log(folder, steps, start=0, crash=False):
  """What a training from `start` to `steps` leaves."""
  try:
    with loop.MetricsLog(folder / 'metrics.jsonl', 'stage_1', start) as lines:
      for n in range(start, steps):
        lines.add(n, {'loss': jnp.float32(1 / (n + 1)), 'norm': jnp.float32(n)})
      if crash:
        raise KeyboardInterrupt
  except KeyboardInterrupt:
    pass
  return folder / events.NAME


def test_it_holds_what_the_log_holds(tmp_path):
  found = scalars(log(tmp_path, 12))
  lines = disk.read_log(tmp_path / 'metrics.jsonl')
  assert len(found) == len(lines) == 12
  for (step, values), line in zip(found, lines, strict=True):
    assert step == line.pop('step')
    assert values == pytest.approx(line, rel=1e-7)


def test_a_resumed_training_leaves_the_same_bytes(tmp_path):
  whole = log(tmp_path / 'whole', 15).read_bytes()
  resumed = log(tmp_path / 'killed', 13, crash=True)
  with resumed.open('ab') as file:  # Half a record, as a kill leaves it.
    file.write(whole[-30:-5])
  # The checkpoint was of step 7: what came after is forgotten.
  assert log(tmp_path / 'killed', 15, start=7).read_bytes() == whole


def test_the_bar_says_how_many_images_a_second():
  class Bar:
    format_dict = {'rate': 2.5}

  assert loop._speed(Bar, 4) == '10 images/s '
  assert loop._speed(Bar, 0) == ''
  Bar.format_dict = {'rate': None}
  assert loop._speed(Bar, 4) == ''
