"""Toybox pictures and captions as a TFDS data set.

    python -m dbflax.toybox.dataset DATA_DIR [CONFIG]

prepares one builder config, named by its resolution ('64', '256', '1024'),
and prints its folder. Array records and PNG bytes need no TensorFlow:
`tfds.builder_from_directory(folder).as_data_source()` reads them back.
Example i of a split is a function of the split's name and i.
"""

import functools
import io
import sys

import jax
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dbflax import rng
from dbflax.toybox import captions, render
from dbflax.toybox import scene as scene_lib

_BATCH = 64  # pictures of 64 px rendered at a time; fewer of larger ones


class ToyboxConfig(tfds.core.BuilderConfig):
  """A resolution and the number of examples of each split."""

  def __init__(self, *, resolution: int, splits: dict[str, int], **kwargs):
    super().__init__(name=kwargs.pop('name', str(resolution)), **kwargs)
    self.resolution = resolution
    self.splits = splits


class Toybox(tfds.core.GeneratorBasedBuilder):
  """Pictures of one subject somewhere, with a caption and their contents."""

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = [
    ToyboxConfig(resolution=64, splits={'train': 8192, 'test': 512}),
    ToyboxConfig(resolution=256, splits={'train': 1024, 'test': 128}),
    ToyboxConfig(resolution=1024, splits={'train': 64, 'test': 16}),
  ]

  def __init__(self, **kwargs):
    super().__init__(file_format='array_record', **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    side = self.builder_config.resolution
    label = lambda names: tfds.features.ClassLabel(names=list(names))
    return tfds.core.DatasetInfo(
      builder=self,
      description='Pictures drawn by dbflax.toybox.',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(
            shape=(side, side, 3), encoding_format='png'
          ),
          'caption': tfds.features.Text(),
          'class': label(scene_lib.CLASSES),
          'place': label(scene_lib.PLACES),
          'style': label(scene_lib.STYLES),
          'accessory': label(scene_lib.ACCESSORIES),
          'individual': tfds.features.Tensor(
            shape=(scene_lib.INDIVIDUAL,), dtype=np.float32
          ),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # Nothing to download.
    splits = self.builder_config.splits
    return {
      name: self._generate_examples(name, n) for name, n in splits.items()
    }

  def _generate_examples(self, split: str, count: int):
    """Yields (index, example); rendering is batched."""
    side = self.builder_config.resolution
    most = max(self.builder_config.splits.values())
    size = min(most, max(1, _BATCH * 64 * 64 // (side * side)))
    root = rng.key(jax.random.key(0), split)
    for start in range(0, count, size):
      scenes = _scenes(root, np.arange(start, start + size))
      pictures = np.asarray(_draw(scenes, side))
      scenes = jax.device_get(scenes)
      for i in range(min(size, count - start)):
        one = jax.tree.map(lambda field, i=i: field[i], scenes)
        words = rng.numpy(0, split + ' captions', start + i)
        yield start + i, _example(one, pictures[i], words)


@jax.jit
def _scenes(root, indices) -> scene_lib.Scene:
  """The scenes of a split's examples; every field [count, …]."""
  one = lambda i: scene_lib.sample(rng.key(root, 'example', i))
  return jax.vmap(one)(indices)


@functools.partial(jax.jit, static_argnums=1)
def _draw(scenes: scene_lib.Scene, side: int):
  """Pictures [count, side, side, 3] in [-1, 1]."""
  return jax.vmap(lambda scene: render.render(scene, side))(scenes)


def _example(scene, picture, words) -> dict:
  return {
    'image': png(picture),
    'caption': captions.caption(scene, words),
    'class': int(scene.class_id),
    'place': int(scene.place_id),
    'style': int(scene.style_id),
    'accessory': int(scene.accessory_id),
    'individual': scene.individual,
  }


def png(picture) -> io.BytesIO:
  """A picture in [-1, 1] as a PNG file at its start."""
  levels = np.clip(np.round((np.asarray(picture) + 1.0) * 127.5), 0, 255)
  file = io.BytesIO()
  Image.fromarray(levels.astype(np.uint8)).save(file, 'PNG', optimize=True)
  file.seek(0)
  return file


def prepare(data_dir: str, config='64') -> str:
  """Writes the data set and returns its folder.

  Args:
    data_dir: root of TFDS data sets.
    config: name of a builder config, or a `ToyboxConfig`.
  """
  builder = Toybox(data_dir=data_dir, config=config)
  builder.download_and_prepare()
  return str(builder.data_path)


if __name__ == '__main__':
  if len(sys.argv) not in (2, 3):
    sys.exit('usage: python -m dbflax.toybox.dataset DATA_DIR [CONFIG]')
  print(prepare(*sys.argv[1:]))
