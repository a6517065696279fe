"""Fixtures for all tests."""

import os
import pathlib

import pytest


@pytest.fixture(scope='session')
def shared_data():
  """The folder of real data that is not part of the project.

  It holds `t5/spiece.model` (T5's vocabulary) and `dreambooth/` (photos of the
  DreamBooth dataset). DBFLAX_DATA names it; else it is looked for beside the
  checkout.
  """
  beside = pathlib.Path(__file__).parents[1] / '../shared/data'
  folder = pathlib.Path(os.environ.get('DBFLAX_DATA', beside))
  if not folder.is_dir():
    pytest.skip(
      f'no folder {folder}: DBFLAX_DATA must name the one that holds '
      't5/spiece.model and dreambooth/'
    )
  return folder.resolve()


@pytest.fixture(scope='session')
def t5_spiece(shared_data):
  """The path of T5's own vocabulary."""
  path = shared_data / 't5' / 'spiece.model'
  if not path.is_file():
    pytest.skip(f'no {path}: the vocabulary of T5 is missing')
  return path
