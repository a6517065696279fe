"""Runs a command, and writes down how it ended.

  python -m dbflax.serve.watch FOLDER COMMAND …

It belongs to no page, so the command's end is known whatever becomes of the
page. A signal to stop is handed on.
"""

import pathlib
import signal
import subprocess
import sys

from dbflax import disk


def main(folder: str, *command: str) -> int:
  """Returns the command's exit code, as a shell would report it."""
  process, early = None, []

  def hand_on(number, frame):
    del frame
    if process is None:
      early.append(number)
    else:
      process.send_signal(number)

  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, hand_on)
  process = subprocess.Popen(command)
  for number in early:
    process.send_signal(number)
  code = process.wait()
  code = 128 - code if code < 0 else code
  disk.write_json(pathlib.Path(folder) / 'exit.json', {'code': code})
  return code


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
