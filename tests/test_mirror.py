"""Workdirs at URLs: what is in the bucket, and who may have it.

The bucket is a folder, read by fsspec's `file://`; each machine has a home, and
so a copy, of its own.
"""

import contextlib
import json
import logging
import pathlib
import shutil
import sys
import threading
import time

import pytest

from dbflax import buckets, disk, errors, hosts, mirror, workdir


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
  """Nobody waits long."""
  monkeypatch.setattr(mirror, '_EVERY', 0.05)
  monkeypatch.setattr(mirror, '_PATIENCE', 0.5)
  caplog.set_level(logging.INFO, 'dbflax')


@pytest.fixture
def bucket(tmp_path):
  return tmp_path / 'bucket' / 'rex'


@pytest.fixture
def machine(bucket, monkeypatch, tmp_path):
  """machine(name) opens the workdir on a machine of that name."""
  opened = []

  def start(name, url=None):
    monkeypatch.setenv('HOME', str(tmp_path / name))
    work = workdir.Workdir(url or f'file://{bucket}', 'rex')
    opened.append(work)
    return work

  yield start
  for work in opened:
    with contextlib.suppress(errors.UserError):
      work.close()


def crash(work):
  """As if the machine was gone: nothing is copied or said any more."""
  held = work._mirror
  held._ended.set()
  for thread in held._threads:
    thread.join()
  held._is_held = False
  work._lock_file.close()


def make(folder):
  """A step: two files, the second after what was there before."""
  (folder / 'deep').mkdir(exist_ok=True)
  (folder / 'deep' / 'one.txt').write_text('1')
  found = (folder / 'found.txt').exists()
  (folder / 'found.txt').write_text(f'again {found}')


def files(folder):
  """{name: content} of a run, without what is of one machine."""
  names = set(disk.files(folder)) if folder.exists() else set()
  ours = names - {'holder.json', '.mirror.json', 'run.lock'}
  return {name: (folder / name).read_bytes() for name in ours}


def until(condition, seconds=20):
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


def test_the_bucket_has_the_whole_run_in_the_end(machine, bucket):
  work = machine('a')
  work.step('prior', {'n': 1}, make)
  work.close()
  assert files(bucket) == files(work.root)
  assert {'run.json', 'prior/deep/one.txt', 'prior/manifest.json'} <= set(
    files(bucket)
  )
  assert not disk.damage(bucket / 'prior')


def test_what_changes_is_brought_there_while_it_runs(machine, bucket):
  work = machine('a')
  work.claim()
  log = work.root / 'metrics.jsonl'
  for text in ('one', 'one two'):
    log.write_text(text)
    there = bucket / 'metrics.jsonl'
    until(lambda: there.exists() and there.read_text() == text)  # noqa: B023
  log.unlink()
  until(lambda: not there.exists())


def test_what_is_being_written_stays_here(machine, bucket):
  work = machine('a')
  work.claim()
  (work.root / '.x.1.partial').write_text('half')
  unfinished = work.root / '5.orbax-checkpoint-tmp-1' / 'deep'
  unfinished.mkdir(parents=True)
  (unfinished / 'x').write_text('half')
  work.close()
  assert set(files(bucket)) == {'run.json'}


def test_another_machine_goes_on(machine, bucket, caplog):
  first = machine('a')
  first.step('prior', {'n': 1}, make)
  first.close()
  second = machine('b')
  caplog.clear()
  second.step('prior', {'n': 1}, make)
  assert 'prior: skipped' in caplog.text
  second.step('samples', {'n': 1}, make)
  second.close()
  assert second.root != first.root
  assert files(first.root) != files(bucket) == files(second.root)
  back = machine('a')
  back.check()
  assert files(back.root) == files(bucket)


def test_where_nobody_else_was_nothing_is_fetched(machine, caplog):
  work = machine('a')
  work.step('prior', {'n': 1}, make)
  work.close()
  caplog.clear()
  again = machine('a')
  again.step('prior', {'n': 1}, make)
  again.close()
  assert 'fetching' not in caplog.text


def test_a_copy_that_is_ahead_of_the_bucket_is_kept(machine, bucket):
  """Killed before what it had made was brought there."""
  first = machine('a')
  first.claim()
  crash(first)
  (first.root / 'later.txt').write_text('made')
  again = machine('a')
  again.claim()
  again.close()
  assert (bucket / 'later.txt').read_text() == 'made'


def test_only_what_differs_is_fetched(machine, bucket, caplog):
  for name in 'ab':
    work = machine(name)
    work.step(f'of_{name}', {}, make)
    work.close()
  caplog.clear()
  machine('a').check()
  [said] = [r for r in caplog.records if r.msg.startswith('fetching')]
  assert said.args[0] == len([n for n in files(bucket) if n[:4] == 'of_b'])


@pytest.mark.parametrize('fails_at', range(1, 9))
def test_a_bucket_is_as_after_a_kill_whenever_copying_ends(
  machine, bucket, monkeypatch, fails_at
):
  """Whatever was the last thing that reached it, another machine goes on."""
  first = machine('a')
  with monkeypatch.context() as patch:
    patch.setattr(mirror, '_EVERY', 3600)  # All is left for the end.
    first.step('prior', {'n': 1}, make)
    first.step('samples', {'n': 1}, make)
  count, put = iter(range(1, 99)), buckets.Bucket.put

  def dies(self, source, name):
    if next(count) >= fails_at:
      raise errors.UserError('gone')
    return put(self, source, name)

  with monkeypatch.context() as patch:
    patch.setattr(mirror, '_WORKERS', 1)
    patch.setattr(buckets.Bucket, 'put', dies)
    with pytest.raises(errors.UserError, match='gone'):
      first.close()
  for name in ('prior', 'samples'):
    if (bucket / name / disk.MANIFEST).exists():
      assert not disk.damage(bucket / name)
  second = machine('b')
  for name in ('prior', 'samples'):
    second.step(name, {'n': 1}, make)
  second.close()
  assert not disk.damage(bucket / 'prior')


def test_two_machines_at_once_are_refused(machine, bucket, monkeypatch):
  monkeypatch.setattr(mirror, '_PATIENCE', 60)  # The first may be slow.
  work = machine('a')
  work.claim()
  refused = machine('b')
  with pytest.raises(errors.InUse, match=f"'file://{bucket}' is in use by"):
    refused.claim()
  refused.close()
  work.close()
  machine('b').claim()


def test_what_is_read_is_never_half_written(bucket):
  """Such as the mark of a run, which would be taken for one that is gone."""
  held = buckets.Bucket(f'file://{bucket}')
  contents = [bytes([n]) * 1_000_000 for n in range(2)]
  held.write('mark', contents[0])

  def write():
    for n in range(100):
      held.write('mark', contents[n % 2])

  writer = threading.Thread(target=write)
  writer.start()
  found = set()
  while writer.is_alive():
    found.add(held.read('mark'))
  assert found == set(contents)
  assert set(held.listed()) == {'mark'}


def test_what_a_killed_process_half_wrote_is_no_object(machine, bucket):
  work = machine('a')
  work.step('prior', {'n': 1}, make)
  work.close()
  (bucket / 'prior' / '.found.txt.1.partial').write_text('ha')
  again = machine('b')
  again.check()
  assert files(again.root) == files(work.root)
  assert not list(again.root.rglob('*.partial'))


def test_a_machine_that_is_gone_is_recognised(machine, caplog):
  first = machine('a')
  first.step('prior', {'n': 1}, make)
  until((pathlib.Path(first._mirror.url[7:]) / 'prior/manifest.json').exists)
  crash(first)
  begin = time.monotonic()
  second = machine('b')
  second.step('prior', {'n': 1}, make)
  assert time.monotonic() - begin > mirror._PATIENCE
  assert 'waiting' in caplog.text and 'prior: skipped' in caplog.text


def test_who_was_taken_over_stops_and_writes_no_more(
  machine, bucket, monkeypatch
):
  work, asked = machine('a'), threading.Event()
  monkeypatch.setattr(mirror.os, 'kill', lambda *args: asked.set())
  work.claim()
  mark = json.loads((bucket / 'holder.json').read_text())
  other = json.dumps({**mark, 'id': 'other'})
  until(lambda: (bucket / 'holder.json').write_text(other) and asked.wait(0.2))
  (work.root / 'late.txt').write_text('late')
  work.close()
  assert not (bucket / 'late.txt').exists()
  assert json.loads((bucket / 'holder.json').read_text())['id'] == 'other'


def test_other_files_in_the_bucket_are_refused_and_left(machine, bucket):
  bucket.mkdir(parents=True)
  (bucket / 'letter.txt').write_text('dear')
  with pytest.raises(
    errors.UserError, match="no run made, such as 'letter.txt"
  ):
    machine('a').check()
  assert [path.name for path in bucket.iterdir()] == ['letter.txt']


def test_a_run_that_was_copied_there_by_hand_goes_on(machine, bucket, tmp_path):
  work = workdir.Workdir(tmp_path / 'rex', 'rex')
  work.step('prior', {'n': 1}, make)
  work.close()
  shutil.copytree(work.root, bucket)
  machine('a').step('prior', {'n': 1}, lambda folder: pytest.fail('again'))


@pytest.mark.parametrize(
  'text', ['{', '[]', '{"files": 3}', '{"id": "x", "files": {"run.json": 1}}']
)
def test_a_damaged_index_of_the_copy_is_made_anew(machine, bucket, text):
  work = machine('a')
  work.step('prior', {'n': 1}, make)
  work.close()
  (work.root / '.mirror.json').write_text(text)
  again = machine('a')
  again.step('prior', {'n': 1}, lambda folder: pytest.fail('again'))
  again.close()
  assert files(bucket) == files(again.root)


def test_an_emptied_bucket_is_no_reason_to_remove_the_copy(machine, bucket):
  work = machine('a')
  work.step('prior', {'n': 1}, make)
  work.close()
  before = files(work.root)
  bucket.rename(bucket.with_name('elsewhere'))
  with pytest.raises(errors.UserError, match='nothing is at .*remove'):
    machine('a').check()
  assert files(work.root) == before


def test_what_cannot_be_copied_in_the_end_is_said(machine, monkeypatch):
  work = machine('a')
  work.claim()

  def fail(*args):
    raise ConnectionError('no route')

  monkeypatch.setattr(buckets.Bucket, '_make_parent', fail)
  (work.root / 'x').write_text('x')
  with pytest.raises(errors.UserError, match='no route') as caught:
    work.close()
  assert str(work.root) in str(caught.value)
  assert '\n' not in str(caught.value)


def test_a_failure_on_the_way_is_a_warning_and_tried_again(
  machine, bucket, monkeypatch, caplog
):
  work = machine('a')
  work.claim()
  with monkeypatch.context() as patch:
    fail = lambda *args: (_ for _ in ()).throw(ConnectionError('no route'))
    patch.setattr(buckets.Bucket, '_make_parent', fail)
    (work.root / 'x').write_text('x')
    until(lambda: 'tried again' in caplog.text)
  until((bucket / 'x').exists)


def test_several_hosts_are_refused(machine, monkeypatch):
  monkeypatch.setattr(hosts, 'count', lambda: 4)
  with pytest.raises(errors.UserError, match='4 hosts need a folder'):
    machine('a').claim()


def test_without_its_package_a_url_is_one_line(machine, monkeypatch):
  monkeypatch.setitem(sys.modules, 'gcsfs', None)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[gcs\]'"):
    machine('a', 'gs://bucket/rex')
