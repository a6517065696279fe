"""What all steps of a run share: what it warns of, and what it writes down."""

import types

import pytest

from configs import test as test_config
from dbflax import disk, workdir
from dbflax import job as job_lib


@pytest.mark.parametrize(
  ('path', 'photos', 'warns'),
  [('', 'rex', True), ('', 'toybox:dog', False), ('IF', 'rex', False)],
)
def test_own_photos_in_the_embedded_cascade_are_warned_of(
  path, photos, warns, caplog
):
  config = types.SimpleNamespace(cascade=types.SimpleNamespace(path=path))
  section = types.SimpleNamespace(section={'photos': photos})
  job_lib._warn_of_toys(config, (section,))
  assert ('has never seen a photo' in caplog.text) == warns


def test_settings_are_written_anew_while_something_is_to_be_trained(tmp_path):
  config, work = test_config.get_config(), workdir.Workdir(tmp_path)
  job_lib.start(config, work).claim()
  config.stage_1.steps = 7
  job_lib.start(config, work).claim(anew=False)
  written = disk.read_json(tmp_path / 'config.json')
  assert written['stage_1']['steps'] == 7
