"""Bad input of many kinds: one clear line each, never a traceback.

What is refused raises UserError; what stays readable must be what it was.
"""

import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import struct

import numpy as np
import pytest
from PIL import Image

from dbflax import disk, errors, main, pretrained, validate, workdir
from dbflax.data import images, photo_folder, subjects

ROOT = pathlib.Path(__file__).parents[1]


def refusal(act):
  """The line that `act` is refused with; '' if it is not."""
  try:
    act()
  except errors.UserError as error:
    assert str(error) and '\n' not in str(error), repr(str(error))
    return str(error)
  return ''


# --- Config values -----------------------------------------------------------

VALUES = (
  *('', 'nan', 'inf', '-1', '-0.5', '1e400', '0', '99999999999999999999'),
  *('()', '("a",)', '(1, 2, 3)', 'None', '{}', "'", '../../x', '\x00', '💥'),
  *('True', '__import__("os").getcwd()', '{subject.__class__}', '%s%n'),
)


def fields():
  config = main.parse(['dbflax', f'--config={ROOT / "configs/dog.py"}'])[0]
  return [path for path, _ in validate.flatten(config)]


@pytest.mark.parametrize('value', VALUES, ids=repr)
def test_any_value_of_any_field_is_taken_or_refused(value, tmp_path):
  config = f'--config={ROOT / "configs/dog.py"}'
  where = f'--workdir={tmp_path}'
  for field in fields():
    refusal(
      lambda field=field: main.parse(
        ['dbflax', config, f'--config.{field}={value}', where]
      )
    )
  assert not list(tmp_path.iterdir())


# --- A cascade's files -------------------------------------------------------


def safetensors_file(header, data=b'\0' * 64):
  content = header if isinstance(header, bytes) else json.dumps(header).encode()
  return struct.pack('<Q', len(content)) + content + data


def tensor(**changes):
  entry = {'dtype': 'F32', 'shape': [4, 4], 'data_offsets': [0, 64]}
  return {'conv_in.weight': entry | changes}


HEADERS = {
  'empty file': b'',
  'eight bytes': b'\x08' + b'\0' * 7,
  'a header longer than the file': struct.pack('<Q', 2**40) + b'{}',
  'a header of 2^64': b'\xff' * 16,
  'no json': safetensors_file(b'not json'),
  'a list': safetensors_file([1, 2]),
  'no tensor': safetensors_file({}),
  'an unknown type': safetensors_file(tensor(dtype='Q7')),
  'a negative size': safetensors_file(tensor(shape=[-4, 4])),
  'offsets out of the file': safetensors_file(tensor(data_offsets=[0, 6400])),
  'offsets backwards': safetensors_file(tensor(data_offsets=[64, 0])),
  'a shape that its bytes are not': safetensors_file(tensor(shape=[40, 4])),
  'a huge shape': safetensors_file(tensor(shape=[2**40, 2**40])),
  'a pickle': b'\x80\x04\x95\x1a\x00\x00\x00\x8c\x02os\x8c\x06system\x93.',
  'a zip': b'PK\x03\x04' + b'\0' * 60,
}
WEIGHTS = 'stage_1/unet/diffusion_pytorch_model.safetensors'


@pytest.fixture
def tiny(tmp_path):
  return shutil.copytree(pretrained.ASSETS / 'tiny', tmp_path / 'tiny')


def read(folder):
  model = pretrained.load(folder, ('stage_1', 'stage_2'))
  pretrained.load_params(model, 'stage_1')
  pretrained.load_params(model, 'text_encoder')


def test_a_whole_cascade_is_read(tiny):
  assert not refusal(lambda: read(tiny))


@pytest.mark.parametrize('kind', HEADERS)
def test_weights_that_are_none_are_refused(tiny, kind):
  (tiny / WEIGHTS).write_bytes(HEADERS[kind])
  assert str(tiny / 'stage_1/unet') in refusal(lambda: read(tiny))


@pytest.mark.parametrize('sixteenth', range(16))
@pytest.mark.parametrize(
  'name', [WEIGHTS, 'text_encoder/model.safetensors', 'tokenizer/spiece.model']
)
def test_a_file_that_is_cut_is_refused(tiny, name, sixteenth):
  content = (tiny / name).read_bytes()
  (tiny / name).write_bytes(content[: len(content) * sixteenth // 16])
  assert str(tiny) in refusal(lambda: read(tiny))


JSONS = (
  *('', '{', 'null', '[]', '"a"', '7', '{"a": }', '\x00\xff', '[' * 10_000),
  '{"a": NaN, "a": 1}',
)
NAMES = (
  *('stage_1/unet/config.json', 'stage_1/scheduler/scheduler_config.json'),
  *('stage_2/image_noising_scheduler/scheduler_config.json',),
  'text_encoder/config.json',
)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('content', JSONS, ids=lambda c: repr(c[:12]))
def test_json_that_is_none_is_refused(tiny, name, content):
  (tiny / name).write_text(content, encoding='latin-1')
  assert refusal(lambda: read(tiny))


STRANGE = (None, -1, 0, 2.5, '', 'x', [], [0], [-8, 16], {}, True, 10**30)


@pytest.mark.parametrize('name', NAMES)
def test_a_strange_value_in_a_configuration_is_refused_or_ignored(tiny, name):
  whole = json.loads((tiny / name).read_text())
  for field in whole:
    for value in STRANGE:
      (tiny / name).write_text(json.dumps(whole | {field: value}))
      refusal(lambda: pretrained.load(tiny, ('stage_1', 'stage_2')))


INDEXES = {
  'no map': {},
  'a list for a map': {'weight_map': []},
  'a number for a file': {'weight_map': {'a': 7}},
  'no file': {'weight_map': {'a': ''}},
  'a file above': {'weight_map': {'a': '../model.safetensors'}},
  'a file at the root': {'weight_map': {'a': '/etc/passwd'}},
  'a folder': {'weight_map': {'a': '.'}},
  'the index itself': {'weight_map': {'a': '{index}'}},
  'a missing file': {'weight_map': {'a': 'b.safetensors'}},
}


@pytest.mark.parametrize('kind', INDEXES)
def test_an_index_that_is_none_is_refused(tiny, kind):
  (tiny / WEIGHTS).unlink()
  index = tiny / f'{WEIGHTS}.index.json'
  content = json.dumps(INDEXES[kind]).replace('{index}', index.name)
  index.write_text(content)
  assert refusal(lambda: read(tiny))


# --- Photos ------------------------------------------------------------------


def encoded(format):
  pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, format)
  return file.getvalue()


@pytest.mark.parametrize(
  'format', ['PNG', 'JPEG', 'WEBP', 'GIF', 'BMP', 'TIFF']
)
def test_a_photo_that_is_cut_is_refused(tmp_path, format):
  content = encoded(format)
  for sixteenth in range(15):
    path = tmp_path / f'a.{format.lower()}'
    path.write_bytes(content[: len(content) * sixteenth // 16])
    assert str(path) in refusal(lambda: subjects.load(str(tmp_path), [16]))


PHOTOS = {
  'nothing': b'',
  'text': b'hello',
  'a web page': b'<!doctype html><script>alert(1)</script>',
  'a picture of lines': b'<svg xmlns="http://www.w3.org/2000/svg"/>',
  'a program': b'\x7fELF' + b'\0' * 60,
  'a png without pixels': encoded('PNG')[:33],
  'a png of 2^31 pixels a side': (
    b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0'
    b'\0\0\0\0'
  ),
}


@pytest.mark.parametrize('kind', PHOTOS)
def test_a_photo_that_is_none_is_refused(tmp_path, kind):
  (tmp_path / 'a.png').write_bytes(PHOTOS[kind])
  assert 'a.png' in refusal(lambda: subjects.load(str(tmp_path), [16]))


# --- Books of a run ----------------------------------------------------------

BOOKS = (
  *JSONS,
  *('{}', '{"inputs": 3}', '{"inputs": {}, "files": []}'),
  '{"inputs": {"n": 3}, "files": {"../../etc/passwd": [1, "a"]}}',
  '{"inputs": {"n": 3}, "files": {"result.txt": 4}}',
)


@pytest.mark.parametrize('name', [disk.MANIFEST, disk.STARTED])
@pytest.mark.parametrize('content', BOOKS, ids=lambda c: repr(c[:40]))
def test_a_damaged_book_never_passes_for_a_finished_step(
  tmp_path, name, content
):
  calls, run = [], workdir.Workdir(tmp_path)

  def build(folder):
    calls.append(folder)
    (folder / 'result.txt').write_text('made')

  run.step('prior', {'n': 3}, build)
  if name == disk.STARTED:
    (run.prior / disk.MANIFEST).unlink()
  (run.prior / name).write_text(content, encoding='latin-1')
  line = refusal(lambda: run.step('prior', {'n': 3}, build))
  assert line or len(calls) == 2


# --- What is no file ---------------------------------------------------------


def make_socket(path):
  # By a short name: the system allows no long ones.
  with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
    made.bind(path.name)


NO_FILES = {
  'a pipe': os.mkfifo,
  'a socket': make_socket,
  'a device': lambda path: path.symlink_to('/dev/zero'),
  'a folder': pathlib.Path.mkdir,
}


@pytest.fixture(params=NO_FILES)
def in_place_of(request):
  """in_place_of(path) puts what is no file there; a test must not hang on it.

  What it returns is what messages call it.
  """

  def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    NO_FILES[request.param](path)
    return request.param

  def hang(number, frame):
    raise AssertionError('it waits for ever')

  before = signal.signal(signal.SIGALRM, hang)
  signal.alarm(30)
  yield put
  signal.alarm(0)
  signal.signal(signal.SIGALRM, before)


def assert_named(act, path, kind):
  line = refusal(act)
  assert str(path) in line and f'is {kind}, where a file should be' in line


@pytest.mark.parametrize(
  'name',
  [
    *(*NAMES, WEIGHTS, f'{WEIGHTS}.index.json'),
    *('text_encoder/model.safetensors', 'tokenizer/spiece.model'),
  ],
)
def test_no_file_in_a_cascade(tiny, in_place_of, name):
  if name.endswith('.index.json'):
    (tiny / WEIGHTS).unlink()
  assert_named(lambda: read(tiny), tiny / name, in_place_of(tiny / name))


def test_no_file_among_shards(tiny, in_place_of):
  shard = (tiny / WEIGHTS).rename(tiny / 'stage_1/unet/a.safetensors')
  index = {'weight_map': {'conv_in.weight': shard.name}}
  (tiny / f'{WEIGHTS}.index.json').write_text(json.dumps(index))
  assert_named(lambda: read(tiny), shard, in_place_of(shard))


def test_no_file_among_photos(tmp_path, in_place_of):
  (tmp_path / 'a.png').write_bytes(encoded('PNG'))
  kind = in_place_of(tmp_path / 'b.png')
  load = lambda: subjects.load(str(tmp_path), [16])
  assert_named(load, tmp_path / 'b.png', kind)


@pytest.mark.parametrize(
  'pattern', ['*.array_record*', 'features.json', 'dataset_info.json']
)
def test_no_file_in_a_data_set(tmp_path, in_place_of, pattern):
  (tmp_path / 'photos').mkdir()
  (tmp_path / 'photos/a.png').write_bytes(encoded('PNG'))
  source = photo_folder.prepare(tmp_path / 'photos', tmp_path / 'tfds')
  folder = pathlib.Path(source.removeprefix('tfds:').removesuffix(':train'))
  [path] = folder.glob(pattern)
  in_place_of(path)
  line = refusal(lambda: subjects.load(source, [16]))
  assert str(path) in line


@pytest.mark.parametrize(
  'name',
  ['run.json', 'run.lock', 'prior/manifest.json', 'prior/started.json'],
)
def test_no_file_among_the_books(tmp_path, in_place_of, name):
  build = lambda folder: (folder / 'result.txt').write_text('made')
  with contextlib.closing(workdir.Workdir(tmp_path, 'dog')) as run:
    run.step('prior', {'n': 3}, build)
  if name.endswith('started.json'):
    (run.prior / disk.MANIFEST).unlink()
  kind = in_place_of(tmp_path / name)
  again = workdir.Workdir(tmp_path, 'dog')
  act = lambda: again.step('prior', {'n': 3}, build)
  assert_named(act, tmp_path / name, kind)
  assert (run.prior / 'result.txt').read_text() == 'made'


def test_no_file_among_results(tmp_path, in_place_of):
  """It is as if the file were missing: the step is done again."""
  calls = []

  def build(folder):
    calls.append(folder)
    (folder / 'result.txt').write_text('made')

  run = workdir.Workdir(tmp_path)
  run.step('prior', {'n': 3}, build)
  in_place_of(run.prior / 'result.txt')
  run.step('prior', {'n': 3}, build)
  assert len(calls) == 2
  assert (run.prior / 'result.txt').read_text() == 'made'


def test_no_file_for_a_config(tmp_path, in_place_of):
  in_place_of(tmp_path / 'a.py')
  parse = lambda: main.parse(['dbflax', f'--config={tmp_path / "a.py"}'])
  assert str(tmp_path / 'a.py') in refusal(parse)


def test_no_file_for_a_picture_of_a_run(tmp_path, in_place_of):
  path = tmp_path / '0000.png'
  assert_named(lambda: images.load(path), path, in_place_of(path))
