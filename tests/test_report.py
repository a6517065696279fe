import base64
import functools
import html.parser
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dbflax import errors, report, workdir
from dbflax.evaluate import gathered, record
from dbflax.pages import page

HOSTILE = '<script>alert(1)</script>" onerror="alert(2)'
RESOLUTIONS = {'stage_1': 64, 'stage_2': 256, 'stage_3': 1024}


@functools.cache
def drawn(width, height, seed):
  """A PNG of a smooth image with a bit of noise, as a sample has."""
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
  waves = np.stack([x, y, np.hypot(x - 0.5, y - 0.5)], axis=-1)
  image = 128 + 100 * np.sin(waves * 9 + rng.uniform(0, 6, 3))
  image += rng.normal(0, 3, image.shape)
  file = io.BytesIO()
  Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(file, 'PNG')
  return file.getvalue()


def draw(path, width, height=None, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(drawn(width, height or width, seed))


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
  entries = []
  for i, prompt in enumerate(prompts):
    images = [
      {stage: f'{stage}/{i:02d}_{j:02d}.png' for stage in stages}
      for j in range(count)
    ]
    for image in images:
      for stage, name in image.items():
        draw(root / 'samples' / name, RESOLUTIONS[stage], seed=i)
    template = prompt.replace('fhz dog', '{subject}')
    entries.append({'template': template, 'prompt': prompt, 'images': images})
  write_json(root / 'samples' / 'samples.json', entries)


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


def score(root, name='eye', prompts=('a photo of a fhz dog',), of_all=None):
  """scores.json of the workdir, as the step leaves it."""
  for step in ('photos', 'identifier', 'samples'):
    write_json(root / step / 'manifest.json', {})
  pairs = [
    {'file': f'stage_3/00_{n:02d}.png', 'photo': n % 2, 'value': (n + 1) / 10}
    for n in range(3)
  ]
  # Of the second network a smaller value is nearer.
  networks = {name: 'nearest_photo', 'far': 'photo_distance'}
  among = {name: 'photos/nearest', 'far': 'photos/distance'}
  each = lambda value: {network: value for network in networks}
  content = {
    'subject': 'toybox:dog',
    'pictures': 3,
    'photos': 2,
    'notes': ['PRES is left out'],
    'figures': {n: {f: 0.25, among[n]: 0.5} for n, f in networks.items()},
    'intervals': {n: {f: [0.125, 0.375]} for n, f in networks.items()},
    'prompts': each({p: {'prompt_fidelity/place': 0.75} for p in prompts}),
    'nearest': each(pairs),
    'subjects': {
      network: {figure: {'mean': 0.625, 'interval': of_all, 'subjects': 2}}
      for network, figure in networks.items()
    },
  }
  build = lambda folder: write_json(folder / 'scores.json', content)
  made_of = record.made_of(gathered.of_workdir(root))
  work = workdir.Workdir(root)
  work.step('evaluate', {**made_of, 'networks': name}, build)
  work.close()


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
    *('Photos', 'The class before training', 'While training', 'Loss', 'Time'),
    *('Configuration', 'fhz', '800', 'on the beach', 'Before: a dog'),
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
  monkeypatch.setattr(page, 'MAX_BYTES', len(full) // 2)
  light = make(tmp_path)
  assert len(light.source) <= len(full) // 2
  sizes = [decoded(i['src']).size for i in light.all('img') if i.get('src')]
  assert (64, 64) in sizes
  assert (1024, 1024) not in sizes


def test_no_text_of_the_workdir_becomes_markup(tmp_path):
  root = finished(tmp_path)
  plain = make(root)
  identifier = {'text': HOSTILE, 'ids': [1, 2], 'subject': HOSTILE}
  identifier |= {'class_noun': HOSTILE}
  write_json(root / 'identifier' / 'identifier.json', identifier)
  config = {'name': HOSTILE, 'command': HOSTILE, HOSTILE: [HOSTILE]}
  write_json(root / 'config.json', config | {'prior.prompt': HOSTILE})
  write_json(root / 'times.json', {HOSTILE: 1.0})
  (root / 'stage_2').rename(root / 'stage_<script>"')
  draw(root / 'photos' / '01.png', 64)
  sample(root, [HOSTILE], count=3)
  score(root, name=HOSTILE, prompts=[HOSTILE])
  page = make(root)
  assert len(page.all('script')) == len(plain.all('script')) == 1
  assert not any('onerror' in attributes for _, attributes in page.tags)
  assert page.text.count(HOSTILE) >= 12
  assert 'Stage <script>"' in page.text


def test_a_command_is_copied_from_the_page_as_it_was(tmp_path):
  root = finished(tmp_path)
  command = """python -m dbflax.main --config='my  dog.py' '--a=<b>&'"""
  write_json(root / 'config.json', {'command': command})
  [shown] = re.findall('<pre>(.*?)</pre>', make(root).source)
  assert html.unescape(re.sub('<[^<>]*>', '', shown)) == command


@pytest.mark.parametrize(
  ('part', 'heading'),
  [
    ('photos', 'Photos'),
    ('prior', 'The class before training'),
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


def test_before_and_after_are_of_the_class_at_the_same_stage(tmp_path):
  root = finished(tmp_path, ('a photo of a fhz dog', 'a dog'), count=2)
  config = {'prior.sampler': 'ancestral', 'prior.steps': 32}
  config |= {'prior.guidance_scale': 3.0, 'prior.prompt': 'a {class_noun}'}
  write_json(root / 'config.json', config)
  content = report.read(root)
  [after] = content['after']
  assert after['prompt'] == 'a dog'
  samples = root / 'samples'
  assert after['images'] == [
    samples / 'stage_1/01_00.png',
    samples / 'stage_1/01_01.png',
  ]
  page = make(root)
  for words in (
    *('The class, before and after', 'Before: a dog', 'After: a dog'),
    *('1 class images; ancestral, 32 steps, guidance 3.', '2 samples at'),
  ):
    assert words in page.text, words
  # Without class images there is nothing to compare with.
  (root / 'prior').rename(root / 'gone')
  assert 'After' not in make(root).text


def test_every_picture_switches_between_its_stages(tmp_path):
  page = make(finished(tmp_path, count=2))
  cells = page.source.split('class="cell cascade"')[1:]
  labels = [re.findall('data-label="(.*?)"', cell)[:3] for cell in cells]
  assert labels == [['64 px', '256 px', '1024 px']] * 2


def scored(tmp_path, **options):
  root = finished(tmp_path, count=3)
  draw(root / 'photos' / '01.png', 256)
  score(root, **options)
  return root


def test_scores_have_intervals_and_nearest_pairs_are_sorted(tmp_path):
  root = scored(tmp_path, of_all=[0.5, 0.75])
  page = make(root)
  for words in (
    *('0.250', '[0.125, 0.375]', '0.625', '[0.500, 0.750] of 2'),
    *('mean cosine of a sample and its nearest photo', 'PRES is left out'),
    *('Each prompt', 'place', '0.750', 'nearest other one: 0.500'),
  ):
    assert words in page.text, words
  cosine, lpips = report.read(root)['nearest']
  assert [pair['value'] for pair in cosine['pairs']] == [0.3, 0.2, 0.1]
  assert [pair['value'] for pair in lpips['pairs']] == [0.1, 0.2, 0.3]
  first = cosine['pairs'][0]
  assert first['sample'] == root / 'samples/stage_3/00_02.png'
  assert first['photo'] == root / 'photos/00.png'
  assert first['prompt'] == 'a photo of a fhz dog'
  # A run that is not pooled with others has no column of them.
  alone = make(scored(tmp_path / 'alone'))
  assert '[0.125, 0.375]' in alone.text
  assert 'all subjects' not in alone.text


@pytest.mark.parametrize(
  ('file', 'reason'),
  [
    ('samples/stage_3/00_01.png', 'pictures changed'),
    ('photos/00.png', 'photos changed'),
    ('evaluate/scores.json', 'scores.json was altered'),
    ('samples/manifest.json', 'samples is not finished'),
  ],
)
def test_scores_of_anything_else_are_not_shown(tmp_path, caplog, file, reason):
  root = scored(tmp_path)
  assert 'Scores' in make(root).text
  if file.endswith('png'):
    draw(root / file, 256, seed=9)
  elif 'scores' in file:
    (root / file).write_text('{}')
  else:
    (root / file).unlink()
  page = make(root)
  assert 'Scores' not in page.text
  assert 'Nearest photos' not in page.text
  assert reason in caplog.text
  assert '--mode=evaluate' in caplog.text


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


@pytest.mark.parametrize(
  ('config', 'stage'),
  [
    ({'prior.weight': 0.0, 'cascade.stages': ['stage_1']}, 'Stage 1'),
    ({'cascade.stages': ['stage_1', 'stage_2'],
      'stage_1.train': False}, 'Stage 2'),
  ],
)  # fmt: skip
def test_what_an_earlier_run_left_is_not_shown(tmp_path, config, stage):
  root = finished(tmp_path)
  write_json(root / 'config.json', config)
  page = make(root)
  assert 'The class' not in page.text
  assert {s for s in ('Stage 1', 'Stage 2') if s in page.text} == {stage}


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
