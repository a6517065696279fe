import base64
import html.parser
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dbflax import errors, report

HOSTILE = '<script>alert(1)</script>" onerror="alert(2)'
RESOLUTIONS = {'stage_1': 64, 'stage_2': 256, 'stage_3': 1024}


def draw(path, width, height=None, seed=0):
  """Writes a smooth image with a bit of noise, as a sample has."""
  height = height or width
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
  waves = np.stack([x, y, np.hypot(x - 0.5, y - 0.5)], axis=-1)
  image = 128 + 100 * np.sin(waves * 9 + rng.uniform(0, 6, 3))
  image += rng.normal(0, 3, image.shape)
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


def write_json(path, value):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value))


def identify(root):
  identifier = {'text': 'fhz', 'ids': [800], 'pieces': ['▁fhz']}
  identifier |= {'kind': 'rare', 'subject': 'fhz dog', 'class_noun': 'dog'}
  write_json(root / 'identifier' / 'identifier.json', identifier)


def train(root, name, steps, prior):
  rng = np.random.default_rng(steps)
  lines = []
  for step in range(steps):
    line = {'step': step, 'instance_loss': rng.lognormal(-3 - step / steps)}
    line |= {'prior_loss': rng.lognormal(-4)} if prior else {}
    lines.append(json.dumps(line) + '\n')
  path = root / name / 'metrics.jsonl'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(''.join(lines) + '{"step": 99')


def sample(root, prompts, stages=RESOLUTIONS, count=1):
  record = []
  for i, prompt in enumerate(prompts):
    images = [
      {stage: f'{stage}/{i:02d}_{j:02d}.png' for stage in stages}
      for j in range(count)
    ]
    for image in images:
      for stage, name in image.items():
        draw(root / 'samples' / name, RESOLUTIONS[stage], seed=i)
    record.append({'template': prompt, 'prompt': prompt, 'images': images})
  write_json(root / 'samples' / 'samples.json', record)


def finished(root, prompts=('a photo of a fhz dog',), count=1):
  """A workdir with every part that a report can show."""
  identify(root)
  config = {'name': 'dog', 'prior.prompt': 'a {class_noun}', 'seed': 7}
  config['command'] = 'python -m dbflax.main --config=configs/dog.py'
  write_json(root / 'config.json', config)
  write_json(root / 'times.json', {'prior': 30.0, 'stage_1': 90.0})
  draw(root / 'photos' / '00.png', 1024)
  draw(root / 'prior' / '000.png', 64)
  train(root, 'stage_1', 60, prior=True)
  train(root, 'stage_2', 20, prior=False)
  draw(root / 'stage_1' / 'samples' / '000100.png', 262, 64)
  draw(root / 'stage_2' / 'samples' / '000100.png', 772, 256)
  sample(root, prompts, count=count)
  return root


class Page(html.parser.HTMLParser):
  """What a browser would make of a page: tags, text, and no more."""

  def __init__(self, path):
    super().__init__()
    self.source = path.read_text()
    self.tags, self.words, self.open = [], [], []
    self.feed(self.source)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    self.open.append(tag)

  def handle_endtag(self, tag):
    while self.open and self.open.pop() != tag:
      pass

  def handle_data(self, data):
    if not {'script', 'style'} & set(self.open):
      self.words.append(data)

  @property
  def text(self):
    return ' '.join(' '.join(self.words).split())

  def all(self, tag):
    return [attributes for name, attributes in self.tags if name == tag]


def make(root):
  report.write(root / 'report', root)
  return Page(root / 'report' / 'index.html')


def decoded(uri):
  content = base64.b64decode(uri.partition('base64,')[2])
  return Image.open(io.BytesIO(content))


def test_shows_every_part_of_a_run(tmp_path):
  page = make(finished(tmp_path, ('a fhz dog on the beach',)))
  for words in (
    *('Photos', 'Before: the class', 'While training', 'Loss', 'Time'),
    *('Configuration', 'fhz', '800', 'on the beach', 'for “a dog”'),
    *('after 100 steps', 'prior preservation', '1 min 30 s', '2 min 00 s'),
    *('64 px', '256 px', '1024 px', 'configs/dog.py', 'seed'),
  ):
    assert words in page.text, words
  assert len(page.all('svg')) == 2
  # One photo, one class image, two grids and three stages; the last image is
  # the empty one that enlarges the others.
  assert len(page.all('img')) == 8


def test_nothing_is_fetched(tmp_path):
  page = make(finished(tmp_path))
  for _, attributes in page.tags:
    for name in ('src', 'href', 'xlink:href', 'action', 'srcset', 'poster'):
      assert attributes.get(name, '#').startswith(('data:', '#'))
  assert '@import' not in page.source
  assert all(
    url.startswith('#') for url in re.findall(r'url\((.)', page.source)
  )
  policy = page.all('meta')[3]
  assert policy['http-equiv'] == 'Content-Security-Policy'
  assert policy['content'].startswith("default-src 'none'; img-src data:;")


def test_small_images_stay_exact_and_large_ones_get_light(tmp_path):
  page = make(finished(tmp_path))
  original = tmp_path / 'samples' / 'stage_1' / '00_00.png'
  uris = [image['src'] for image in page.all('img') if image.get('src')]
  shown = [decoded(uri) for uri in uris]
  assert any(
    image.size == (64, 64)
    and np.array_equal(np.asarray(image), np.asarray(Image.open(original)))
    for image in shown
  )
  large = [image for image in shown if image.size == (1024, 1024)]
  assert [image.format for image in large] == ['JPEG', 'JPEG']
  exact = np.asarray(Image.open(tmp_path / 'photos' / '00.png'), float)
  assert np.abs(np.asarray(large[0]) - exact).mean() < 3


def test_a_page_too_large_gets_smaller_images(tmp_path, monkeypatch):
  full = make(finished(tmp_path)).source
  monkeypatch.setattr(report, 'MAX_BYTES', len(full) // 2)
  page = make(tmp_path)
  assert len(page.source) <= len(full) // 2
  sizes = [decoded(i['src']).size for i in page.all('img') if i.get('src')]
  assert (64, 64) in sizes
  assert (1024, 1024) not in sizes


def test_no_text_of_the_workdir_becomes_markup(tmp_path):
  root = finished(tmp_path)
  plain = make(root)
  sample(root, [HOSTILE])
  identifier = {'text': HOSTILE, 'ids': [1, 2], 'subject': HOSTILE}
  identifier |= {'class_noun': HOSTILE}
  write_json(root / 'identifier' / 'identifier.json', identifier)
  config = {'name': HOSTILE, 'command': HOSTILE, HOSTILE: [HOSTILE]}
  write_json(root / 'config.json', config | {'prior.prompt': HOSTILE})
  write_json(root / 'times.json', {HOSTILE: 1.0})
  (root / 'stage_2').rename(root / 'stage_<script>"')
  page = make(root)
  assert len(page.all('script')) == len(plain.all('script')) == 1
  assert not any('onerror' in attributes for _, attributes in page.tags)
  assert page.text.count(HOSTILE) >= 6
  assert 'Stage <script>"' in page.text


@pytest.mark.parametrize(
  ('part', 'heading'),
  [
    ('photos', 'Photos'),
    ('prior', 'Before: the class'),
    ('samples', 'New pictures'),
    ('stage_*/metrics.jsonl', 'Loss'),
    ('stage_*/samples', 'While training'),
    ('times.json', 'Time'),
    ('config.json', 'Configuration'),
  ],
)
def test_a_missing_part_is_left_out(tmp_path, part, heading):
  root = finished(tmp_path / 'whole')
  headings = re.compile(r'<(?:h2|summary)>(.*?)</')
  whole = headings.findall(make(root).source)
  for number, path in enumerate(root.glob(part)):
    path.rename(tmp_path / f'{number}')
  rest = headings.findall(make(root).source)
  # Without a config there is no command either.
  gone = {heading} | ({'Do it again'} if part == 'config.json' else set())
  assert gone <= set(whole)
  assert rest == [name for name in whole if name not in gone]


def test_an_identifier_alone_is_enough_and_none_is_an_error(tmp_path):
  with pytest.raises(errors.UserError, match='no identifier .*--mode=run'):
    make(tmp_path)
  identify(tmp_path)
  assert 'fhz dog' in make(tmp_path).text


def test_two_stages_and_no_prior(tmp_path):
  identify(tmp_path)
  train(tmp_path, 'stage_1', 3, prior=False)
  sample(tmp_path, ['a fhz dog'], stages=('stage_1', 'stage_2'), count=2)
  page = make(tmp_path)
  assert page.text.count('64 px') == page.text.count('256 px') == 2
  assert '1024 px' not in page.text
  assert 'preservation' not in page.text


def test_what_an_earlier_run_left_is_not_shown(tmp_path):
  root = finished(tmp_path)
  config = {'prior.weight': 0.0, 'cascade.stages': ['stage_1']}
  write_json(root / 'config.json', config)
  page = make(root)
  assert 'Before' not in page.text
  assert 'Stage 1' in page.text
  assert 'Stage 2' not in page.text


def test_a_damaged_image_is_named(tmp_path):
  root = finished(tmp_path)
  (root / 'prior' / '000.png').write_bytes(b'no image')
  with pytest.raises(errors.UserError, match=r'prior.000\.png'):
    make(root)


def test_same_workdir_same_bytes(tmp_path):
  root = finished(tmp_path)
  assert make(root).source == make(root).source


def test_no_jax_is_loaded():
  code = 'import dbflax.report, sys; print("jax" in sys.modules)'
  command = [sys.executable, '-c', code]
  assert subprocess.check_output(command, text=True).strip() == 'False'


def test_smoothing_keeps_constants_bounds_and_symmetry():
  rng = np.random.default_rng(0)
  for count, width in ((1, 1), (2, 5), (50, 6), (50, 80)):
    values = rng.uniform(1, 2, count)
    smoothed = report.smooth(values, width)
    assert smoothed.shape == values.shape
    assert values.min() - 1e-9 <= smoothed.min()
    assert smoothed.max() <= values.max() + 1e-9
    backward = report.smooth(values[::-1], width)[::-1]
    np.testing.assert_allclose(backward, smoothed)
    np.testing.assert_allclose(report.smooth(np.ones(count), width), 1)


def test_curves_skip_what_a_log_lacks_and_stay_short():
  log = [{'step': 0, 'a': 1.0}, {'step': 1}, {'step': 2, 'a': float('nan')}]
  steps, values, smoothed = report.curve([*log, {'step': 3, 'a': 2.0}], 'a')
  assert steps.tolist() == [0, 3]
  assert values.tolist() == [1.0, 2.0]
  assert all(part.size == 0 for part in report.curve(log, 'b'))
  log = [{'step': step, 'a': 1.0} for step in range(4321)]
  assert 500 < report.curve(log, 'a')[0].size <= report.MAX_POINTS


def test_charts_take_the_colours_of_the_page():
  steps = np.arange(5.0)
  lines = [('var(--instance)', steps, steps, steps)]
  svg = report.chart([*lines, ('var(--prior)', steps, steps, steps)])
  assert {'var(--instance)', 'var(--prior)', 'currentColor'} <= set(
    re.findall(r'(?:stroke|fill): ([^;"]+)', svg)
  )
  assert '#0' not in svg
  assert '<text' in svg
  assert 'metadata' not in svg


@pytest.mark.parametrize(
  ('seconds', 'words'),
  [
    (0.04, '0.0 s'),
    (9.94, '9.9 s'),
    (9.96, '10 s'),
    (59.6, '1 min 00 s'),
    (185, '3 min 05 s'),
    (3599.7, '1 h 00 min'),
    (7620, '2 h 07 min'),
  ],
)
def test_durations_round_before_they_split(seconds, words):
  assert report.duration(seconds) == words


def test_spread_keeps_the_ends():
  assert report.spread([1, 2], 5) == [1, 2]
  chosen = report.spread(list(range(100)), 12)
  assert len(set(chosen)) == 12
  assert (chosen[0], chosen[-1]) == (0, 99)


def test_flatten_takes_nested_and_flat_settings_alike():
  flat = {'stage_1.steps': 3, 'prior.weight': 1.0, 'seed': 0}
  nested = {'stage_1': {'steps': 3}, 'prior': {'weight': 1.0}, 'seed': 0}
  assert report.flatten(nested) == report.flatten(flat) == flat
