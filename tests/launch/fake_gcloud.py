"""Stands in for gcloud: a disk, a request and a VM that are files.

$CLOUD is the folder that holds them:
  calls.jsonl    the arguments of every call that changes something
  request, disk  the state of the request; whether the disk is there
  queue          states that the next looks at the request find, one a line
  runs           how the next runs end, one a line: exit code, state of the
                 request after it, and LOST if the VM is so without that;
                 without this file, commands are really run in vm/, the home of
                 the VM, by the programs in vm_bin/
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

CLOUD = pathlib.Path(os.environ['CLOUD'])
REQUEST = CLOUD / 'request'
DISK = CLOUD / 'disk'
VM = CLOUD / 'vm'
LOST = VM / 'lost'


def pop(name):
  """The first line of a file, which it then lacks; '' if there is none."""
  path = CLOUD / name
  lines = path.read_text().splitlines() if path.exists() else []
  if lines:
    path.write_text('\n'.join(lines[1:]))
  return lines[0] if lines else ''


def describe(kind):
  if kind == 'disks':
    return 0 if DISK.exists() else 1
  if not REQUEST.exists():
    return 1
  state = pop('queue') or REQUEST.read_text()
  REQUEST.write_text(state)
  lost = state != 'ACTIVE' or LOST.exists()
  vm = 'PREEMPTED' if lost else 'READY'
  print(state if kind == 'queued-resources' else vm)
  return 0


def create(kind):
  path = DISK if kind == 'disks' else REQUEST
  if path.exists():
    return 1
  if kind == 'disks':
    DISK.mkdir()
  else:
    VM.mkdir()
    REQUEST.write_text('ACTIVE')
  return 0


def delete(kind):
  if kind == 'disks':
    DISK.rmdir()
  else:
    REQUEST.unlink()
    shutil.rmtree(VM)
  return 0


def scp(source, target):
  if target.endswith(':dbflax.tar.gz'):
    shutil.copy(source, VM / 'dbflax.tar.gz')
  return 0


def ssh(command):
  if not (CLOUD / 'runs').exists():
    path = f'{CLOUD / "vm_bin"}:{os.environ["PATH"]}'
    env = {**os.environ, 'HOME': str(VM), 'PATH': path}
    return subprocess.run(['bash', '-c', command], cwd=VM, env=env).returncode
  if 'local.sh run' not in command:
    return 0
  code, state, *lost = pop('runs').split()
  REQUEST.write_text(state)
  if lost:
    LOST.touch()
  return int(code)


def main(arguments):
  words = [word for word in arguments if not word.startswith('-')]
  options = dict(
    word.split('=', 1)
    for word in arguments
    if word.startswith('--') and '=' in word
  )
  kind, verb, *names = words[words[1] == 'tpus' and 2 or 1 :]
  if verb == 'describe':
    return describe(kind)
  with (CLOUD / 'calls.jsonl').open('a') as file:
    file.write(json.dumps(['gcloud', *arguments]) + '\n')
  if verb in ('create', 'delete'):
    return {'create': create, 'delete': delete}[verb](kind)
  return scp(*names) if verb == 'scp' else ssh(options['--command'])


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
