"""A study's figures as one picture for the docs."""

import re

import pytest

from dbflax import disk, errors
from dbflax.study import plots

ORACLE, LPIPS = 'toybox oracle: PRES', 'LPIPS AlexNet: DIV'


def results(figures):
  return {
    'name': 'study_prior',
    'arms': ['with', 'none'],
    'figures': figures,
    'verdicts': [],
  }


def estimate(mean, interval=None):
  return {'mean': mean, 'interval': interval, 'subjects': 2}


@pytest.fixture
def drawn():
  """PRES of two arms, DIV of one, and a figure that is not the paper's."""
  figures = {
    'LPIPS AlexNet: photo_distance': {'with': estimate(0.2)},
    LPIPS: {'none': estimate(0.4, (0.3, 0.6))},
    ORACLE: {'with': estimate(0.5, (0.4, 0.7)), 'none': estimate(0.9)},
  }
  return plots.draw(results(figures))


def test_a_panel_for_each_figure_of_the_paper_in_its_order(drawn):
  assert _titles(drawn, plots.FIGURES) == ['PRES', 'DIV']
  words = re.findall(r'<text[^>]*>([^<]+)</text>', drawn)
  assert 'photo_distance' not in drawn
  assert words.count('with') == 1 and words.count('none') == 2


def test_what_a_study_expects_something_of_is_shown_in_a_second_row():
  """Five panels: three above, two below."""
  names = [*plots.FIGURES, 'nearest_photo', 'photo_distance']
  each = {f'eye: {name}': {'with': estimate(0.5)} for name in names}
  asked = {'verdicts': [{'figure': 'eye: nearest_photo'}]}
  drawn = plots.draw({**results(each), **asked})
  assert _titles(drawn, names) == names[:5]
  alone = plots.draw(results(each))
  assert _titles(alone, names) == names[:4]
  (wide, high), (width, height) = map(_size, (drawn, alone))
  assert wide == pytest.approx(width * 3 / 4)
  assert high == pytest.approx(height * 2)


def test_figures_of_two_networks_say_whose_they_are():
  names = [LPIPS, 'LPIPS VGG16: DIV', ORACLE]
  drawn = plots.draw(results({n: {'with': estimate(0.5)} for n in names}))
  titles = _titles(drawn, [*names, *plots.FIGURES])
  assert titles == ['PRES', LPIPS, 'LPIPS VGG16: DIV']


def _titles(drawn, names):
  words = re.findall(r'<text[^>]*>([^<]+)</text>', drawn)
  return [word for word in words if word in names]


def _size(drawn):
  found = re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn)
  return [float(side) for side in found.groups()]


def test_it_can_be_read_on_a_dark_page(drawn):
  """An <img> knows no CSS of the page around it."""
  assert 'currentColor' not in drawn and 'var(' not in drawn
  assert 'fill: #ffffff' in drawn


def test_the_same_results_give_the_same_bytes(drawn, tmp_path):
  disk.write_json(
    tmp_path / 'results.json', results({LPIPS: {'none': estimate(0.4)}})
  )
  for name in ('one.svg', 'two.svg'):
    plots.main(str(tmp_path / 'results.json'), str(tmp_path / name))
  one, two = (tmp_path / n for n in ('one.svg', 'two.svg'))
  assert one.read_bytes() == two.read_bytes() != drawn.encode()


@pytest.mark.parametrize('content', [None, {}])
def test_without_figures_it_says_what_to_do(tmp_path, content):
  if content is not None:
    disk.write_json(tmp_path / 'results.json', results(content))
  with pytest.raises(
    errors.UserError, match='--mode=study writes one|not done'
  ):
    plots.main(str(tmp_path / 'results.json'), str(tmp_path / 'out.svg'))
  assert not (tmp_path / 'out.svg').exists()
