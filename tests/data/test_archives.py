"""Data sets that were packed to do harm."""

import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import file_utils

from dbflax import errors
from dbflax.data import archives, images, photo_folder, subjects

EVIL = 'dbflax_evil_module'


@pytest.fixture
def packed(tmp_path):
  """The folder of an honest data set of two photos."""
  generator = np.random.default_rng(0)
  for n in range(2):
    image = generator.integers(0, 256, (40, 50, 3), np.uint8)
    images.save_png(tmp_path / f'photos/{n}.png', image)
  source = photo_folder.prepare(tmp_path / 'photos', tmp_path / 'tfds')
  return pathlib.Path(source.removeprefix('tfds:').removesuffix(':train'))


def edit(path, change):
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))


def move_records(packed, folder):
  """Where only the user may read, out of the data set; the paths there."""
  folder.mkdir(parents=True)
  return [
    pathlib.Path(shutil.move(path, folder))
    for path in packed.glob('*.array_record*')
  ]


def by_template(packed, folder):
  move_records(packed, folder)
  name = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
  template = f'{os.path.relpath(folder, packed)}/{name}'
  edit(
    packed / 'dataset_info.json',
    lambda info: info['splits'][0].update(filepathTemplate=template),
  )


def by_absolute_template(packed, folder):
  name = f'{folder}/{{DATASET}}-{{SPLIT}}.{{FILEFORMAT}}-{{SHARD_X_OF_Y}}'
  move_records(packed, folder)
  edit(
    packed / 'dataset_info.json',
    lambda info: info['splits'][0].update(filepathTemplate=name),
  )


def by_name(packed, folder):
  move_records(packed, folder)
  to = os.path.relpath(folder, packed)
  edit(
    packed / 'dataset_info.json',
    lambda info: info.update(name=f'{to}/{info["name"]}'),
  )


def by_link(packed, folder):
  for path in move_records(packed, folder):
    (packed / path.name).symlink_to(path)


@pytest.mark.parametrize(
  'leave', [by_template, by_absolute_template, by_name, by_link]
)
def test_records_outside_of_the_folder_are_not_read(packed, tmp_path, leave):
  leave(packed, tmp_path / 'private')
  with pytest.raises(errors.UserError, match='no file in that folder') as found:
    archives.photos(f'tfds:{packed}:train')
  assert '\n' not in str(found.value)


def test_a_folder_that_is_itself_a_link_is_read(packed, tmp_path):
  (tmp_path / 'link').symlink_to(packed)
  assert len(archives.photos(f'tfds:{tmp_path / "link"}:train')) == 2


def image_feature(features):
  return features['featuresDict']['features']['image']


def rename(key):
  def change(features):
    feature = image_feature(features)
    feature.pop('pythonClassName')
    feature[key] = f'{EVIL}.Image'

  return change


def in_old_form(features):
  content = {'image': {'type': f'{EVIL}.Image', 'content': {}}}
  old = 'tensorflow_datasets.core.features.features_dict.FeaturesDict'
  features.clear()
  features.update(type=old, content=content)


def in_old_form_as_text(features):
  """A description within a string, where keys are not those of JSON."""
  text = json.dumps({'features': {'image': {'pythonClassName': f'{EVIL}.X'}}})
  features.clear()
  features.update(
    type='tensorflow_datasets.core.features.features_dict.FeaturesDict',
    proto_cls='tensorflow_datasets.FeaturesDict',
    content=text,
  )


@pytest.fixture
def evil(tmp_path, monkeypatch):
  """What a module beside the data set leaves when it is imported."""
  mark = tmp_path / 'harm'
  code = f'import pathlib\npathlib.Path({str(mark)!r}).touch()\n'
  (tmp_path / f'{EVIL}.py').write_text(code)
  # As the folder is from which `python -m dbflax.main` is called.
  monkeypatch.syspath_prepend(str(tmp_path))
  yield mark
  sys.modules.pop(EVIL, None)


def _read_without_harm(source, evil):
  try:
    archives.photos(source)
  finally:
    assert not evil.exists()


@pytest.mark.parametrize(
  'change',
  [
    rename('pythonClassName'),
    rename('python_class_name'),
    in_old_form,
    in_old_form_as_text,
  ],
)
def test_code_that_a_data_set_names_is_not_imported(packed, evil, change):
  edit(packed / 'features.json', change)
  with pytest.raises(errors.UserError, match=r'do not trust|prepare.*again'):
    _read_without_harm(f'tfds:{packed}:train', evil)


def test_nor_that_of_one_where_tfds_keeps_its_own(packed, evil, monkeypatch):
  edit(packed / 'features.json', rename('pythonClassName'))
  root = packed.parents[1]
  monkeypatch.setattr(file_utils, '_REGISTERED_DATA_DIRS', {root})
  # Found by its files alone: TFDS does not know a builder of that name.
  os.rename(root / 'photo_folder', root / 'anything')
  edit(
    root / 'anything' / packed.name / 'dataset_info.json',
    lambda info: info.update(name='anything'),
  )
  with pytest.raises(errors.UserError, match='do not trust'):
    _read_without_harm('tfds:anything:train', evil)


def test_features_of_any_name_are_no_reason_to_refuse(tmp_path):
  """`type` and `json` are what the features of a data set may be called."""

  class Named(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      texts = {key: tfds.features.Text() for key in ('type', 'json')}
      image = tfds.features.Image(encoding_format='png')
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict({'image': image, **texts}),
      )

    def _split_generators(self, dl_manager):
      del dl_manager
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      images.save_png(tmp_path / 'a.png', np.zeros((40, 40, 3), np.uint8))
      yield 0, {'image': tmp_path / 'a.png', 'type': 'x', 'json': '{}'}

  builder = Named(data_dir=tmp_path / 'tfds', file_format='array_record')
  builder.download_and_prepare()
  loaded = subjects.load(f'tfds:{builder.data_path}:train', (32,))
  assert loaded[32].shape == (1, 32, 32, 3)
