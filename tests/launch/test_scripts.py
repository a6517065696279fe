"""launch/*.sh: what they print, and what they do with a cloud made of files."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / 'launch').glob('*.sh'))
COMMANDS = [path for path in SCRIPTS if os.access(path, os.X_OK)]

VM = ('--name=rex', '--project=my-project', '--zone=us-central2-b')
V4 = ('--accelerator=v4-8',)
# Quoted once on its way to gcloud, and again to the VM.
FLAGS = ('--config=configs/dog.py:if_m', '--config.x=to_|it\'s $HOME `a` "b"')
# The words that a step of launch/tpu_vm.sh is known by.
STEPS = {
  'disk': 'disks create',
  'create': 'queued-resources create',
  'copy': 'dbflax.tar.gz --worker=all',
  'install': 'local.sh install',
  'run': 'local.sh run',
  'fetch': 'rex:disk/runs .',
  'delete': 'queued-resources delete',
}


@pytest.fixture
def tpu_vm(launch):
  """tpu_vm(*options) → `launch/tpu_vm.sh all` of a v4-8, without pauses."""
  return lambda *options: launch(
    'tpu_vm.sh', 'all', *VM, *V4, '--pause=0', *options, '--', *FLAGS
  )


def calls(cloud):
  """What gcloud was called with, as lists of words."""
  path = cloud / 'calls.jsonl'
  return [json.loads(line) for line in path.open()] if path.exists() else []


def steps(commands):
  """The names of the steps that commands are, in order."""
  lines = [' '.join(command) for command in commands]
  return [
    next(name for name, words in STEPS.items() if words in line)
    for line in lines
  ]


def gcloud(commands):
  changing = lambda words: words[0] == 'gcloud' and 'describe' not in words
  return [words for words in commands if changing(words)]


def remote(commands):
  """The lines of shell that commands run on the VM."""
  found = []
  for words in commands:
    for word in words:
      if word.startswith('--command='):
        found.append(word.removeprefix('--command='))
        subprocess.run(['bash', '-n', '-c', found[-1]], check=True)
  return found


def test_scripts_are_shell_and_short():
  for path in SCRIPTS:
    subprocess.run(['bash', '-n', str(path)], check=True)
    assert path.read_text().count('\n') <= 200, path.name
  names = [path.name for path in COMMANDS]
  assert names == ['local.sh', 'mount_disk.sh', 'tpu_vm.sh']


@pytest.mark.parametrize('path', COMMANDS, ids=lambda path: path.name)
def test_help_has_an_example_and_every_option(path):
  asked = subprocess.run([path, '--help'], capture_output=True, text=True)
  assert asked.returncode == 0 and not asked.stderr
  assert f'\n  launch/{path.name}' in asked.stdout
  options = re.findall(r'^    (--[a-z_]+=?)', path.read_text(), re.MULTILINE)
  assert '--dry_run' in options
  for option in options:
    assert f'\n  {option}' in asked.stdout, option


def test_dry_run_prints_what_a_run_does(tpu_vm, dry_run, cloud):
  dry = dry_run('tpu_vm.sh', 'all', *VM, *V4, '--spot', '--', *FLAGS)
  assert not list(cloud.iterdir())
  (cloud / 'runs').write_text('0 ACTIVE')
  assert tpu_vm('--spot').returncode == 0
  assert calls(cloud) == gcloud(dry)
  assert steps(calls(cloud)) == list(STEPS)


@pytest.mark.parametrize(
  ('accelerator', 'runtime', 'disk'),
  [
    ('v3-8', 'tpu-ubuntu2204-base', 'pd-balanced'),
    ('v4-8', 'tpu-ubuntu2204-base', 'pd-balanced'),
    ('v5litepod-4', 'v2-alpha-tpuv5-lite', 'pd-balanced'),
    ('v5p-8', 'v2-alpha-tpuv5', 'pd-balanced'),
    ('v6e-8', 'v2-alpha-tpuv6e', 'hyperdisk-balanced'),
  ],
)
def test_each_generation_gets_its_runtime_and_disk(
  dry_run, accelerator, runtime, disk
):
  options = (*VM, f'--accelerator={accelerator}')
  made = gcloud(dry_run('tpu_vm.sh', 'create', *options))
  assert steps(made) == ['disk', 'create']
  assert f'--type={disk}' in made[0] and 'rex-disk' in made[0]
  assert f'--accelerator-type={accelerator}' in made[1]
  assert f'--runtime-version={runtime}' in made[1]
  [data] = [word for word in made[1] if word.startswith('--data-disk=')]
  assert '/zones/us-central2-b/disks/rex-disk,mode=read-write' in data
  assert '--spot' not in made[1]
  spot = gcloud(dry_run('tpu_vm.sh', 'create', *options, '--spot'))
  assert spot == [made[0], [*made[1], '--spot']]


def test_options_may_come_from_the_environment(dry_run):
  names = ('TPU_NAME', 'PROJECT_ID', 'ZONE', 'ACCELERATOR_TYPE')
  values = [option.split('=')[1] for option in (*VM, *V4)]
  environment = dict(zip(names, values, strict=True))
  given = dry_run('tpu_vm.sh', 'create', *VM, *V4)
  assert dry_run('tpu_vm.sh', 'create', **environment) == given
  environment['RUNTIME_VERSION'] = 'mine'
  own = dry_run('tpu_vm.sh', 'create', '--name=bob', **environment)
  assert 'bob-disk' in own[1] and '--runtime-version=mine' in own[2]


def test_the_command_reaches_dbflax_word_for_word(dry_run):
  [line] = remote(dry_run('tpu_vm.sh', 'run', *VM, *V4, '--', *FLAGS))
  words = shlex.split(line)
  assert tuple(words[words.index('--') + 1 :]) == FLAGS


@pytest.mark.parametrize('accelerator', ['v4-32', 'v5litepod-16', 'v6e-256'])
def test_several_hosts_share_a_folder(launch, dry_run, accelerator):
  options = (*VM, f'--accelerator={accelerator}')
  refused = launch('tpu_vm.sh', 'all', *options, '--', *FLAGS)
  assert refused.returncode == 2 and not refused.stdout
  assert accelerator in refused.stderr and '--nfs=' in refused.stderr

  options = (*options, '--nfs=10.0.0.2:/share', '--', *FLAGS)
  made = gcloud(dry_run('tpu_vm.sh', 'all', *options))
  assert steps(made) == [name for name in STEPS if name != 'disk']
  assert '--data-disk' not in ' '.join(made[0])
  assert all('--worker=all' in made[n] for n in (1, 2, 3))
  # But for the share and who joins whom, it is what a single host gets.
  share, join = ' --nfs=10.0.0.2:/share', ' --config.hosts.join=yes'
  theirs = remote(dry_run('tpu_vm.sh', 'all', *VM, *V4, '--', *FLAGS))
  installed, run = remote(made)
  assert share in installed and installed.replace(share, '') == theirs[0]
  assert run == theirs[1] + join


def test_a_share_is_mounted_as_the_disk_would_be(dry_run):
  made = dry_run('mount_disk.sh', '--nfs=10.0.0.2:/share', '--folder=disk')
  assert ['mkdir', '-p', 'disk'] in made
  mount = 'sudo mount -t nfs -o hard 10.0.0.2:/share disk'
  assert mount.split() in made
  assert not any('mkfs' in word for words in made for word in words)


# What follows a run that ended, and what the whole ends with.
AGAIN = ['create', 'copy', 'install', 'run']


@pytest.mark.parametrize(
  ('ends', 'retried'),
  [
    ('255 SUSPENDED', ['delete', *AGAIN]),
    ('1 SUSPENDED', ['delete', *AGAIN]),
    ('255 ACTIVE LOST', ['delete', *AGAIN]),
    # Killed, and the state does not say so yet.
    ('143 ACTIVE', AGAIN[1:]),
    # Only the connection was lost: the VM is kept.
    ('255 ACTIVE', AGAIN[1:]),
  ],
)
def test_a_lost_run_is_run_again(tpu_vm, cloud, ends, retried):
  (cloud / 'runs').write_text(f'{ends}\n0 ACTIVE')
  done = tpu_vm('--spot', '--retries=1')
  assert done.returncode == 0, done.stderr
  assert steps(calls(cloud)) == [
    *('disk', *AGAIN, *retried),
    *('fetch', 'delete'),
  ]
  runs = [call for call in calls(cloud) if steps([call]) == ['run']]
  assert len(runs) == 2 and runs[0] == runs[1]
  assert not (cloud / 'request').exists() and (cloud / 'disk').exists()


@pytest.mark.parametrize('retries', [0, 2])
def test_retries_are_bounded(tpu_vm, cloud, retries):
  (cloud / 'runs').write_text('255 SUSPENDED\n' * 9)
  done = tpu_vm(f'--retries={retries}')
  assert done.returncode == 255
  assert steps(calls(cloud)).count('run') == retries + 1
  assert 'fetch' not in steps(calls(cloud))
  assert f'gave up after {retries} retries' in done.stderr


@pytest.mark.parametrize('code', [1, 2])
def test_a_run_that_fails_by_itself_is_not_run_again(tpu_vm, cloud, code):
  (cloud / 'runs').write_text(f'{code} ACTIVE\n0 ACTIVE')
  done = tpu_vm()
  assert done.returncode == code
  assert steps(calls(cloud)) == ['disk', *AGAIN]
  assert f'exit code {code}' in done.stderr and ' delete ' in done.stderr

  # The VM is still there: the same command goes on with it.
  assert tpu_vm().returncode == 0
  assert steps(calls(cloud))[5:] == [*AGAIN[1:], 'fetch', 'delete']


def test_the_queue_is_waited_for(tpu_vm, cloud):
  (cloud / 'runs').write_text('0 ACTIVE')
  (cloud / 'queue').write_text('WAITING_FOR_RESOURCES\nPROVISIONING\nACTIVE')
  done = tpu_vm()
  assert done.returncode == 0, done.stderr
  assert steps(calls(cloud)) == list(STEPS)
  assert 'rex is PROVISIONING' in done.stderr


def test_a_request_that_expires_is_made_again(tpu_vm, cloud):
  (cloud / 'runs').write_text('0 ACTIVE')
  (cloud / 'queue').write_text('WAITING_FOR_RESOURCES\nFAILED')
  done = tpu_vm()
  assert done.returncode == 0, done.stderr
  assert steps(calls(cloud))[:4] == ['disk', 'create', 'delete', 'create']


def test_a_workdir_may_be_in_a_bucket(dry_run):
  flags = (*FLAGS, '--workdir=gs://bucket/rex')
  [line] = remote(gcloud(dry_run('tpu_vm.sh', 'run', *VM, *V4, '--', *flags)))
  assert '--workdir=gs://bucket/rex' in line


def test_a_refused_request_is_not_repeated(tpu_vm, cloud, program):
  program(cloud.parent / 'bin/gcloud', 'echo "no permission" >&2; exit 1')
  done = tpu_vm()
  assert done.returncode == 1
  assert done.stderr.count('no permission') == 1


@pytest.mark.parametrize(
  ('script', 'arguments', 'value'),
  [
    ('tpu_vm.sh', ['all', *VM, *V4], '--config'),
    ('tpu_vm.sh', ['run', *VM, *V4, '--', '--config=no.py'], 'no.py'),
    ('tpu_vm.sh', ['fly', *VM], 'fly'),
    ('tpu_vm.sh', [*VM], "''"),
    ('tpu_vm.sh', ['create', 'delete', *VM], 'delete'),
    ('tpu_vm.sh', ['create', *VM, *V4, '--sopt'], '--sopt'),
    ('tpu_vm.sh', ['create', '--name', 'rex'], '--name'),
    ('tpu_vm.sh', ['delete', *VM, '--name=Rex_1'], 'Rex_1'),
    ('tpu_vm.sh', ['delete', *VM, '--zone=us-central2'], 'us-central2'),
    ('tpu_vm.sh', ['delete', *VM, '--project='], '--project='),
    ('tpu_vm.sh', ['create', *VM, '--accelerator=v5e-8'], 'v5e-8'),
    ('tpu_vm.sh', ['create', *VM, *V4, '--disk_gb=0'], "'0'"),
    ('tpu_vm.sh', ['create', *VM, *V4, '--wait=1 day'], '1 day'),
    ('tpu_vm.sh', ['create', *VM, *V4, '--retries=-1'], "'-1'"),
    ('tpu_vm.sh', ['create', *VM, *V4, '--pause=soon'], 'soon'),
    (
      'tpu_vm.sh',
      ['run', *VM, *V4, '--', *FLAGS, '--workdir=rex'],
      '--workdir=rex',
    ),
    (
      'tpu_vm.sh',
      ['run', *VM, *V4, '--', *FLAGS, '--config.subject.photos=/home/rex'],
      '/home/rex',
    ),
    (
      'tpu_vm.sh',
      ['all', *VM, *V4, '--', *FLAGS, '--config.subject.photos=../rex'],
      '../rex',
    ),
    ('local.sh', [], 'no action'),
    ('local.sh', ['start'], 'start'),
    ('local.sh', ['all'], '--config'),
    ('local.sh', ['install', '--device=npu'], 'npu'),
    ('local.sh', ['install', '--retries=x'], "'x'"),
    ('local.sh', ['install', '--gpu'], '--gpu'),
    ('local.sh', ['install', '--python=false'], "'false'"),
    ('mount_disk.sh', ['disk'], 'disk'),
    ('mount_disk.sh', ['--device=/dev/none'], '/dev/none'),
  ],
)
def test_bad_input_is_one_line_and_2(launch, cloud, script, arguments, value):
  done = launch(script, *arguments)
  assert done.returncode == 2 and not done.stdout
  # What local.sh is about to do comes before.
  [line] = [
    line for line in done.stderr.splitlines() if 'installing for' not in line
  ]
  assert line.startswith(f'{script}: ') and value in line
  assert not calls(cloud)


def test_without_gcloud_there_is_one_line(launch, cloud):
  (cloud.parent / 'bin/gcloud').unlink()
  for name in ('bash', 'dirname', 'basename'):
    (cloud.parent / 'bin' / name).symlink_to(shutil.which(name))
  done = launch('tpu_vm.sh', 'delete', *VM, PATH=str(cloud.parent / 'bin'))
  assert done.returncode == 2
  assert done.stderr.count('\n') == 1 and 'gcloud' in done.stderr


def test_a_preempted_run_goes_on_with_what_the_disk_kept(tpu_vm, cloud, vm):
  done = tpu_vm('--spot', '--retries=2')
  assert done.returncode == 0, done.stderr
  assert steps(calls(cloud)).count('create') == 3
  # Nothing but the disk is left, and it was formatted once.
  assert not (cloud / 'vm').exists()
  assert (cloud / 'formatted').read_text() == 'x\n'
  kept = (cloud / 'disk/runs/steps').read_text()
  assert kept == f'{cloud}/vm/disk/huggingface\n' * 3
  assert (cloud / 'flags').read_text().splitlines() == list(FLAGS)


def test_a_vm_that_is_still_there_is_installed_again(
  tpu_vm, cloud, vm, program
):
  program(
    vm / 'python', f'[[ $1 != -m ]] || {{ echo x >> {cloud}/ran; exit 1; }}'
  )
  for times in (1, 2):
    assert tpu_vm().returncode == 1
    assert (cloud / 'ran').read_text() == 'x\n' * times
  assert steps(calls(cloud)) == ['disk', *AGAIN, *AGAIN[1:]]


def test_what_is_stopped_by_hand_says_that_the_vm_stays(
  checkout, cloud, vm, program
):
  # No child of the shell's but the last: a shell whose child ends well while a
  # signal comes passes that over.
  waits = f'{{ : > {cloud}/ran; exec sleep 30; }}'
  program(vm / 'python', f'[[ $1 != -m ]] || {waits}')
  path = f'{cloud.parent / "bin"}:{os.environ["PATH"]}'
  process = subprocess.Popen(
    [checkout / 'launch/tpu_vm.sh', 'all', *VM, *V4, '--', *FLAGS],
    env={'PATH': path, 'CLOUD': str(cloud), 'HOME': str(cloud)},
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
    # In the background, as CI may run, a shell has its children ignore it.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
  )
  while not (cloud / 'ran').exists():
    assert process.poll() is None
    time.sleep(0.05)
  os.killpg(process.pid, signal.SIGINT)
  _, stderr = process.communicate(timeout=20)
  assert process.returncode == 130
  assert 'stopped; the VM costs' in stderr.splitlines()[-1]
  assert steps(calls(cloud)) == ['disk', *AGAIN]


@pytest.mark.skipif(not shutil.which('flock'), reason='macOS has no flock')
def test_a_second_run_on_a_vm_waits_for_the_first(dry_run, tmp_path, program):
  [line] = remote(dry_run('tpu_vm.sh', 'run', *VM, *V4, '--', *FLAGS))
  words = 'echo begins >> log; sleep 0.3; echo ends >> log'
  program(tmp_path / 'dbflax/launch/local.sh', words)
  start = lambda: subprocess.Popen(
    ['bash', '-c', line],
    cwd=tmp_path,
    env={**os.environ, 'HOME': str(tmp_path)},
  )
  for process in [start(), start()]:
    assert process.wait(timeout=20) == 0
  log = (tmp_path / 'dbflax/log').read_text().split()
  assert log == ['begins', 'ends'] * 2
