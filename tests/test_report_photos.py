"""The photos of a report: captions, what is kept of them, what stages see."""

import html
import json
import re

import numpy as np
import pytest

from dbflax import report
from dbflax.data import images

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def draw(path, height, width=None):
  images.save_png(path, np.full((height, width or height, 3), 9, np.uint8))


@pytest.fixture
def root(tmp_path):
  """A workdir with two photos and an identifier."""
  identifier = {'text': 'fhz', 'ids': [800], 'subject': 'fhz dog'}
  path = tmp_path / 'identifier/identifier.json'
  path.parent.mkdir()
  path.write_text(json.dumps({**identifier, 'class_noun': 'dog'}))
  for number in range(2):
    draw(tmp_path / f'photos/{number:02d}.png', 1024)
  return tmp_path


def make(root):
  report.write(root / 'report', root)
  return (root / 'report/index.html').read_text()


def test_captions_stand_below_their_photos(root):
  plain = make(root)
  captions = root / 'photos/captions.json'
  captions.write_text(json.dumps(['', HOSTILE]))
  page = make(root)
  alts = [html.unescape(alt) for alt in re.findall(r'alt="(.*?)"', page)]
  assert alts[:2] == ['photo 1', f'photo 2: {HOSTILE}']
  below = re.findall('<figcaption>(.*?)</figcaption>', page)
  assert [html.unescape(text) for text in below] == ['1024 px', HOSTILE]
  assert page.count('<img') == plain.count('<img')
  assert page.count('<script') == plain.count('<script')


def test_photos_are_shown_as_they_were_cut_and_as_stages_see_them(root):
  words = 'What each stage sees'
  assert words not in make(root)
  for number in range(2):
    for size in (64, 256):
      draw(root / f'photos/{size}/{number:02d}.png', size)
  # Nothing was cut: there is no need to look.
  assert f'<details>\n  <summary>{words}' in make(root)
  for number in range(2):
    draw(root / f'photos/framed/{number:02d}.png', 512, 300)
  page = make(root)
  assert f'<details open>\n  <summary>{words}' in page
  first, second = page.split('class="cell views"')[1:]
  labels = re.findall('data-label="(.*?)"', first)
  assert labels == ['whole', '1024 px', '256 px', '64 px']
  assert 'photo 2, what is kept of it outlined' in second
