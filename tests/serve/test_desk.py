import json
import shutil

import pytest

from dbflax import disk, errors
from dbflax.data import subjects
from dbflax.serve import desk as desk_lib
from dbflax.serve import jobs


@pytest.fixture
def photo(tmp_path):
  """photo(name) → an uploaded photo."""

  def upload(name):
    path = tmp_path / 'upload' / name
    path.parent.mkdir(exist_ok=True)
    source = sorted(subjects.EMBEDDED.glob('dog/*.png'))[0]
    return str(shutil.copyfile(source, path))

  return upload


def values(**changes):
  """The page's fields, in their order."""
  fields = {
    'noun': 'dog',
    'steps': 4,
    'weight': 1.0,
    'prompts': 'a photo of a {subject} on the beach\na painting of a {subject}',
  }
  return list({**fields, **changes}.values())


def test_a_page_begins_with_the_values_of_its_config(make_desk):
  desk = make_desk()
  assert desk.values() == values()
  assert desk.changes(desk.values()) == {}
  assert desk.source() == 'toybox:dog'
  assert len(desk.thumbnails()) == 5


def test_the_command_has_what_was_changed_and_nothing_else(make_desk, photo):
  desk = make_desk()
  assert desk.add_photos([photo('a.png')]) == []
  said = desk.command(values(noun=' toy  dog ', weight=0, prompts='a\n\n b '))
  flags = [word for word in said.replace('\\\n', '').split('  ')]
  assert f'--config.subject.photos={desk.root}/serve/photos' in said
  assert '--config.subject.class_noun=toy dog' in said
  assert '--config.prior.weight=0.0' in said
  assert 'stage_1' not in said and 'serve.' not in said and '--mode' not in said
  assert len(flags) == 5


def test_photos_inside_the_current_folder_are_named_from_there(
  make_desk, photo, monkeypatch
):
  desk = make_desk()
  desk.add_photos([photo('a.png')])
  monkeypatch.chdir(desk.root.parent)
  assert desk.source() == 'run/serve/photos'


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'steps': 0}, r'stage_1.steps=0: must be at least 1'),
    ({'steps': None}, 'Training steps: None is no number'),
    ({'steps': 'many'}, "'many' is no number"),
    ({'weight': -1}, r'prior.weight=-1.0: must be 0'),
    ({'weight': float('nan')}, 'prior.weight=nan'),
    ({'prompts': ''}, 'at least one prompt'),
    ({'prompts': 'a {subjct}'}, '{subject} and {class_noun}'),
    ({'prompts': 'a {subject.__init__}'}, '{subject} and {class_noun}'),
  ],
)
def test_a_wrong_value_is_one_line_and_starts_nothing(
  make_desk, changes, message
):
  desk = make_desk()
  with pytest.raises(errors.UserError, match=message) as error:
    desk.start(values(**changes))
  assert '\n' not in str(error.value)
  assert desk.jobs.state(jobs.RUN).name == 'none'


def test_uploads_are_removed_whether_taken_or_not(make_desk, photo, tmp_path):
  desk = make_desk(count=1)
  with pytest.raises(errors.UserError, match='more than the 1'):
    desk.add_photos([photo('a.png'), photo('b.png')])
  desk.add_photos([photo('a.png')])
  assert not list((tmp_path / 'upload').iterdir())
  desk.clear_photos()
  assert desk.photos() == []


def test_photos_stay_while_a_run_is_going_on(make_desk, photo, program):
  desk = make_desk()
  program('time.sleep(60)')
  desk.start(values())
  for act in (
    lambda: desk.add_photos([photo('a.png')]),
    desk.clear_photos,
    lambda: desk.start(values()),
    lambda: desk.draw('a {subject}'),
    desk.export,
  ):
    with pytest.raises(errors.UserError, match='a run is going on'):
      act()


def finish(desk, wait, **changes):
  desk.start(values(**changes))
  wait(lambda: desk.jobs.state(jobs.RUN).name == 'done')


DRAWS = """
if '--mode=draw' in sys.argv:
  for line in sys.stdin:
    print('Drawn:', ' '.join(sys.argv[1:]), line, flush=True)
"""


def test_what_is_drawn_is_of_the_run_that_finished(make_desk, program, wait):
  desk = make_desk()
  program(DRAWS)
  with pytest.raises(errors.UserError, match='no finished model yet'):
    desk.draw('a {subject}')
  finish(desk, wait, steps=7)
  said = str(desk.draw('a {subject}'))
  assert '--config.stage_1.steps=7 --mode=draw a {subject}' in said
  # The fields show that run again.
  assert desk.values() == values(steps=7)
  desk.model.close()


def test_pictures_of_an_earlier_run_are_not_shown(make_desk, program, wait):
  desk = make_desk()
  program('')
  entry = {
    'template': 'a {subject}',
    'prompt': 'a zk dog',
    'images': [{'stage_1': 'stage_1/0000.png', 'stage_2': 'stage_2/0000.png'}],
  }

  def write(folder):
    (desk.root / folder).mkdir(parents=True)
    (desk.root / folder / 'samples.json').write_text(json.dumps([entry]))

  write('samples')
  write('drawn/0000')
  assert desk.pictures() == []
  finish(desk, wait)
  write('drawn/0001')
  names = [str(one.file.relative_to(desk.root)) for one in desk.pictures()]
  assert names == ['drawn/0001/stage_2/0000.png', 'samples/stage_2/0000.png']


def test_an_export_is_of_the_last_run(make_desk, program, wait):
  desk = make_desk()
  program('')
  finish(desk, wait)
  assert not desk.has_export()
  desk.export()
  wait(desk.has_export)
  assert '--mode=export' in desk.jobs.log(jobs.EXPORT)[0]
  finish(desk, wait, steps=5)
  assert not desk.has_export()


def test_nothing_is_trained_anew_just_to_draw(
  make_desk, photo, program, wait, run_jobs
):
  desk = make_desk()
  program(DRAWS)
  desk.add_photos([photo('a.png')])
  finish(desk, wait)
  (desk.root / 'serve/photos/.DS_Store').touch()  # Looked at by a file manager.
  assert desk.draw('a {subject}')
  desk.add_photos([photo('b.png')])
  with pytest.raises(errors.UserError, match='the photos were changed since'):
    desk.draw('a {subject}')
  desk.clear_photos()
  finish(desk, wait)
  run_jobs._own = ('--config=dog.py', '--config.seed=9')
  with pytest.raises(errors.UserError, match='the settings were changed since'):
    desk.export()


def test_no_field_but_the_pages_comes_out_of_a_file(make_desk):
  desk = make_desk()
  changes = {
    'cascade.allow_pickle': True,
    'subject.photos': '/etc',
    'stage_1.steps': 9,
    'subject.class_noun': ['no', 'text'],
  }
  disk.write_json(desk.jobs.folder(jobs.RUN) / 'job.json', {'changes': changes})
  assert desk._with_photos(desk._last()) == {'stage_1.steps': 9}
  assert desk.values() == values(steps=9)


def test_textual_inversion_has_its_own_steps_and_no_prior(make_desk):
  desk = make_desk('--config.method=textual_inversion')
  paths = [field.path for field in desk.fields]
  assert 'inversion.steps' in paths and desk_lib.WEIGHT.path not in paths
