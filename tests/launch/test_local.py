"""launch/local.sh and launch/mount_disk.sh."""

import os

import pytest

FLAGS = ('--config=configs/dog.py', "--config.x=to_|it's")


@pytest.mark.parametrize('code', [0, 8])
def test_a_disk_that_holds_anything_is_not_formatted(
  launch, cloud, vm, program, code
):
  program(vm / 'blkid', f'exit {code}')
  (cloud / 'disk').mkdir()
  path = f'{vm}:{os.environ["PATH"]}'
  folder = cloud / 'mounted'
  done = launch('mount_disk.sh', f'--folder={folder}', PATH=path)
  assert done.returncode == 0, done.stderr
  assert not (cloud / 'formatted').exists() and folder.is_symlink()


@pytest.mark.parametrize(
  ('device', 'package'),
  [('cpu', '.'), ('gpu', '.[cuda]'), ('tpu', '.[tpu,gcs]')],
)
def test_local_installs_for_the_device_and_runs(dry_run, device, package):
  options = (f'--device={device}', '--', *FLAGS)
  lines = dry_run('local.sh', 'all', *options)
  assert lines[1] == ['python3', '-m', 'venv', '.venv']
  assert lines[2] == ['.venv/bin/pip', 'install', package]
  assert device in lines[3][2]
  assert lines[4] == ['.venv/bin/python', '-m', 'dbflax.main', *FLAGS]
  compile(lines[3][2], 'check', 'exec')
  by_uv = dry_run('local.sh', 'all', '--python=uv', *options)
  assert 'astral.sh/uv' in ' '.join(by_uv[1]) or by_uv[1][1] == 'venv'
  assert by_uv[-3][-1] == package and by_uv[-1] == lines[-1]


@pytest.mark.parametrize(
  ('codes', 'retries', 'ran', 'ends'),
  [
    ('137 1 0', 2, 3, 0),
    ('137 1 0', 1, 2, 1),
    ('1 0', 0, 1, 1),
    ('2 0', 5, 1, 2),
    ('130 0', 5, 1, 130),
  ],
)
def test_local_runs_again_what_was_killed(
  launch, cloud, program, codes, retries, ran, ends
):
  program(
    cloud / 'bin/python',
    f"""echo "${{@:3}}" >> {cloud}/ran
    codes=({codes})
    exit "${{codes[$(wc -l < {cloud}/ran) - 1]}}" """,
  )
  options = (f'--venv={cloud}', f'--retries={retries}', '--pause=0')
  done = launch('local.sh', 'run', *options, '--', *FLAGS)
  assert done.returncode == ends
  assert (cloud / 'ran').read_text() == (' '.join(FLAGS) + '\n') * ran
