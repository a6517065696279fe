"""The embedded oracle reads the embedded contact sheets."""

import jax
import numpy as np
import pytest
from PIL import Image

from configs import default
from dbflax import job, pretrained, rng
from dbflax.data import images
from dbflax.toybox import oracle as oracle_lib
from dbflax.toybox import scene
from dbflax.train import drawing, sheets

SIDE = oracle_lib.RESOLUTION
NOUNS = ('dog', 'clock')
GAP = 2  # between the pictures of images.grid


@pytest.fixture(scope='module', params=NOUNS)
def sheet(request):
  """(class, its cases, held-out renders of them, the embedded sheet)."""
  shown = sheets.cases(request.param)
  number = scene.CLASSES.index(request.param)
  key = rng.key(jax.random.key(0), 'sheets', number)
  scenes = sheets.held_out_scenes(request.param, shown, key)
  render = drawing.renderer(SIDE, len(shown))
  path = pretrained.ASSETS / f'toybox/sheets/{request.param}.png'
  return request.param, shown, render(scenes), np.asarray(Image.open(path))


def _tiles(sheet: np.ndarray, row: int) -> np.ndarray:
  """The pictures of one row of a sheet: uint8 [columns, SIDE, SIDE, 3]."""
  step = SIDE + GAP
  cut = lambda column: sheet[
    row * step : row * step + SIDE, column * step : column * step + SIDE
  ]
  return np.stack([cut(column) for column in range(sheets.COLUMNS)])


def test_its_renders_are_the_renderer_s(sheet):
  _, _, renders, picture = sheet
  rows = np.concatenate([_tiles(picture, 0), _tiles(picture, 2)])
  off = np.abs(rows.astype(float) - images.to_uint8(renders))
  assert off.mean() < 0.5


def _check(noun, shown, pictures):
  """Asserts what is right of pictures of the cases; returns all answers."""
  seen = oracle_lib.read(oracle_lib.load(), pictures)
  answers = {name: x.argmax(-1) for name, x in seen.logits.items()}
  of_class = answers['class_id'] == scene.CLASSES.index(noun)
  assert of_class.mean() > 0.95
  for field in ('accessory_id', 'style_id'):
    assert _share(answers, shown, field) > 0.9, field
  return answers


def _share(answers, shown, field):
  asked = np.array([case.fields.get(field, 0) for case in shown])
  return (answers[field][: len(shown)] == asked).mean()


def test_the_oracle_reads_the_renders(sheet):
  noun, shown, renders, _ = sheet
  answers = _check(noun, shown, renders)
  assert _share(answers, shown, 'place_id') > 0.9


@pytest.mark.slow  # A minute: it compiles the base's sampler and draws 14.
def test_the_oracle_reads_samples_drawn_anew(sheet):
  """A row of the sheet by the embedded weights, other noise."""
  noun, shown, _, _ = sheet
  model = pretrained.load(pretrained.ASSETS / 'toybox', stages=('stage_1',))
  options = job.sampling(default.get_config(), 'stage_1')
  encode = drawing.encoder(model, 77)
  draw = drawing.sampler(model, 'stage_1', options, encode, sheets.COLUMNS)
  shown = shown[: sheets.COLUMNS]
  keys = drawing.keys(1, 'a small sheet', len(shown))
  answers = _check(noun, shown, draw([case.prompt for case in shown], keys))
  assert _share(answers, shown, 'place_id') > 0.9


def test_the_oracle_reads_the_samples(sheet):
  """What the embedded cascade drew; the prompts of one row name the place."""
  noun, shown, _, picture = sheet
  drawn = np.concatenate([_tiles(picture, 1), _tiles(picture, 3)])
  answers = _check(noun, shown, images.to_float(drawn))
  assert _share(answers, shown[: sheets.COLUMNS], 'place_id') > 0.9
