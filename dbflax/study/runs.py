"""A study's runs: every arm with every subject and seed.

    <workdir>/runs/<arm>/<subject>/<seed>   a run like any other
    <workdir>/results.json                  all figures, and what they say;
                                            other machines can begin with it
    <workdir>/report/index.html             the same with plots and pictures

Runs take over from each other whatever they have in common, such as class
images, and from those of studies beside theirs: most have an arm that changes
nothing, which is then trained once for all of them. Any number of processes, on
one machine or many with a shared folder, may be given the same command: each
takes the next run that nobody does, and leaves a subject to whoever is with it.
"""

import contextlib
import copy
import itertools
import logging
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dbflax import disk, errors, nouns, pipeline, validate
from dbflax import workdir as workdir_lib
from dbflax.evaluate import record
from dbflax.study import elsewhere, findings, page
from dbflax.study import results as results_lib

_log = logging.getLogger(__name__)


class Run(NamedTuple):
  """One of the runs."""

  arm: str
  subject: str
  seed: int
  config: object  # the ConfigDict of the run, locked
  folder: pathlib.Path

  @property
  def key(self) -> findings.Key:
    return self.arm, self.subject, self.seed


def run(config, work: workdir_lib.Workdir) -> None:
  """--mode=study: does what is left of the runs, and says what they found.

  Raises:
    UserError: an arm, subject or known result that cannot be, or a run that
      failed.
  """
  planned = plan(config, work.root)
  known = _known(planned, config.known_results)
  work.hold_url()
  work.own()
  ours = [one for one in planned if one.key not in known]
  waiting = _do_all(ours, work.command)
  if waiting:
    _log.info('study: %d runs are with other processes', len(waiting))
  done = [one for one in ours if one not in waiting]
  found = known | read_scores(done)
  listed = [found[one.key] for one in planned if one.key in found]
  results = results_lib.gather(config, listed, len(planned))
  disk.write_json(work.root / 'results.json', results)
  page.write(work.root / 'report', results, _shown(done), work.command)
  print(results_lib.table(results))
  print(f'Report: {work.root / "report/index.html"}')


def plan(config, root: pathlib.Path) -> list[Run]:
  """All runs; those that are compared with each other come one by one.

  Raises:
    UserError: an arm or subject with a field that does not exist or a value
      that cannot be.
  """
  count = config.num_subjects or len(config.subjects)
  return [
    _planned(config, root, arm, changes, subject, seed)
    for seed in config.seeds
    for subject in config.subjects[:count]
    for arm, changes in config.arms
  ]


def _known(
  planned: Sequence[Run], paths: Sequence[str]
) -> dict[findings.Key, dict]:
  """Of the runs that results.json files list those that are planned here."""
  listed = {}
  for one in elsewhere.read(paths):
    listed.setdefault(findings.key(one), {})[one['made_of']] = one
  known, asked = {}, [one for one in planned if one.key in listed]
  for one in asked:
    made_of = elsewhere.before(nouns.resolved(one.config))
    if made_of in listed[one.key]:
      known[one.key] = listed[one.key][made_of]
  if paths:
    _log.info(
      'study: known runs: %d; listed, but made of something else here: %d',
      len(known),
      len(asked) - len(known),
    )
  return known


def _planned(config, root, arm, changes, subject, seed) -> Run:
  """One run, with its config checked."""
  name = disk.slug(subject['photos'].removeprefix('toybox:'))
  filled = copy.deepcopy(config.base)
  filled.name = '_'.join((config.name, disk.slug(arm), name, str(seed)))
  filled.seed = seed
  fields = {
    'subject.photos': subject['photos'],
    'subject.class_noun': subject['class_noun'],
    **{path: _fill(value, subject) for path, value in changes.items()},
  }
  known = dict(validate.flatten(filled))
  for path in fields:
    if path not in known:
      raise errors.UserError(
        f"arm '{arm}' changes '{path}', which is no field of a run; "
        'configs/default.py lists all fields.'
      )
  try:
    filled.update_from_flattened_dict(fields)
    validate.check(filled)
  except (errors.UserError, TypeError) as error:
    raise errors.UserError(f"arm '{arm}' of {name}: {error}") from error
  folder = root / 'runs' / disk.slug(arm) / name / str(seed)
  return Run(arm, name, seed, filled, folder)


def _fill(value, subject: Mapping[str, str]):
  """'$other_noun' and so on become what the subject says."""
  if isinstance(value, tuple):
    return tuple(_fill(part, subject) for part in value)
  if not isinstance(value, str):
    return value
  try:
    return string.Template(value).substitute(subject)
  except (KeyError, ValueError) as error:
    raise errors.UserError(
      f'{value!r} needs {error} of {subject["photos"]}, which says only '
      f'{", ".join(subject)}.'
    ) from error


def _do_all(planned: Sequence[Run], command: str) -> list[Run]:
  """Does what is left of the runs; returns those that other processes do.

  A process that meets another one leaves the subject to it and goes on with the
  next: the first of a subject's runs makes what they have in common, such as
  class images. In the end it helps wherever there is something to do.
  """
  is_done = lambda one: _do(one, planned, command)
  waiting = []
  for _, group in itertools.groupby(planned, lambda one: one.key[1:]):
    waiting += itertools.dropwhile(is_done, group)
  while waiting:
    others = list(itertools.filterfalse(is_done, waiting))
    if len(others) == len(waiting):
      break
    waiting = others
  return waiting


def _do(one: Run, planned: Sequence[Run], command: str) -> bool:
  """Brings a run and its figures up to date; False if another process does.

  Raises:
    UserError: the run's, with its name.
  """
  done = sum(_scores(other).exists() for other in planned)
  _log.info('%s (%d of %d are done)', one.config.name, done, len(planned))
  work = workdir_lib.Workdir(
    one.folder, one.config.name, command, _relatives(one)
  )
  try:
    # What they print is for one run; here it would be in the way.
    with contextlib.closing(work), contextlib.redirect_stdout(None):
      work.claim()
      config = nouns.resolved(one.config)
      pipeline.sample(config, work)
      pipeline.evaluate(config, work)
      pipeline.report(config, work)
  except errors.InUse:
    return False
  except errors.UserError as error:
    raise errors.UserError(f'{one.config.name}: {error}') from error
  return True


def _relatives(one: Run) -> list[pathlib.Path]:
  """The runs of its seed that there are, in this study and those beside it."""
  studies = one.folder.parents[4]
  return sorted(studies.glob(f'*/runs/*/*/{one.seed}'))


def _scores(one: Run) -> pathlib.Path:
  return one.folder / record.STEP / record.FILE


def _shown(done: Sequence[Run]) -> dict[tuple[str, str], pathlib.Path]:
  """(subject, arm) → the folder of its first seed's run."""
  first = {}
  for one in done:
    first.setdefault((one.subject, one.arm), one.folder)
  return first


def read_scores(done: Sequence[Run]) -> dict[findings.Key, dict]:
  """Those that have any, as results.json lists them."""
  found = {}
  for one in done:
    content = disk.read_json(_scores(one))
    if content is not None:
      found[one.key] = {
        'arm': one.arm,
        'subject': one.subject,
        'seed': one.seed,
        'made_of': elsewhere.after(one.folder),
        'figures': {
          f'{network}: {name}': value
          for network, values in content['figures'].items()
          for name, value in values.items()
        },
      }
  return found
