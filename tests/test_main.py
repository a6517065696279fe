import os
import pathlib
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest

from dbflax import errors, main
from dbflax.data import images

ROOT = pathlib.Path(__file__).parents[1]
DOG = f'--config={ROOT}/configs/dog.py'


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
  """The default workdir, runs/<name>, must not lie in the checkout."""
  monkeypatch.chdir(tmp_path)


@pytest.fixture
def pipeline(monkeypatch):
  """Stands for dbflax.pipeline and records what main asks of it."""
  calls = []

  def record(mode):
    return lambda config, workdir: calls.append((mode, config, workdir))

  fake = types.ModuleType('dbflax.pipeline')
  for mode in main.MODES:
    setattr(fake, mode, record(mode))
  fake.calls = calls
  monkeypatch.setitem(sys.modules, 'dbflax.pipeline', fake)
  monkeypatch.setattr('dbflax.pipeline', fake, raising=False)
  monkeypatch.setattr(main, '_set_compilation_cache', lambda folder: None)
  return fake


def run(*arguments):
  return main.main(['dbflax', *arguments])


def test_help_comes_at_once_and_names_every_mode():
  start = time.monotonic()
  result = subprocess.run(
    [sys.executable, '-m', 'dbflax.main', '--help'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert time.monotonic() - start < 3
  for mode in main.MODES:
    assert f'\n      {mode} ' in result.stdout
  assert '--config=configs/dog.py' in result.stdout


def test_a_command_line_is_read_without_jax():
  code = (
    'import sys; from dbflax import main; '
    f'main.parse(["dbflax", {DOG!r}]); '
    'assert "jax" not in sys.modules, "reading flags imported jax"'
  )
  subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


# These two are not the pipeline's.
OTHERS = ('study', 'serve')


@pytest.mark.parametrize('mode', [m for m in main.MODES if m not in OTHERS])
def test_each_mode_calls_its_function(pipeline, mode, tmp_path):
  name = 'toybox' if mode == 'pretrain' else 'dog'
  assert run(f'--config={ROOT}/configs/{name}.py', f'--mode={mode}') == 0
  [(called, config, workdir)] = pipeline.calls
  assert called == mode
  assert config.is_locked
  assert workdir.root == tmp_path / 'runs' / name
  assert workdir.name == name


def test_the_page_is_served_without_jax(monkeypatch, tmp_path):
  from dbflax.serve import server

  calls = []
  monkeypatch.setattr(server, 'run', lambda *them: calls.append(them))
  monkeypatch.setattr(main, '_set_compilation_cache', pytest.fail)
  assert run(DOG, '--mode=serve') == 0
  [(config, workdir)] = calls
  assert config.serve.host == '127.0.0.1'
  assert workdir.root == tmp_path / 'runs/dog'


def test_the_default_mode_is_the_whole_run(pipeline):
  assert run(DOG) == 0
  assert pipeline.calls[0][0] == 'run'


def test_overrides_variant_and_workdir_arrive(pipeline, tmp_path):
  code = run(
    f'{DOG}:no_prior',
    *('--config.stage_1.steps', '7', '--config.stage_2.noise_level=0.25'),
    *("--config.sample.prompts=('a {subject}',)", '--workdir=w'),
  )
  assert code == 0
  [(_, config, workdir)] = pipeline.calls
  assert config.name == 'dog_no_prior'
  assert config.prior.weight == 0
  assert config.stage_1.steps == 7
  assert config.sample.prompts == ('a {subject}',)
  # Sampling follows the level that the stage is trained with.
  assert config.sample.stage_2.noise_level == 0.25
  assert workdir.root == tmp_path / 'w'


BAD_INPUT = {
  'no config': ([], 'no --config'),
  'no such file': (
    [f'--config={ROOT}/configs/dgo.py'],
    'did you mean .*configs/dog.py',
  ),
  'not python': ([f'--config={ROOT}/setup.cfg'], 'must end in .py'),
  'variant': ([f'{DOG}:no_priro'], "did you mean ':no_prior'"),
  'field': (
    [DOG, '--config.stage_1.setps=3'],
    "no config field 'stage_1.setps'; did you mean stage_1.steps",
  ),
  'section': ([DOG, '--config.stage_9.steps=3'], "'stage_9.steps'"),
  'field of a field': ([DOG, '--config.seed.x=3'], "'seed.x'"),
  'type': ([DOG, '--config.stage_1.steps=many'], 'stage_1.steps=many'),
  'steps': ([DOG, '--config.stage_1.steps=0'], 'stage_1.steps=0.*at least 1'),
  'phases': (
    [
      f'--config={ROOT}/configs/toybox.py:stage_1',
      '--config.stage_1.phases=(dict(resolution=64,steps=9),)',
    ],
    'stage_1.phases=.*must be dicts.*in a config file',
  ),
  'class noun': (
    [DOG, '--config.subject.class_noun= '],
    "sample.prompts: 'a {class_noun}' wants a noun.*such as 'a dog'",
  ),
  'placeholder': (
    [DOG, "--config.sample.prompts=('a {subjct}',)"],
    'a {subjct}.*{subject} and {class_noun}',
  ),
  'mode': ([DOG, '--mode=rnu'], 'rnu.*run'),
  'mode of another config': (
    [f'--config={ROOT}/configs/toybox.py:stage_1', '--mode=plan'],
    'mode=plan.*toybox.*--mode=pretrain alone',
  ),
  'pre-training a run': ([DOG, '--mode=pretrain'], 'for any other mode'),
  'flag': ([DOG, '--wrokdir=x'], 'wrokdir.*workdir'),
  'argument': ([DOG, 'fast'], "unexpected argument 'fast'"),
}


@pytest.mark.parametrize('case', BAD_INPUT)
def test_bad_input_is_one_line_and_writes_nothing(
  case, pipeline, capfd, tmp_path
):
  arguments, message = BAD_INPUT[case]
  assert run(*arguments) == 2
  output = capfd.readouterr()
  assert output.out == ''
  assert output.err.startswith('dbflax: ')
  assert output.err.count('\n') == 1
  with pytest.raises(errors.UserError, match=message):
    main.parse(['dbflax', *arguments])
  assert not pipeline.calls
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'fields, asks',
  [
    (['photos=photos/rex'], True),
    (['photos=photos/tom'], False),  # There is no such folder.
    (['photos=toybox:teapot'], True),
    (['photos=photos/my_dog'], False),
    (['photos=photos/rex', 'class_noun=dog'], False),
    (['photos=photos/rex', 'class_noun=auto'], False),
    (['identifier=zk'], False),
  ],
)
def test_a_noun_that_was_not_given_is_asked_for(pipeline, capfd, fields, asks):
  for name in ('rex', 'my_dog'):
    pathlib.Path('photos', name).mkdir(parents=True)
  main.parse(['dbflax', DOG, *(f'--config.subject.{one}' for one in fields)])
  said = capfd.readouterr().err
  assert ('photos of a dog' in said and 'class_noun=NOUN' in said) == asks
  assert asks or said == ''


def test_a_workdir_of_another_config_is_refused(pipeline, capfd, tmp_path):
  run(DOG, '--workdir=w')
  pipeline.calls[0][2].claim()
  assert run(f'--config={ROOT}/configs/teapot.py', '--workdir=w') == 2
  assert "was made by config 'dog', not 'teapot'" in capfd.readouterr().err


def test_a_workdir_that_cannot_be_written_is_refused(capfd, tmp_path):
  (tmp_path / 'file').touch()
  assert run(DOG, '--workdir=file/run') == 2
  assert 'cannot write workdir' in capfd.readouterr().err


def test_bad_photos_reach_the_user_as_one_line(monkeypatch, pipeline, capfd):
  from dbflax.data import subjects

  def read(config, workdir):
    subjects.load(config.subject.photos, (64,))

  monkeypatch.setattr(pipeline, 'run', read)
  images.save_png('dot/dot.png', np.zeros((1, 1, 3), np.uint8))
  for folder, message in (('none', 'no photo folder'), ('dot', '1 x 1 pixels')):
    where = f'--config.subject.photos={folder}'
    assert run(DOG, where, '--config.subject.class_noun=dog') == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_an_interruption_says_how_to_go_on(monkeypatch, pipeline, capfd):
  def interrupt(config, workdir):
    raise KeyboardInterrupt

  monkeypatch.setattr(pipeline, 'run', interrupt)
  assert run(DOG) == 130
  assert 'the same command goes on' in capfd.readouterr().err


def test_a_reader_that_has_enough_is_no_error():
  reader, writer = os.pipe()
  os.close(reader)
  config = ROOT / 'configs/dog.py'
  command = [sys.executable, '-m', 'dbflax.main', '--mode=identifier']
  result = subprocess.run(
    [*command, f'--config={config}'],
    stdout=writer,
    stderr=subprocess.PIPE,
    cwd=ROOT,
  )
  assert (result.returncode, result.stderr) == (141, b'')


def test_a_config_without_variants_says_so(tmp_path):
  (tmp_path / 'mine.py').write_text('def get_config():\n  return {}\n')
  with pytest.raises(errors.UserError, match="leave ':fast' out"):
    main.parse(['dbflax', '--config=mine.py:fast'])


def test_a_mistyped_field_in_a_config_file_is_named(tmp_path):
  (tmp_path / 'mine.py').write_text(
    'from configs import default\n'
    'def get_config():\n'
    '  config = default.get_config()\n'
    '  config.stage_1.step = 5\n'
    '  return config\n'
  )
  message = "mine.py' sets 'step', which is no config field; did you mean steps"
  with pytest.raises(errors.UserError, match=message):
    main.parse(['dbflax', f'--config={tmp_path}/mine.py'])


@pytest.mark.parametrize(
  ('field', 'already', 'expected'),
  [('', None, None), ('xla', None, 'xla'), ('xla', 'mine', 'mine')],
)
def test_compilation_cache_yields_to_jax(
  monkeypatch, tmp_path, field, already, expected
):
  before = jax.config.jax_compilation_cache_dir
  try:
    jax.config.update('jax_compilation_cache_dir', already)
    main._set_compilation_cache(field)
    folder = jax.config.jax_compilation_cache_dir
  finally:
    jax.config.update('jax_compilation_cache_dir', before)
  assert (folder and pathlib.Path(folder).name) == expected


@pytest.mark.parametrize(
  ('mode', 'said', 'kept'),
  [
    ('run', ['--config=a.py', '--dry_run'], ['--config=a.py']),
    ('draw', ['--mode=draw', '--config=a.py'], ['--config=a.py']),
    ('sample', ['--mode', 'sample', '--config', 'a.py'], ['--config', 'a.py']),
    # These make a folder of another kind.
    (
      'study',
      ['--mode=study', '--config=a.py'],
      ['--mode=study', '--config=a.py'],
    ),
  ],
)
def test_the_command_on_record_makes_the_whole_run(mode, said, kept):
  expected = ' '.join(['python', '-m', 'dbflax.main', *kept])
  assert main._command(said, mode) == expected
