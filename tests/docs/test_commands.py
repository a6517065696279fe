"""The commands of the pages: they parse, and those that can be run are run.

A block that is not run says why, in a comment above it: `<!-- not run: needs a
TPU -->`. Its flags and files must exist all the same.
"""

import configparser
import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from dbflax import errors, main, mirror

ROOT = pathlib.Path(__file__).parents[2]
# Programs of others, which need more than this machine.
OTHERS = ('hf', 'gcloud', '.')


def commands(text):
  """The commands of a block, as lists of words, without what runs them."""
  found = []
  for line in text.replace('\\\n', ' ').splitlines():
    words = []
    for word in [*shlex.split(line, comments=True), '&&']:
      if word != '&&':
        words.append(word)
      elif words:
        found.append(_bare(words))
        words = []
  return found


def _bare(words):
  """Without variables and `taskset -c N` before it."""
  while re.fullmatch(r'[A-Z_]+=.*', words[0]):
    words = words[1:]
  return words[3:] if words[0] == 'taskset' else words


def check(words):
  """Fails if a command names what does not exist."""
  program, *rest = words
  kind = pathlib.Path(program).name
  if program.startswith('launch/'):
    _check_script(program, rest)
  elif kind in _CHECKS:
    _CHECKS[kind](rest)
  else:
    assert program in OTHERS or kind in OTHERS, (
      f'{program}: no such program is known here'
    )


def _check_python(arguments):
  # Both have the options of dbflax.
  if arguments[1:2] in (['dbflax.main'], ['benchmarks.details']):
    main.parse(arguments[1:])[2].close()
    return
  if arguments[0] == '-m':
    spec = importlib.util.find_spec(arguments[1])
    assert spec, f'no module {arguments[1]}'
    source, rest = pathlib.Path(spec.origin), arguments[2:]
    if spec.submodule_search_locations:  # Such as venv.
      source = source.with_name('__main__.py')
  else:
    source, rest = ROOT / arguments[0], arguments[1:]
  text = source.read_text()
  for flag in [word for word in rest if word.startswith('--')]:
    name = flag.split('=')[0]
    known = f"'{name}'" in text or f"'{name[2:]}'" in text
    assert known or name == '--help', f'{source.name} has no flag {name}'


def _check_pip(arguments):
  assert arguments[0] == 'install'
  setup = configparser.ConfigParser()
  setup.read(ROOT / 'setup.cfg')
  for word in arguments[1:]:
    match = re.fullmatch(r'\.(?:\[(.+)\])?', word)
    assert match or word == '-e', f'pip install {word}: it is not dbflax'
    for extra in (match and match[1] or '').split(','):
      known = setup['options.extras_require']
      assert not extra or extra in known, f'setup.cfg has no extra {extra}'


def _check_pytest(arguments):
  for word in arguments:
    if word.startswith('tests'):
      assert (ROOT / word).exists(), f'no {word}'


def _check_script(program, arguments):
  """A dry run of it, which reads all of its flags."""
  at = arguments.index('--') if '--' in arguments else len(arguments)
  before, flags = arguments[:at], arguments[at:]
  done = subprocess.run(
    [ROOT / program, *before, '--dry_run', *flags],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  if flags:
    main.parse(['dbflax', *flags[1:]])[2].close()


_CHECKS = {'python': _check_python, 'pip': _check_pip, 'pytest': _check_pytest}


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
  monkeypatch.chdir(ROOT)
  monkeypatch.setattr(sys, 'path', list(sys.path))


@pytest.fixture(autouse=True)
def buckets_in_memory(monkeypatch):
  """Workdirs at gs:// are looked at in an empty bucket of this process."""
  real = mirror.Mirror
  in_memory = lambda url: real(url.replace('gs://', 'memory://'))
  monkeypatch.setattr(mirror, 'Mirror', in_memory)


def test_a_block_names_only_what_exists(block):
  found = commands(block.text)
  assert found
  for words in found:
    check(words)


def test_links_lead_to_files(page):
  links = re.findall(r'\]\(([^)]+)\)', page.read_text())
  for link in links:
    if not link.startswith('https://'):
      assert (page.parent / link).is_file(), link


CONFIG = '--config=configs/'
MAIN = f'python -m dbflax.main {CONFIG}'
WRONG = {
  'a field': (f'{MAIN}dog.py --config.setps=3', "no config field 'setps'"),
  'a config': (f'{MAIN}dgo.py', "no config file 'configs/dgo.py'"),
  'a variant': (f'{MAIN}dog.py:if_s', "no variant ':if_s'"),
  'a module': ('python -m dbflax.mian', 'no module dbflax.mian'),
  'a flag': ('taskset -c 0 python -m benchmarks.run --sdies x', '--sdies'),
  'a file': ('python launch/upscale_x5.py', 'upscale_x5.py'),
  'an extra': ("pip install '.[tets]'", 'no extra tets'),
  'another package': ('pip install dbflux', 'not dbflax'),
  'a folder': ('pytest -m slow tests/test_fualts.py', 'no tests/test_fualts'),
  'an option': (
    f'launch/local.sh all --deivce=gpu -- {CONFIG}dog.py',
    '--deivce',
  ),
  'behind --': (
    f'launch/local.sh all -- {CONFIG}dog.py --config.x=1',
    "no config field 'x'",
  ),
  'a program': ('A=1 dbflax run', 'dbflax: no such program'),
  'a second one': ('pip install . && \\\n  pip install x', 'pip install x'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_does_not_exist_is_found(case):
  text, message = WRONG[case]
  with pytest.raises((AssertionError, OSError, errors.UserError)) as found:
    for words in commands(text):
      check(words)
  assert message in str(found.value)


def test_the_commands_of_help_name_only_what_exists():
  text = main.__doc__.replace('\\\n', ' ')
  lines = [line for line in text.splitlines() if '  python ' in line]
  assert len(lines) == 9
  for line in lines:
    [words] = commands(line)
    check(words)


def test_the_two_commands_are_those_of_ci():
  ci = (ROOT / '.ci/run').read_text()
  readme = (ROOT / 'README.md').read_text()
  for command in (
    'pip install . && python -m dbflax.main --config=configs/dog.py',
    "pip install '.[test]' && pytest",
  ):
    assert command in ci and f'```sh\n{command}\n```' in readme


def test_a_quick_block_runs(quick_block, shell):
  done = shell(quick_block.text)
  assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.slow
def test_a_block_runs(run_block, first_run, shell):
  assert first_run.returncode == 0, first_run.stderr
  done = shell(run_block.text)
  assert done.returncode == 0 and done.stdout, done.stderr
