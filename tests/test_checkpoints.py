"""Truths of checkpoints."""

import shutil
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import checkpoints as checkpoints_lib
from dbflax import disk, errors, sharding
from dbflax.train import optimizer
from dbflax.train import state as state_lib


def _state(step=0, ema=True):
  """A state of made-up numbers, each leaf another."""
  tx = optimizer.build(learning_rate=1e-3, steps=10)
  params = {'conv_in': {'kernel': jnp.zeros((3, 3, 3, 8)), 'bias': jnp.ones(8)}}
  state = state_lib.create(params, tx, ema)
  rng = np.random.default_rng(step)

  def draw(leaf):
    if jnp.issubdtype(leaf.dtype, jnp.integer):
      return jnp.asarray(step, leaf.dtype)
    return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

  return jax.tree.map(draw, state)


def _abstract(state):
  shardings = sharding.shard_tree(state, sharding.make_mesh())
  return checkpoints_lib.abstract(state, shardings)


def _assert_equal(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def _save(folder, *steps, fingerprint='a' * 64, **options):
  saved = checkpoints_lib.Checkpoints(folder, fingerprint, **options)
  for step in steps:
    saved.save(step, _state(step))
  saved.close()


@pytest.mark.parametrize('error', [errors.UserError('…'), PermissionError()])
def test_what_is_being_saved_is_whole_when_an_error_goes_on(tmp_path, error):
  saved = checkpoints_lib.Checkpoints(tmp_path, 'a' * 64)
  with pytest.raises(type(error)), saved.settled():
    saved.save(3, _state(3))
    raise error
  assert (tmp_path / '3' / disk.MANIFEST).is_file()
  saved.close()


def test_what_a_killed_process_half_saved_is_removed(tmp_path):
  _save(tmp_path, 3)
  half = tmp_path / '5.orbax-checkpoint-tmp' / 'state'
  half.mkdir(parents=True)
  (half / 'array').touch()
  _save(tmp_path, 7, keep=2)
  assert {path.name for path in tmp_path.iterdir()} == {'3', '7'}


def _restore(folder, state, fingerprint='a' * 64):
  saved = checkpoints_lib.Checkpoints(folder, fingerprint)
  try:
    return saved.restore_latest(_abstract(state))
  finally:
    saved.close()


def test_an_empty_folder_has_no_state(tmp_path):
  assert _restore(tmp_path / 'new', _state()) is None


def test_the_newest_state_comes_back_bit_for_bit(tmp_path):
  _save(tmp_path, 2, 5)
  _assert_equal(_restore(tmp_path, _state()), _state(5))


def test_a_state_without_average_comes_back(tmp_path):
  saved = checkpoints_lib.Checkpoints(tmp_path, 'a' * 64)
  saved.save(1, _state(1, ema=False))
  saved.close()
  found = _restore(tmp_path, _state(ema=False))
  assert found.ema is None
  _assert_equal(found, _state(1, ema=False))


def test_the_state_lies_where_it_is_wanted(tmp_path):
  _save(tmp_path, 1)
  wanted = _abstract(_state())
  found = _restore(tmp_path, _state())
  jax.tree.map(
    lambda leaf, like: (
      leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)
      or pytest.fail(f'{leaf.sharding} is not {like.sharding}')
    ),
    found,
    wanted,
  )


def test_checkpoints_of_other_inputs_are_refused(tmp_path):
  _save(tmp_path, 3)
  with pytest.raises(errors.UserError, match='another run.*aaaaaaaaaaaa.*bbb'):
    _restore(tmp_path, _state(), fingerprint='b' * 64)


def test_only_the_newest_are_kept(tmp_path):
  _save(tmp_path, 1, 2, 3, keep=2)
  steps = sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit())
  assert steps == [2, 3]


def _damaged(file, size):
  """What may befall a file: cut at every 1/16, one bit flipped, or gone."""
  content = file.read_bytes()
  yield from (content[: size * n // 16] for n in range(16))
  for at in (0, size // 2, size - 1):
    flipped = bytearray(content)
    flipped[at] ^= 1
    yield bytes(flipped)
  yield None


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
  _save(tmp_path / 'whole', 1, 2, keep=2)
  names = [
    path.relative_to(tmp_path / 'whole')
    for path in (tmp_path / 'whole/2').rglob('*')
    if path.is_file() and path.stat().st_size
  ]
  assert len(names) > 5
  for n, name in enumerate(names):
    size = (tmp_path / 'whole' / name).stat().st_size
    kinds = list(_damaged(tmp_path / 'whole' / name, size))
    for content in kinds if n < 2 else kinds[8:10]:
      folder = tmp_path / 'hurt'
      shutil.copytree(tmp_path / 'whole', folder)
      (folder / name).unlink()
      if content is not None:
        (folder / name).write_bytes(content)
      checkpoints_lib.Checkpoints(folder, 'a' * 64).close()
      assert not (folder / '2').exists() and (folder / '1').exists(), name
      assert f'{folder / "2"} is not used' in caplog.text
      shutil.rmtree(folder)
  shutil.copytree(tmp_path / 'whole', tmp_path / 'hurt')
  (tmp_path / 'hurt/2' / disk.MANIFEST).unlink()  # it was never sealed
  _assert_equal(_restore(tmp_path / 'hurt', _state()), _state(1))


def test_a_checkpoint_is_sealed_as_soon_as_it_is_on_disk(tmp_path):
  saved = checkpoints_lib.Checkpoints(tmp_path, 'a' * 64)
  saved.save(3, _state(3))
  end = time.monotonic() + 60
  while not (tmp_path / '3' / disk.MANIFEST).exists():
    assert time.monotonic() < end
    saved.poll()
  saved.close()


def test_without_room_nothing_is_begun(tmp_path, monkeypatch):
  saved = checkpoints_lib.Checkpoints(tmp_path, 'a' * 64)
  room = types.SimpleNamespace(free=100)
  monkeypatch.setattr(shutil, 'disk_usage', lambda path: room)
  with pytest.raises(errors.UserError, match='the disk is full: .* 0.0 MB'):
    saved.save(1, _state(1))
  monkeypatch.undo()
  saved.close()
  assert not list(tmp_path.iterdir())


def test_saving_a_step_again_changes_nothing(tmp_path):
  """A resumed run meets the checkpoint that it started from."""
  _save(tmp_path, 4)
  _save(tmp_path, 4)
  _assert_equal(_restore(tmp_path, _state()), _state(4))


def test_a_state_may_be_given_up_once_it_is_saved(tmp_path):
  """The next step donates the buffers while the write goes on."""
  saved = checkpoints_lib.Checkpoints(tmp_path, 'a' * 64)
  state = _state(7)
  saved.save(7, state)
  jax.tree.map(lambda leaf: leaf.delete(), state)
  saved.close()
  _assert_equal(_restore(tmp_path, _state()), _state(7))
