"""A folder as a zip file that is made while it is sent: it takes no disk."""

import io
import pathlib
import zipfile
from collections.abc import Iterator

from dbflax import disk

_CHUNK = 1 << 20  # bytes


class _Pipe(io.RawIOBase):
  """Keeps what is written to it until it is taken."""

  def __init__(self):
    self._parts = []

  def writable(self) -> bool:
    return True

  def write(self, content) -> int:
    self._parts.append(bytes(content))
    return len(content)

  def take(self) -> bytes:
    taken = b''.join(self._parts)
    self._parts.clear()
    return taken


def chunks(folder: pathlib.Path, title: str) -> Iterator[bytes]:
  """The zip file of a step's folder, without the books that dbflax keeps.

  Everything lies in a folder `title`. Nothing is compressed: weights cannot be.
  """
  pipe = _Pipe()
  with zipfile.ZipFile(pipe, 'w') as archive:
    for name in disk.files(folder):
      if name in (disk.MANIFEST, disk.STARTED):
        continue
      entry = zipfile.ZipInfo.from_file(folder / name, f'{title}/{name}')
      with (
        disk.open_file(folder / name) as source,
        archive.open(entry, 'w', force_zip64=True) as target,
      ):
        while part := source.read(_CHUNK):
          target.write(part)
          yield pipe.take()
  yield pipe.take()
