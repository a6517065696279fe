import logging
import os
import pathlib
import shutil
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from dbflax import disk, errors, workdir


def builder(calls, text='made', fail=False):
  """A step that records its calls and what it found in its folder."""

  def build(folder):
    calls.append(sorted(path.name for path in folder.iterdir()))
    (folder / 'result.txt').write_text(text)
    (folder / 'deep').mkdir(exist_ok=True)
    (folder / 'deep' / 'more.txt').write_text(text)
    if fail:
      raise KeyboardInterrupt

  return build


def test_a_step_runs_once_for_the_same_inputs(tmp_path, caplog):
  caplog.set_level(logging.INFO)
  calls = []
  for _ in range(2):
    folder = workdir.Workdir(tmp_path).step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 1
  assert (folder / 'result.txt').read_text() == 'made'
  assert 'prior: skipped' in caplog.text


def test_a_changed_input_rebuilds_from_nothing_and_is_named(tmp_path, caplog):
  caplog.set_level(logging.INFO)
  calls, run = [], workdir.Workdir(tmp_path)
  run.step('prior', {'prompt': 'a dog', 'n': 3}, builder(calls))
  run.step('prior', {'prompt': 'a cat', 'n': 3}, builder(calls, 'new'))
  assert calls == [[disk.STARTED]] * 2
  assert (run.prior / 'result.txt').read_text() == 'new'
  both = '; another --config.name keeps both'
  assert f'prior: redone, prompt changed{both}' in caplog.text
  run.step('prior', {'prompt': 'a cat'}, builder(calls))
  assert f'prior: redone, n changed{both}' in caplog.text


def test_an_interrupted_step_finds_its_own_files(tmp_path):
  calls, run = [], workdir.Workdir(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    run.step('prior', {'n': 3}, builder(calls, fail=True))
  assert not (run.prior / disk.MANIFEST).exists()
  run.step('prior', {'n': 3}, builder(calls))
  assert calls[1] == ['deep', 'result.txt', disk.STARTED]


def test_an_interrupted_step_of_other_inputs_is_wiped(tmp_path):
  calls, run = [], workdir.Workdir(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    run.step('prior', {'n': 3}, builder(calls, fail=True))
  run.step('prior', {'n': 4}, builder(calls))
  assert calls[1] == [disk.STARTED]


@pytest.mark.parametrize('name', ['result.txt', 'deep/more.txt'])
@pytest.mark.parametrize('damage', ['remove', 'same size', 'truncate'])
def test_a_damaged_file_rebuilds_the_step(tmp_path, name, damage):
  calls, run = [], workdir.Workdir(tmp_path)
  folder = run.step('prior', {'n': 3}, builder(calls))
  if damage == 'remove':
    (folder / name).unlink()
  else:
    (folder / name).write_text('mode' if damage == 'same size' else 'm')
  run.step('prior', {'n': 3}, builder(calls))
  assert calls[1] == [disk.STARTED]
  assert (folder / name).read_text() == 'made'


@pytest.mark.parametrize('content', ['', '{', '[]', 'null'])
def test_a_broken_manifest_is_no_manifest(tmp_path, content):
  calls, run = [], workdir.Workdir(tmp_path)
  folder = run.step('prior', {'n': 3}, builder(calls))
  (folder / disk.MANIFEST).write_text(content)
  run.step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 2


def test_files_of_the_user_are_never_removed(tmp_path):
  mine = tmp_path / 'samples' / 'mine.txt'
  mine.parent.mkdir()
  mine.touch()
  with pytest.raises(errors.UserError, match='not made by dbflax'):
    workdir.Workdir(tmp_path).step('samples', {}, builder([]))
  assert mine.exists()


def test_a_path_counts_by_content_and_not_by_name(tmp_path):
  a, b = tmp_path / 'a', tmp_path / 'b'
  for folder in (a, b):
    folder.mkdir()
    (folder / 'x.txt').write_text('same')
  assert disk.fingerprint(a) == disk.fingerprint(b)
  assert disk.fingerprint(a / 'x.txt') == disk.fingerprint(b / 'x.txt')
  (b / 'x.txt').write_text('else')
  assert disk.fingerprint(a) != disk.fingerprint(b)


def test_fingerprints_tell_values_apart():
  values = [
    *(None, True, 1, 1.5, '1', [1], {'a': 1}, {'a': '1'}, {'b': 1}),
    *(np.zeros(2), np.zeros(2, np.float32), np.zeros((1, 2)), np.ones(2)),
    *(np.float32(0), [[1], 2], [1, [2]], [1, 2]),
  ]
  prints = [disk.fingerprint(value) for value in values]
  assert len(set(prints)) == len(values)


def test_fingerprints_forget_order_and_container():
  config = ml_collections.ConfigDict({'a': {'b': (1, 2)}, 'c': 'x'})
  assert disk.fingerprint(config) == disk.fingerprint(
    {'c': 'x', 'a': {'b': [1, 2]}}
  )
  with pytest.raises(TypeError, match='cannot fingerprint a object'):
    disk.fingerprint(object())


def test_atomic_write_leaves_the_old_file_if_it_fails(tmp_path, monkeypatch):
  path = tmp_path / 'a' / 'b.json'
  disk.atomic_write(path, b'old')

  def fail(*_):
    raise OSError('disk full')

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError, match='disk full'):
    disk.atomic_write(path, b'new')
  assert path.read_bytes() == b'old'


def test_another_config_does_not_get_the_folder(tmp_path):
  workdir.Workdir(tmp_path, 'dog').claim()
  workdir.Workdir(tmp_path, 'dog').claim()
  for use in (workdir.Workdir.check, workdir.Workdir.claim):
    with pytest.raises(errors.UserError, match="'dog', not 'teapot'"):
      use(workdir.Workdir(tmp_path, 'teapot'))


def test_check_writes_nothing(tmp_path):
  workdir.Workdir(tmp_path / 'new' / 'run', 'dog').check()
  assert not (tmp_path / 'new').exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(
  tmp_path, monkeypatch
):
  file = tmp_path / 'file'
  file.touch()
  for root in (file, file / 'below'):
    with pytest.raises(errors.UserError, match='cannot write workdir'):
      workdir.Workdir(root, 'dog').check()
  # Root may write anywhere, so the refusal of the system is acted.
  monkeypatch.setattr(os, 'access', lambda *_: False)
  with pytest.raises(errors.UserError, match='not a writable folder'):
    workdir.Workdir(tmp_path / 'run', 'dog').check()


def test_a_read_only_file_system_is_one_clear_line(tmp_path, monkeypatch):
  def refuse(*_, **__):
    raise OSError(30, 'Read-only file system')

  monkeypatch.setattr(pathlib.Path, 'mkdir', refuse)
  with pytest.raises(errors.UserError, match='Read-only file system'):
    workdir.Workdir(tmp_path / 'run', 'dog').claim()


def test_every_path_lies_in_the_root(tmp_path):
  run = workdir.Workdir(tmp_path)
  paths = [
    *(run.run_file, run.identifier, run.embeddings, run.prior, run.samples),
    *(run.report, run.stage('stage_1')),
  ]
  assert len(set(paths)) == len(paths)
  assert all(path.parent == tmp_path for path in paths)


HOLDER = """
import sys, time
from dbflax import workdir
work = workdir.Workdir(sys.argv[1], 'dog')
work.claim()
print('has it', flush=True)
time.sleep(600)
"""


def test_two_processes_cannot_have_one_folder(tmp_path):
  root = pathlib.Path(workdir.__file__).parents[1]
  holder = subprocess.Popen(
    [sys.executable, '-c', HOLDER, str(tmp_path)],
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, 'PYTHONPATH': str(root)},
  )
  assert holder.stdout.readline() == 'has it\n'
  mine = workdir.Workdir(tmp_path, 'dog')
  try:
    with pytest.raises(errors.UserError, match=f'by process {holder.pid} of'):
      mine.claim()
  finally:
    holder.kill()
    holder.wait()
  # The lock of a killed process is none.
  mine.claim()
  other = workdir.Workdir(tmp_path, 'dog')
  with pytest.raises(errors.UserError, match=f'by process {os.getpid()} of'):
    other.claim()
  mine.close()
  other.claim()


def test_what_a_killed_process_left_is_removed(tmp_path):
  run = workdir.Workdir(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    run.step('prior', {'n': 3}, builder([], fail=True))
  run.close()
  left = [
    path / f'.more.txt.123{disk.PARTIAL}'
    for path in (run.prior / 'deep', tmp_path)
  ]
  trash = tmp_path / f'.trash{disk.PARTIAL}' / 'deep'
  trash.mkdir(parents=True)
  for path in (*left, trash / f'b{disk.PARTIAL}'):
    path.touch()
  workdir.Workdir(tmp_path).step('prior', {'n': 3}, builder([]))
  assert not list(tmp_path.rglob(f'*{disk.PARTIAL}'))
  assert (run.prior / 'deep/more.txt').exists()


def test_a_process_killed_before_its_first_file_is_whole_left_a_step(tmp_path):
  run = workdir.Workdir(tmp_path)
  run.prior.mkdir(parents=True)
  (run.prior / f'.{disk.STARTED}.123{disk.PARTIAL}').write_text('{"inp')
  run.step('prior', {'n': 3}, builder([]))
  assert sorted(path.name for path in run.prior.iterdir()) == [
    *('deep', disk.MANIFEST, 'result.txt', disk.STARTED)
  ]


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path):
  (tmp_path / 'a').write_text('old')
  with pytest.raises(OSError), disk.atomic_path(tmp_path / 'a') as partial:
    partial.write_text('half')
    raise OSError(28, 'No space left on device')
  assert [p.name for p in tmp_path.iterdir()] == ['a']
  assert (tmp_path / 'a').read_text() == 'old'


def test_a_relatives_finished_step_is_taken_over(tmp_path, caplog):
  caplog.set_level(logging.INFO)
  calls = []
  first = workdir.Workdir(tmp_path / 'a')
  first.step('prior', {'n': 3}, builder(calls))
  second = workdir.Workdir(tmp_path / 'b', relatives=[tmp_path / 'a'])
  folder = second.step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 1
  assert f'prior: taken from {tmp_path / "a"}' in caplog.text
  assert folder == tmp_path / 'b/prior' and disk.damage(folder) == ''
  # It lives on without the other.
  shutil.rmtree(tmp_path / 'a')
  assert second.state('prior', {'n': 3}) == workdir.DONE


@pytest.mark.parametrize('fault', ['other inputs', 'damaged', 'unfinished'])
def test_a_relatives_other_step_is_not(tmp_path, fault):
  calls = []
  first = workdir.Workdir(tmp_path / 'a')
  first.step('prior', {'n': 4 if fault == 'other inputs' else 3}, builder([]))
  if fault == 'damaged':
    (first.prior / 'result.txt').write_text('mode')
  if fault == 'unfinished':
    (first.prior / disk.MANIFEST).unlink()
  second = workdir.Workdir(tmp_path / 'b', relatives=[tmp_path / 'a'])
  second.step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 1
  assert (second.prior / 'result.txt').read_text() == 'made'
  assert not list(tmp_path.rglob(f'*{disk.PARTIAL}'))


def test_a_step_that_is_taken_over_replaces_an_old_one(tmp_path):
  calls = []
  second = workdir.Workdir(tmp_path / 'b', relatives=[tmp_path / 'a'])
  second.step('prior', {'n': 4}, builder(calls, 'old'))
  (second.prior / 'more.txt').write_text('of nobody')
  workdir.Workdir(tmp_path / 'a').step('prior', {'n': 3}, builder(calls))
  second.step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 2
  assert (second.prior / 'result.txt').read_text() == 'made'
  assert not (second.prior / 'more.txt').exists()


def test_redoing_a_step_leaves_those_who_took_it_over_alone(tmp_path):
  first = workdir.Workdir(tmp_path / 'a')
  first.step('prior', {'n': 3}, builder([]))
  second = workdir.Workdir(tmp_path / 'b', relatives=[tmp_path / 'a'])
  second.step('prior', {'n': 3}, builder([]))
  first.step('prior', {'n': 4}, builder([], 'new'))
  assert (second.prior / 'result.txt').read_text() == 'made'


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
  def refuse(*_):
    raise OSError(37, 'No locks available')

  monkeypatch.setattr(workdir.fcntl, 'flock', refuse)
  run = workdir.Workdir(tmp_path, 'dog')
  run.step('prior', {'n': 3}, builder([]))
  assert f'no lock on {tmp_path / "run.lock"}' in caplog.text
  assert run.state('prior', {'n': 3}) == workdir.DONE


@pytest.mark.parametrize(
  'entry',
  [4, None, 'x', [], [4], [4, None], {'a': 1}],
)
@pytest.mark.parametrize('name', ['result.txt', '../x', '/etc/hostname'])
def test_a_manifest_of_the_same_inputs_but_strange_files(tmp_path, entry, name):
  """What it names is not as it says, so the step is done again."""
  calls, run = [], workdir.Workdir(tmp_path)
  run.step('prior', {'n': 3}, builder(calls))
  record = disk.read_json(run.prior / disk.MANIFEST)
  disk.write_json(run.prior / disk.MANIFEST, {**record, 'files': {name: entry}})
  run.step('prior', {'n': 3}, builder(calls))
  assert len(calls) == 2 and disk.damage(run.prior) == ''


def test_a_file_outside_of_a_step_is_none_of_it(tmp_path):
  (tmp_path / 'x').write_text('mine')
  run = workdir.Workdir(tmp_path)
  run.step('prior', {'n': 3}, builder([]))
  record = disk.read_json(run.prior / disk.MANIFEST)
  outside = {'../x': [4, disk.file_fingerprint(tmp_path / 'x')]}
  disk.write_json(run.prior / disk.MANIFEST, {**record, 'files': outside})
  assert run.state('prior', {'n': 3}) == 'redone, ../x lies elsewhere'


@pytest.mark.parametrize('content', ['', '{"na', '[]', '7'])
def test_whose_folder_it_is_is_not_guessed(tmp_path, content):
  workdir.Workdir(tmp_path, 'dog').own()
  (tmp_path / 'run.json').write_text(content)
  for name in ('dog', 'teapot'):
    with pytest.raises(errors.UserError, match=r"run\.json' is damaged"):
      workdir.Workdir(tmp_path, name).claim()
