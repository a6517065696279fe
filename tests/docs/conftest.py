"""The command blocks of the pages, and a checkout in which they run small."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = (
  ROOT / 'README.md',
  ROOT / 'CONTRIBUTING.md',
  *sorted((ROOT / 'docs').glob('*.md')),
  ROOT / 'dbflax/assets/toybox/README.md',
)
# A block, and the comment above it that says why it is not run.
_BLOCK = re.compile(
  r'^(?:<!-- not run: (?P<why>.+?) -->\n)?```sh\n(?P<text>.*?)^```$',
  re.MULTILINE | re.DOTALL,
)
# What runs in a second or two; the others compile.
QUICK = ('--help', '--mode=identifier')
# Every config file of the checkout makes small runs.
_SMALL = """

_full_size = get_config


def get_config(variant: str = ''):
  from configs import test, variants

  config = _full_size()
  test.shrink(config)
  return variants.apply(config, variant, {})
"""


class Block(NamedTuple):
  """Lines of shell on a page."""

  page: pathlib.Path
  line: int
  text: str
  why: str | None  # it is not run

  @property
  def name(self) -> str:
    return f'{self.page.relative_to(ROOT)}:{self.line}'


def blocks() -> list[Block]:
  """Every ```sh block of the pages, in their order."""
  found = []
  for page in PAGES:
    text = page.read_text()
    for match in _BLOCK.finditer(text):
      line = text.count('\n', 0, match.start('text')) + 1
      found.append(Block(page, line, match['text'], match['why']))
  return found


def pytest_generate_tests(metafunc):
  """`page` is each page, `block` each block, `run_block` those that are run."""
  every = blocks()
  run = [block for block in every if not block.why]
  quick = [block for block in run if any(word in block.text for word in QUICK)]
  slow = [block for block in run if block not in quick]
  chosen = {'block': every, 'quick_block': quick, 'run_block': slow}
  if 'page' in metafunc.fixturenames:
    metafunc.parametrize('page', PAGES, ids=lambda path: path.name)
  for name, them in chosen.items():
    if name in metafunc.fixturenames:
      metafunc.parametrize(name, them, ids=[block.name for block in them])


@pytest.fixture(scope='session')
def small_checkout(tmp_path_factory):
  """A checkout whose configs make small runs, with photos of a dog in it.

  `pip install` does nothing there: .ci/run follows the README in a new virtual
  environment, and `test_commands` looks at what is to be installed.
  """
  root = tmp_path_factory.mktemp('checkout')
  for path in ROOT.iterdir():
    if path.name not in ('configs', 'runs', '.git'):
      (root / path.name).symlink_to(path)
  shutil.copytree(ROOT / 'configs', root / 'configs')
  with (root / 'configs/default.py').open('a') as file:
    file.write(_SMALL)
  dog = ROOT / 'dbflax/assets/toybox/subjects/dog'
  shutil.copytree(dog, root / 'photos/rex')
  (root / 'bin').mkdir()
  for name, text in (
    ('pip', 'true'),
    ('python', f'exec {sys.executable} "$@"'),
  ):
    (root / 'bin' / name).write_text(f'#!/bin/sh\n{text}\n')
    (root / 'bin' / name).chmod(0o755)
  return root


@pytest.fixture(scope='session')
def small_environment(small_checkout):
  """What a process needs beside PATH to run there."""
  before = os.environ.get('PYTHONPATH', '')
  return {
    'PYTHONPATH': f'{small_checkout}:{before}',
    # All share the compiled programs, small ones too.
    'JAX_COMPILATION_CACHE_DIR': str(small_checkout / 'xla'),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }


@pytest.fixture(scope='session')
def shell(small_checkout, small_environment):
  """shell(text) → the finished bash that ran it in the small checkout."""

  def run(text):
    env = {
      **os.environ,
      **small_environment,
      'PATH': f'{small_checkout / "bin"}:{os.environ["PATH"]}',
    }
    return subprocess.run(
      ['bash', '-euo', 'pipefail', '-c', text],
      cwd=small_checkout,
      env=env,
      capture_output=True,
      text=True,
    )

  return run


@pytest.fixture(scope='session')
def first_run(shell):
  """The README's first block, which other blocks go on from."""
  return shell(blocks()[0].text)
