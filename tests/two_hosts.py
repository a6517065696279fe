"""What one of two hosts does in tests/test_hosts.py; it prints 'ok' or fails.

  python tests/two_hosts.py ADDRESS COUNT INDEX FOLDER

Every host is a process of its own with two devices.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dbflax import disk, errors, hosts, prior, sharding
from dbflax.data import images


def the_first_decides():
  called = []

  def make():
    called.append(1)
    return {'who': 0, 'words': ['a', 'b']}

  assert hosts.from_first(make) == {'who': 0, 'words': ['a', 'b']}
  assert len(called) == hosts.is_first()

  def fail():
    raise errors.UserError('the disk is full')

  with pytest.raises(errors.UserError, match='the disk is full'):
    hosts.from_first(fail)


def what_differs_is_named():
  same, own = disk.fingerprint(1), disk.fingerprint(jax.process_index())
  hosts.check_equal({'the photos': same, 'the prompts': same})
  with pytest.raises(errors.UserError, match='the prompts of host 1 is not'):
    hosts.check_equal({'the photos': same, 'the prompts': own})


def arrays_are_split_and_whole(mesh):
  rows = np.arange(24, dtype=np.float32).reshape(8, 3)
  keys = jax.random.split(jax.random.key(0), 8)
  array, on_mesh = sharding.put_batch((rows, keys), mesh)
  assert not array.is_fully_addressable
  np.testing.assert_array_equal(hosts.whole(array), rows)
  double = jax.jit(lambda x: 2 * x)(array)
  np.testing.assert_array_equal(hosts.whole(double), 2 * rows)
  mine = {n: row.tolist() for n, row in hosts.own_rows(double)}
  half = range(4) if hosts.is_first() else range(4, 8)
  assert mine == {n: (2 * rows[n]).tolist() for n in half}
  draw = jax.jit(jax.vmap(lambda key: jax.random.bits(key)))
  np.testing.assert_array_equal(hosts.whole(draw(on_mesh)), draw(keys))
  # Rows that the devices do not divide lie on all; the first host has them.
  [odd] = sharding.put_batch((rows[:3],), mesh)
  assert len(list(hosts.own_rows(odd))) == (3 if hosts.is_first() else 0)


def class_images_are_shared_out(mesh, folder):
  """Each that is missing is written once, by the host that drew it."""
  written, save = [], images.save_png

  def watched(path, image):
    written.append(path.name)
    save(path, image)

  def sampler(params, text, null_text, keys):
    del params, text, null_text
    [keys] = sharding.put_batch((keys,), mesh)
    return jax.jit(jax.vmap(lambda k: jax.random.uniform(k, (4, 4, 3))))(keys)

  if hosts.is_first():  # from a run before
    save(folder / '0003.png', np.zeros((4, 4, 3), np.uint8))
  images.save_png = watched
  text = jnp.zeros((2, 2))
  hosts.wait('the folder is there')
  prior.draw(folder, sampler, {}, text, text, seed=0, count=12, batch=4)
  hosts.wait('all are written')
  found = sorted(path.name for path in folder.glob('*.png'))
  assert found == [f'{n:04d}.png' for n in range(12)]
  assert '0003.png' not in written
  print('wrote', *written)


def main(address, count, index, folder):
  hosts.join('yes', address, int(count), int(index))
  assert hosts.count() == int(count) and jax.device_count() == 2 * int(count)
  mesh = sharding.make_mesh()
  the_first_decides()
  what_differs_is_named()
  arrays_are_split_and_whole(mesh)
  class_images_are_shared_out(mesh, pathlib.Path(folder))
  print('ok')


if __name__ == '__main__':
  main(*sys.argv[1:])
