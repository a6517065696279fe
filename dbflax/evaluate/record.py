"""scores.json of a workdir: what it says, of what, and whether it still holds.

    evaluate/scores.json   {'figures': {network: {figure: value}},
                            'intervals': {network: {figure: [low, high]}},
                            'prompts': {network: {prompt: {figure: value}}},
                            'nearest': {network: [{'file', 'photo', 'value'}]},
                            'subjects': {network: {figure: {'mean',
                              'interval', 'subjects'}}},
                            'others': [the same of further subjects], …}

Reads json and images, and no network: reports are made with it.
"""

import json
import logging
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from dbflax import disk
from dbflax.evaluate import gathered

_log = logging.getLogger(__name__)

STEP, FILE = 'evaluate', 'scores.json'
# Raised where other figures come of the same pictures.
CODE = 2
# What each figure is, and which way is better, for people.
MEANINGS = {
  'photos': 'mean cosine of two photos',
  'photos/nearest': 'mean cosine of a photo and the nearest other one',
  'photos/distance': 'mean LPIPS of a photo and the nearest other one',
  'subject_fidelity': '↑ mean cosine of samples and photos',
  'subject_fidelity/spread': '↓ its standard deviation between prompts',
  'nearest_photo': 'mean cosine of a sample and its nearest photo; '
  'above photos/nearest: samples repeat photos',
  'photo_distance': 'mean LPIPS of a sample and its nearest photo; '
  'below photos/distance: samples repeat photos',
  'prompt_fidelity': '↑ agreement of samples and prompts',
  'PRES': '↓ mean cosine of pictures of the bare class and photos',
  'DIV': '↑ mean LPIPS of two samples of one prompt',
  'other_subjects': '↓ mean cosine of samples of the other subjects and photos',
  'photos/other_subjects': 'mean cosine of photos of the other subjects and '
  'photos',
}


class Row(NamedTuple):
  """A figure of one network; None is unknown.

  Attributes:
    name, meaning: of the figure.
    value: of this subject.
    interval: its 95 % interval, over prompts.
    pool: over all subjects: 'mean', 'interval' and 'subjects'.
  """

  name: str
  meaning: str
  value: float | None
  interval: tuple[float, float] | None
  pool: dict

  @property
  def span(self) -> str:
    return span(self.interval)

  @property
  def pool_span(self) -> str:
    return span(self.pool['interval'])


class Pairs(NamedTuple):
  """The samples that are nearest to photos, by one network.

  Attributes:
    network: its name.
    of: what their value is, in words.
    among: the same of a photo and the nearest other one; None is unknown.
    pairs: [{'file', 'photo', 'value'}, …], the nearest first.
  """

  network: str
  of: str
  among: float | None
  pairs: list[dict]


def made_of(each: Sequence[gathered.Shown]) -> dict:
  """What figures depend on but for networks, for fingerprints."""
  first, *others = map(_made_of, each)
  return {'code': CODE, **first, **({'others': others} if others else {})}


def _made_of(shown: gathered.Shown) -> dict:
  return {
    'pictures': [[group.prompt, *group.files] for group in shown.groups],
    'says': [[group.says, group.of_class] for group in shown.groups],
    'photos': shown.photos,
  }


def of_run(root: pathlib.Path) -> dict | None:
  """scores.json of a workdir; None if it has none of its present samples."""
  folder = root / STEP
  manifest = disk.read_json(folder / disk.MANIFEST)
  if manifest is None:
    return None
  if reason := _difference(root, manifest) or disk.damage(folder):
    _log.warning(
      '%s is not of these samples and not shown (%s); run --mode=evaluate',
      folder / FILE,
      reason,
    )
    return None
  return json.loads(disk.read(folder / FILE))


def _difference(root: pathlib.Path, manifest: dict) -> str:
  """Which of its samples and photos were scored no more, in words."""
  if missing := gathered.unfinished(root):
    return f'{missing} is not finished'
  then = manifest.get('inputs', {})
  if not (shown := gathered.of_workdir(root)):
    return 'no prompt is of one subject alone'
  now = made_of(shown)
  changed = [k for k, v in now.items() if then.get(k) != disk.fingerprint(v)]
  return f'{", ".join(changed)} changed' if changed else ''


def each(content: dict | None) -> list[dict]:
  """What scores.json says of each subject; the first one's has the pool."""
  return [content, *content.get('others', ())] if content else []


def number(content: dict) -> int:
  """Which subject of its run it is about; from 1."""
  return content.get('number', 1)  # One of before had the first alone.


def rows(content: dict, pool: dict) -> dict[str, list[Row]]:
  """{network: its figures}, of this subject and of all that are pooled."""
  return {
    network: [
      Row(
        name,
        meaning(name),
        content['figures'].get(network, {}).get(name),
        content['intervals'].get(network, {}).get(name),
        of_all,
      )
      for name, of_all in figures.items()
    ]
    for network, figures in pool.items()
  }


def nearest(content: dict, count: int) -> list[Pairs]:
  """The `count` nearest pairs of each network."""
  found = []
  for network, pairs in content['nearest'].items():
    figures = content['figures'][network]
    by_distance = 'photo_distance' in figures
    order = sorted(pairs, key=lambda p: p['value'], reverse=not by_distance)
    of = 'LPIPS' if by_distance else 'cosine'
    among = figures.get(f'photos/{"distance" if by_distance else "nearest"}')
    found.append(Pairs(network, of, among, order[:count]))
  return found


def by_prompt(
  prompts: dict[str, dict[str, float]],
) -> tuple[list[str], list[list]]:
  """(head, rows) of a table of the figures of every prompt, None is unknown."""
  names = dict.fromkeys(name for row in prompts.values() for name in row)
  short = [name.removeprefix('prompt_fidelity/') for name in names]
  rows = [[p, *map(figures.get, names)] for p, figures in prompts.items()]
  return ['prompt', *short], rows


def meaning(figure: str) -> str:
  """What a figure is, for people."""
  whole, _, part = figure.partition('/')
  if figure not in MEANINGS and whole == 'prompt_fidelity':
    return f'↑ share of samples with the {part} that their prompt names'
  return MEANINGS.get(figure, '')


def span(interval: Sequence[float] | None) -> str:
  """Such as '[0.58, 0.64]'; '' of None."""
  return '[{:.3f}, {:.3f}]'.format(*interval) if interval else ''


def pooled(pool: dict) -> str:
  """Such as 'mean 0.610 [0.580, 0.640] of 30 subjects'; '' of one."""
  if pool['interval'] is None:
    return ''
  return (
    f'mean {pool["mean"]:.3f} {span(pool["interval"])} of '
    f'{pool["subjects"]} subjects'
  )


def table(content: dict) -> str:
  """All of it but prompts and pictures, for a terminal."""
  parts = [_table(one, content['subjects']) for one in each(content)]
  about = (
    'Intervals are over prompts. docs/quality.md says what the figures are.'
  )
  return '\n\n'.join([*parts, '\n'.join([about, *content['notes']])])


def _table(content: dict, pool: dict) -> str:
  """Of one subject."""
  cells = [('network', 'figure', 'value', '95 % interval', '')]
  for network, figures in rows(content, pool).items():
    for row in figures:
      value = '-' if row.value is None else f'{row.value:.3f}'
      of_all = pooled(row.pool)
      cells.append((network, row.name, value, span(row.interval), of_all))
  widths = [max(len(row[i]) for row in cells) for i in range(4)]
  lines = [
    f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  '
    f'{row[3]:{widths[3]}}  {row[4]}'.rstrip()
    for row in cells
  ]
  head = (
    f'{content["pictures"]} pictures and {content["photos"]} photos of '
    f'{content["subject"]}:'
  )
  return '\n'.join([head, '', *lines])
