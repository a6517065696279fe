"""The DreamBooth dataset of a local copy, real or made up."""

import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import dreambooth as config
from dbflax import errors, main, validate
from dbflax.data import benchmark, dreambooth, images, subjects


@pytest.fixture
def copy(tmp_path):
  """A local copy of two subjects, and what else lies there."""
  generator = np.random.default_rng(0)
  for name, count in (('dog6', 3), ('vase', 11)):
    for n in range(count):
      image = generator.integers(0, 256, (40, 50, 3), np.uint8)
      images.save_png(tmp_path / f'copy/{name}/{n:02d}.png', image)
  (tmp_path / 'copy/prompts_and_classes.txt').write_text('Classes')
  return tmp_path / 'copy'


def test_photos_come_back_in_their_order(copy, tmp_path):
  names = dreambooth.prepare(copy, tmp_path / 'tfds')
  assert [*names] == ['dog6', 'vase']
  for name, source in names.items():
    want = subjects.load(str(copy / name), (32,))[32]
    np.testing.assert_array_equal(subjects.load(source, (32,))[32], want)
  assert 'tensorflow' not in sys.modules


def test_a_data_set_is_of_the_copy_that_was_named_last(copy, tmp_path):
  dreambooth.prepare(copy, tmp_path / 'tfds')
  (copy / 'vase/00.png').unlink()
  source = dreambooth.prepare(copy, tmp_path / 'tfds')['vase']
  assert subjects.load(source, (32,))[32].shape[0] == 10


def test_the_class_noun_is_kept(copy, tmp_path):
  source = dreambooth.prepare(copy, tmp_path / 'tfds')['vase']
  builder = tfds.builder_from_directory(source.split(':')[1])
  assert builder.info.metadata == {'class_noun': 'vase', 'kind': 'object'}


def test_the_subjects_that_are_missing_are_named_in_one_line(
  copy, tmp_path, capsys
):
  dreambooth.main([str(copy), str(tmp_path / 'tfds')])
  [one, two, missing] = capsys.readouterr().out.splitlines()[-3:]
  assert one.endswith('(dog)') and two.endswith('(vase)')
  assert set(missing.split(': ')[1].split(', ')) == (
    benchmark.SUBJECTS.keys() - {'dog6', 'vase'}
  )


def _without_subjects(copy):
  for name in ('dog6', 'vase'):
    shutil.rmtree(copy / name)


def _as_archive(copy):
  shutil.make_archive(str(copy), 'zip', copy)
  shutil.rmtree(copy)
  copy.with_suffix('.zip').rename(copy)


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (_without_subjects, 'none of the 30 subjects'),
    (_as_archive, 'is no folder.*unpacked'),
    (shutil.rmtree, 'is no folder'),
    (lambda copy: (copy / 'dog6/01.png').write_bytes(b'x'), r'dog6/01\.png'),
    (
      lambda copy: shutil.rmtree(copy / 'dog6') or (copy / 'dog6').mkdir(),
      'no photo in',
    ),
  ],
)
def test_a_bad_copy_is_refused_and_leaves_no_data_set(
  copy, tmp_path, damage, message
):
  damage(copy)
  with pytest.raises(errors.UserError, match=message) as caught:
    dreambooth.prepare(copy, tmp_path / 'tfds')
  assert '\n' not in str(caught.value)
  assert not list(tmp_path.glob('tfds/dreambooth/*/1.0.0'))


def test_there_are_21_objects_and_9_live_subjects():
  kinds = [subject.kind for subject in benchmark.SUBJECTS.values()]
  assert (kinds.count('object'), kinds.count('live')) == (21, 9)


def test_a_run_of_a_subject_is_the_paper_s_protocol():
  made = config.get_config('cat2:if_m')
  validate.check(made)
  assert made.name == 'dreambooth_cat2_if_m'
  assert made.subject.photos == 'tfds:dreambooth/cat2:train'
  assert made.subject.class_noun == 'cat'
  assert made.cascade.path == 'DeepFloyd/IF-I-M-v1.0'
  about = [p for p in made.sample.prompts if '{subject}' in p]
  assert len(about) == 25 and 'a {subject} wearing a red hat' in about
  assert made.sample.images_per_prompt == 4


def test_an_unknown_subject_is_refused(capsys):
  for variant, message in (
    ('dog4', "did you mean ':dog"),
    ('dog:if_xxl', "did you mean ':if_xl'"),
  ):
    path = main.__file__.replace('dbflax/main.py', 'configs/dreambooth.py')
    assert main.main(['dbflax', f'--config={path}:{variant}']) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def real(shared_data):
  folder = shared_data / 'dreambooth'
  if not folder.is_dir():
    pytest.skip(f'no folder {folder}: photos of the DreamBooth dataset')
  return folder


def test_the_classes_are_the_published_ones(real):
  text = (real / 'prompts_and_classes.txt').read_text()
  text = text.split('subject_name,class')[1].split('Prompts')[0]
  published = dict(re.findall(r'(\w+),([\w ]+)', text))
  assert len(published) == 30
  ours = {name: s.class_noun for name, s in benchmark.SUBJECTS.items()}
  assert ours == published
  live = {name for name, noun in published.items() if noun in ('cat', 'dog')}
  kinds = {name for name, s in benchmark.SUBJECTS.items() if s.kind == 'live'}
  assert kinds == live


def test_the_real_photos_come_back(real, tmp_path):
  names = dreambooth.prepare(real, tmp_path)
  assert names.keys() >= {'backpack_dog', 'dog', 'teapot'}
  for name, source in names.items():
    want = subjects.load(str(real / name), (64,))[64]
    np.testing.assert_array_equal(subjects.load(source, (64,))[64], want)
