"""The picture of a run: what is on it, and where."""

import json

import numpy as np
import pytest
from PIL import Image

from dbflax import errors, picture
from dbflax.data import images


def grey(path, value):
  path.parent.mkdir(parents=True, exist_ok=True)
  images.save_png(path, np.full((8, 8, 3), value, np.uint8))


@pytest.fixture
def run(tmp_path):
  """A workdir: two photos, five prompts of the subject, one of the class."""
  for n in range(2):
    grey(tmp_path / f'photos/{n:02d}.png', 10 * n)
  entries = []
  for n in range(6):
    pair = [
      {'stage_1': f'stage_1/{n}{i}.png', 'stage_2': f'stage_2/{n}{i}.png'}
      for i in range(2)
    ]
    for one in pair:
      grey(tmp_path / 'samples' / one['stage_1'], 250)
      grey(tmp_path / 'samples' / one['stage_2'], 100 + 10 * n)
    grey(tmp_path / 'samples' / pair[1]['stage_2'], 200)
    template = 'a {class_noun}' if n == 2 else 'a {subject}'
    entries.append(
      {'template': template, 'prompt': f'prompt {n}', 'images': pair}
    )
  (tmp_path / 'samples/samples.json').write_text(json.dumps(entries))
  (tmp_path / 'identifier').mkdir()
  found = {'class_noun': 'dog', 'subject': 'zk dog'}
  (tmp_path / 'identifier/identifier.json').write_text(json.dumps(found))
  return tmp_path


def test_it_shows_photos_and_first_images_of_the_last_stage(run):
  shown = np.asarray(picture.draw(run))[..., 0]
  step, half = picture.TILE + picture.GAP, picture.TILE // 2
  row = picture.TILE + picture.LINE + picture.GAP
  below = shown.shape[0] - 2 * row + picture.GAP
  at = lambda top, column: shown[top + half, column * step + half]
  assert [at(0, n) for n in range(2)] == [0, 10]
  # Prompt 2 is of the class.
  assert [at(below, n) for n in range(4)] == [100, 110, 130, 140]
  assert [at(below + row, n) for n in range(2)] == [150, 255]
  words = shown[below + picture.TILE : below + picture.TILE + picture.LINE]
  assert words.min() == 0 and words.max() == 255


def test_long_prompts_fit():
  texts = ['a dog', 'a photo of a zk dog in a crowd of other dogs']
  small = picture._font(texts, picture.TILE)
  assert (
    picture._font(texts[:1], picture.TILE).size == picture.FONT > small.size
  )
  assert small.getlength(texts[1]) <= picture.TILE


def test_the_file_is_a_function_of_the_run(run, tmp_path):
  for name in ('a.jpg', 'b.jpg'):
    picture.main(str(run), str(tmp_path / name))
  assert (tmp_path / 'a.jpg').read_bytes() == (tmp_path / 'b.jpg').read_bytes()
  assert Image.open(tmp_path / 'a.jpg').format == 'JPEG'
  picture.main(str(run), str(tmp_path / 'a.PNG'))
  assert Image.open(tmp_path / 'a.PNG').format == 'PNG'


def test_it_refuses_what_a_page_should_not_hold(run, tmp_path, monkeypatch):
  monkeypatch.setattr(picture, 'MAX_BYTES', 1000)
  with pytest.raises(errors.UserError, match='bytes, over 1000'):
    picture.main(str(run), str(tmp_path / 'a.jpg'))
  assert not (tmp_path / 'a.jpg').exists()


def test_a_run_without_samples_is_refused(run):
  (run / 'samples/samples.json').unlink()
  with pytest.raises(errors.UserError, match='no samples'):
    picture.draw(run)
