"""Photos that less can be learnt from than expected are mentioned."""

import numpy as np
import pytest

from configs import test as test_config
from dbflax import subject
from dbflax.data import images


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


def test_toybox_is_known(tiny, caplog):
  config = test_config.get_config()
  subject.load(config, tiny.tokenizer, (16, 4096))
  assert caplog.text == ''
