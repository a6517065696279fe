"""The TFDS builder writes and reads without TensorFlow."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dbflax.toybox import dataset
from dbflax.toybox import scene as scene_lib

SMALL = dataset.ToyboxConfig(
  name='small', resolution=64, splits={'train': 3, 'test': 2}
)


@pytest.fixture(scope='module')
def builder(tmp_path_factory):
  folder = dataset.prepare(str(tmp_path_factory.mktemp('tfds')), SMALL)
  return tfds.builder_from_directory(folder)


def test_examples_come_back(builder):
  source = builder.as_data_source()
  assert {name: len(split) for name, split in source.items()} == SMALL.splits
  for example in source['train']:
    assert example['image'].shape == (64, 64, 3)
    assert example['image'].dtype == np.uint8
    noun = scene_lib.CLASSES[example['class']]
    assert noun in example['caption'].decode().split()
    assert example['individual'].shape == (scene_lib.INDIVIDUAL,)


def test_words_of_the_labels_are_kept(builder):
  assert builder.info.features['place'].names == list(scene_lib.PLACES)


def test_splits_differ(builder):
  source = builder.as_data_source()
  images = lambda split: {e['image'].tobytes() for e in source[split]}
  assert not images('train') & images('test')


def test_tensorflow_is_not_needed(builder):
  del builder
  assert 'tensorflow' not in sys.modules
