"""What may not disturb a run: a clock that is set, a token, a disk of others.

A simple map stands for the networks; everything else is a run of
configs/test.py.
"""

import pathlib
import shutil
import subprocess
import time

import pytest

from dbflax import checkpoints, disk, main
from dbflax.data import images
from tests import simple_run

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ('.png', '.safetensors', '.npy', '.jsonl', '.dbflax')
TOKEN = 'hf_ThisIsNobodysTokenAtAllButLooksLike1'


def call(mode, folder, *options):
  """Runs the command in this process; the exit code."""
  options = ('cascade.stages=("stage_1",)', *options)
  return main.main(
    [
      *('dbflax', f'--config={ROOT / "configs/test.py"}', f'--mode={mode}'),
      f'--workdir={folder}',
      *(f'--config.{option}' for option in options),
    ]
  )


@pytest.fixture(scope='module', autouse=True)
def simple_network():
  with simple_run.in_this_process():
    yield


@pytest.fixture(scope='module', autouse=True)
def plain(simple_network, tmp_path_factory):
  """The workdir of a run that nothing disturbs."""
  folder = tmp_path_factory.mktemp('plain') / 'run'
  assert call('run', folder) == 0
  return folder


def results(folder):
  return {
    name: (folder / name).read_bytes()
    for name in disk.files(folder)
    if name.endswith(RESULTS)
  }


def test_clocks_that_are_set_and_tokens_leave_no_trace(
  plain, tmp_path, monkeypatch, capfd
):
  """While a checkpoint is saved, days pass, and come back after the next."""
  days, now, save = [0, 400, -400], time.time, checkpoints.Checkpoints.save

  def at_once(self, *given):
    save(self, *given)
    days.append(days.pop(0))

  monkeypatch.setattr(checkpoints.Checkpoints, 'save', at_once)
  monkeypatch.setattr(time, 'time', lambda: now() + 86_400 * days[0])
  for name in ('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'):
    monkeypatch.setenv(name, TOKEN)
  run = tmp_path / 'run'
  assert call('run', run, 'stage_1.checkpoint_every=1') == 0
  assert results(run) == results(plain)
  for path in run.rglob('*'):
    assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path
  output = capfd.readouterr()
  assert TOKEN not in output.out + output.err


def test_an_error_of_the_hub_says_no_token(tmp_path, monkeypatch, capsys):
  import huggingface_hub
  from huggingface_hub import errors

  def refuse(*_, **__):
    raise errors.LocalEntryNotFoundError(f'authorization: Bearer {TOKEN}')

  monkeypatch.setenv('HF_TOKEN', TOKEN)
  monkeypatch.setattr(huggingface_hub, 'snapshot_download', refuse)
  assert call('run', tmp_path / 'run', 'cascade.path=some/cascade') == 2
  output = capsys.readouterr()
  assert 'some/cascade' in output.err and TOKEN not in output.out + output.err
  assert not (tmp_path / 'run').exists()


def remount(folder, how):
  subprocess.run(['mount', '-o', f'remount,{how}', str(folder)], check=True)


def test_a_disk_that_becomes_read_only(small_disk, capsys, monkeypatch):
  """As a file system does that has an error, and a volume that is taken."""
  folder = small_disk(2**26)
  save = images.save_png

  def taken(path, image):
    if path.name > '0001.png' and path.parent.name == 'prior':
      # With a file open, the system itself takes nothing away.
      raise OSError(30, 'Read-only file system', str(path))
    save(path, image)

  with monkeypatch.context() as patch:
    patch.setattr(images, 'save_png', taken)
    assert call('prior', folder / 'run') == 2
  error = capsys.readouterr().err
  assert 'the file system is read-only at ' in error.splitlines()[-1]
  assert 'Traceback' not in error
  remount(folder, 'ro')
  assert call('prior', folder / 'run') == 2
  assert 'not a writable folder' in capsys.readouterr().err.splitlines()[-1]
  remount(folder, 'rw')
  kept = (folder / 'run/prior/0001.png').stat().st_mtime_ns
  assert call('prior', folder / 'run') == 0
  assert (folder / 'run/prior/0001.png').stat().st_mtime_ns == kept
  assert disk.damage(folder / 'run/prior') == ''


@pytest.mark.parametrize('what', ['write', 'read'])
def test_a_permission_that_is_lost(plain, tmp_path, capsys, monkeypatch, what):
  """Root may do anything, so the system's refusal is acted."""
  run = shutil.copytree(plain, tmp_path / 'run')

  def refuse(path, *_):
    if 'prior' in pathlib.Path(path).parts:
      raise PermissionError(13, 'Permission denied', str(path))

  capsys.readouterr()
  with monkeypatch.context() as patch:
    if what == 'write':
      patch.setattr(disk.os, 'replace', refuse)
    else:
      patch.setattr(disk, 'check_file', refuse)
    assert call('prior', run, 'prior.steps=3') == 2
  error = capsys.readouterr().err
  assert 'permission is denied at ' in error.splitlines()[-1]
  assert str(run / 'prior') in error and 'Traceback' not in error
  assert call('prior', run) == 0  # Nothing was lost that was finished.
  assert results(run) == results(plain)
