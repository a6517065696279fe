"""Runs of a study that another machine did, or this one at another time.

results.json lists each run with its figures and a fingerprint of what they are
made of. Where they would be made of the same here, they are not made again.
"""

import json
import pathlib
from collections.abc import Sequence

from dbflax import disk, errors, inputs, scores
from dbflax import job as job_lib
from dbflax import workdir as workdir_lib
from dbflax.evaluate import record

# What results.json says of a run.
_FIELDS = ('arm', 'subject', 'seed', 'made_of', 'figures')
# Steps that figures are made in, and who makes them in the last.
_STEPS = ('photos', 'samples', record.STEP)
_JUDGES = ('code', 'networks', 'lpips')


def read(paths: Sequence[str]) -> list[dict]:
  """The runs that results.json files list.

  Raises:
    UserError: there is no such file, or it lists none.
  """
  found = []
  for path in paths:
    runs = (disk.read_json(path) or {}).get('scores')
    if not isinstance(runs, list) or not all(map(_is_run, runs)):
      raise errors.UserError(
        f"known_results: '{path}' is not the results.json of a study, or lists "
        'no runs; --mode=study writes one'
      )
    found += runs
  return found


def _is_run(listed) -> bool:
  return isinstance(listed, dict) and listed.keys() == {*_FIELDS}


def before(config) -> str:
  """The fingerprint of what a run's figures would be made of here.

  Raises:
    UserError: bad cascade, photos, identifier or network.
  """
  # Its folder is not looked at.
  job = job_lib.start(config, workdir_lib.Workdir('', config.name))
  made_of = {
    'photos': inputs.photos(job),
    'samples': inputs.samples(job),
    record.STEP: scores.judges(config),
  }
  return disk.fingerprint(
    {step: disk.fingerprints(of) for step, of in made_of.items()}
  )


def after(folder: pathlib.Path) -> str:
  """The same, of a run that is done in `folder`."""
  manifest = lambda name: json.loads(disk.read(folder / name / disk.MANIFEST))
  made_of = {step: manifest(step)['inputs'] for step in _STEPS}
  made_of[record.STEP] = {key: made_of[record.STEP][key] for key in _JUDGES}
  return disk.fingerprint(made_of)
