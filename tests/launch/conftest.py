"""A cloud and a VM made of files, for launch/*.sh."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='session')
def program():
  """program(path, text) makes a program of bash there."""

  def make(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/usr/bin/env bash\n{text}\n')
    path.chmod(0o755)

  return make


@pytest.fixture
def checkout(tmp_path):
  """A small checkout: the scripts, a config and a photo that git knows not."""
  checkout = tmp_path / 'checkout'
  shutil.copytree(ROOT / 'launch', checkout / 'launch')
  for path in ('configs/dog.py', 'photos/rex/0.jpg', 'ignored'):
    (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout / path).touch()
  (checkout / '.gitignore').write_text('ignored\nruns/\n')
  subprocess.run(['git', 'init', '-q'], cwd=checkout, check=True)
  return checkout


@pytest.fixture
def cloud(tmp_path, program):
  """The folder of tests/launch/fake_gcloud.py, empty."""
  fake = ROOT / 'tests/launch/fake_gcloud.py'
  command = shlex.join([sys.executable, '-I', '-S', str(fake)])
  program(tmp_path / 'bin/gcloud', f'exec {command} "$@"')
  (tmp_path / 'cloud').mkdir()
  return tmp_path / 'cloud'


@pytest.fixture
def launch(checkout, cloud):
  """launch(script, *arguments, **environment) → the finished process."""

  def run(script, *arguments, **environment):
    env = {
      'PATH': f'{cloud.parent / "bin"}:{os.environ["PATH"]}',
      'HOME': str(cloud.parent / 'home'),
      'CLOUD': str(cloud),
      'TMPDIR': str(cloud.parent),
      **environment,
    }
    command = [str(checkout / 'launch' / script), *arguments]
    return subprocess.run(
      command, capture_output=True, text=True, env=env, timeout=60
    )

  return run


@pytest.fixture
def dry_run(launch):
  """dry_run(script, *arguments) → the commands printed, as lists of words."""

  def run(script, action, *arguments, **environment):
    done = launch(script, action, '--dry_run', *arguments, **environment)
    assert done.returncode == 0, done.stderr
    subprocess.run(['bash', '-n'], input=done.stdout, text=True, check=True)
    lines = done.stdout.splitlines()
    return [shlex.split(line) for line in lines if not line.startswith('#')]

  return run


@pytest.fixture
def vm(cloud, program):
  """Programs of a VM whose disk is `cloud`/disk; what is in them is counted."""
  bin = cloud / 'vm_bin'
  program(bin / 'sudo', 'exec "$@"')
  program(bin / 'lsblk', '')
  program(bin / 'blkid', f'[[ -e {cloud}/formatted ]] || exit 2')
  program(bin / 'mkfs.ext4', f'echo x >> {cloud}/formatted')
  program(bin / 'mountpoint', '[[ -L $2 ]]')
  # After the name of the device, the folder.
  program(bin / 'mount', f'rmdir "$4" && ln -s {cloud}/disk "$4"')
  program(bin / 'chown', '')
  if not shutil.which('flock'):  # macOS
    program(bin / 'flock', '')
  copied = f'mkdir -p .venv/bin && cp {bin}/python .venv/bin'
  program(bin / 'uv', f'[[ $1 == pip ]] || {{ {copied}; }}')
  # dbflax, of which two runs are lost with the VM and the third finishes.
  program(
    bin / 'python',
    f"""[[ $1 == -m ]] || exit 0
    [[ -e photos/rex/0.jpg && ! -e ignored ]] || exit 3
    printf '%s\\n' "${{@:3}}" > {cloud}/flags
    echo "$HF_HOME" >> runs/steps
    (($(wc -l < runs/steps) == 3)) && exit
    echo SUSPENDED > {cloud}/request
    exit 255""",
  )
  return bin
