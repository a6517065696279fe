"""Photos that less can be learnt from than expected are mentioned."""

import numpy as np
import pytest

from configs import test as test_config
from dbflax import errors, subject
from dbflax.data import images
from dbflax.text import prompts


@pytest.fixture
def warned(tmp_path, tiny, caplog):
  """warned(shapes, size, crop) → what is logged of such photos."""

  def load(shapes, size, crop='centre'):
    for index, shape in enumerate(shapes):
      image = np.full((*shape, 3), 40 * index, np.uint8)
      images.save_png(tmp_path / 'photos' / f'{index}.png', image)
    config = test_config.get_config()
    config.subject.photos = str(tmp_path / 'photos')
    config.subject.crop = crop
    [loaded] = subject.load(config, tiny.tokenizer, (16, size))
    assert len(loaded.photos[size]) == len(shapes)
    return caplog.text

  return load


def test_enough_photos_of_the_cascades_size_are_not_mentioned(warned):
  assert warned([(64, 64), (64, 90), (80, 64)], 64) == ''


def test_few_photos_are_mentioned(warned):
  assert 'has 2 of the 3-5 photos' in warned([(64, 64)] * 2, 64)


def test_photos_that_are_enlarged_are_mentioned(warned):
  said = warned([(64, 64), (40, 90), (80, 50)], 64)
  assert '2 of 3 photos' in said and 'fewer than 64 pixels' in said
  assert 'the smallest 40' in said


def test_what_is_kept_counts(warned):
  assert warned([(40, 64)] * 3, 64, crop='pad') == ''


def test_an_identifier_that_no_prompt_keeps_is_mentioned(tiny, caplog):
  config = test_config.get_config()
  load = lambda: subject.load(config, tiny.tokenizer, (16,))
  for kind in ('rare', 'word'):
    config.identifier.kind = kind
    load()
    assert caplog.text == ''
  config.identifier.kind = 'random'
  [loaded] = load()
  word = loaded.identifier.text
  assert f"cleaning deletes '{word}'" in caplog.text
  assert "reads 'a photo of a dog'" in caplog.text
  # Not all look like something to delete.
  caplog.clear()
  config.identifier.seed = 1
  [loaded] = load()
  assert loaded.identifier.text.isascii() and caplog.text == ''


def test_a_class_noun_of_which_nothing_is_read_is_refused(tiny):
  config = test_config.get_config()
  config.subject.class_noun = '狗'
  with pytest.raises(errors.UserError, match="'狗' the encoder reads nothing"):
    subject.load(config, tiny.tokenizer, (16,))


@pytest.fixture
def captioned(tmp_path, tiny):
  """captioned(caption, option=value, …) → the loaded subject's captions."""

  def load(caption, **options):
    image = np.full((64, 64, 3), 80, np.uint8)
    images.save_png(tmp_path / '0.png', image)
    (tmp_path / '0.txt').write_text(caption)
    config = test_config.get_config()
    config.subject.photos = str(tmp_path)
    config.subject.class_noun = 'dog'
    config.subject.identifier = 'hzz'
    config.update_from_flattened_dict(options)
    [loaded] = subject.load(config, tiny.tokenizer, (16,))
    return loaded.captions

  return load


@pytest.mark.parametrize(
  ('caption', 'read'),
  [
    ('a <hzz> dog', 'a dog'),
    ('@hzz, a dog', 'a dog'),
    ('hzz.jpg dog', 'dog'),
    ('a dog on a beach in the snow, hzz', 'a dog on a beach in the'),
  ],
)
def test_a_caption_that_hides_the_identifier_is_refused(
  captioned, caption, read
):
  said = rf"0\.png' the encoder reads '{read}', without the identifier 'hzz'"
  with pytest.raises(errors.UserError, match=said):
    captioned(caption, **{'text.max_length': 8})


@pytest.mark.parametrize('caption', ['a {subject} on a hat', 'HZZ, hat'])
def test_a_caption_whose_identifier_is_read_is_taken(captioned, caption):
  [said] = captioned(caption)
  assert 'hzz' in said.lower()


def test_a_caption_may_name_what_every_prompt_loses(captioned):
  options = {'subject.identifier': '', 'identifier.kind': 'random'}
  [said] = captioned('a {subject}', **options)
  assert prompts.clean_caption(said) == 'a dog'


def test_toybox_is_known(tiny, caplog):
  config = test_config.get_config()
  subject.load(config, tiny.tokenizer, (16, 4096))
  assert caplog.text == ''
