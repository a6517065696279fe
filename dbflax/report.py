"""A finished workdir as one self-contained HTML page.

Reads json, png and jsonl only, so the page can be made anew at any time, on
any machine, and the same workdir gives the same bytes. All images lie inside
the page and nothing is fetched. Parts that the workdir lacks are left out, and
scores of other samples than its present ones.
"""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dbflax import disk, errors, methods, workdir
from dbflax.evaluate import record
from dbflax.pages import charts, page

# At most so many class images, grids of a stage, and pairs of a sample and
# its nearest photo are shown.
MAX_PRIOR = 64
MAX_GRIDS = 12
MAX_PAIRS = 6
# What the curves of a stage are called in its log, on the page, and which of
# the page's CSS colours draws them.
CURVES = (
  ('instance_loss', 'subject', 'var(--instance)'),
  ('prior_loss', 'class (prior preservation)', 'var(--prior)'),
)


class Curve(NamedTuple):
  """A loss over the steps of a stage."""

  label: str
  colour: str
  # First and last value of the smoothed line.
  first: float
  last: float


class Stage(NamedTuple):
  """How a stage was trained."""

  title: str
  curves: list[Curve]
  # Inline SVG; '' without curves.
  chart: str
  # (steps done, file) of the samples drawn while training.
  grids: list[tuple[int, pathlib.Path]]


def write(folder: pathlib.Path, root: pathlib.Path) -> None:
  """Writes `folder`/index.html about the finished workdir at `root`.

  Raises:
    UserError: the workdir has no identifier yet, or an image is unreadable.
  """
  page.write(folder, 'run.html.jinja', read(pathlib.Path(root)))


def read(root: pathlib.Path) -> dict[str, Any]:
  """What the page shows, by the names that the template uses.

  Raises:
    UserError: the workdir has no identifier yet.
  """
  paths = workdir.Workdir(root)
  identifier = _json(paths.identifier / 'identifier.json', None)
  if identifier is None:
    raise errors.UserError(
      f"no identifier in workdir '{root}'; finish it with --mode=run first"
    )
  config = flatten(_json(root / 'config.json', {}))
  command = config.pop('command', '')
  subjects = [identifier, *identifier.get('others', ())]
  words = [subject['subject'] for subject in subjects]
  prompts = read_prompts(paths.samples, words)
  strips = _strips(root / 'photos', words, config)
  scores = record.each(record.of_run(root))
  return {
    'method': config.get('method', methods.DREAMBOOTH),
    'identifier': identifier,
    'subjects': subjects,
    'photos': [path for one in strips for path in one['files']],
    'strips': strips,
    'prompts': prompts,
    'scores': [_scores(one, scores[0]['subjects'], words) for one in scores],
    'notes': [note for one in scores[:1] for note in one['notes']],
    'nearest': [
      pairs for one in scores for pairs in _nearest(one, root, words, prompts)
    ],
    'before': _before(root, config, [s['class_noun'] for s in subjects]),
    'after': _after(prompts),
    'after_how': _how(config, 'sample.stage_1'),
    'stages': stages(root, trained(config)),
    'times': times(paths.times()),
    'config': {
      key: value if isinstance(value, str) else json.dumps(value)
      for key, value in config.items()
    },
    'command': command,
  }


def _json(path, default):
  """The object in a JSON file, or `default` without one.

  Raises:
    UserError: it holds something else.
  """
  if not path.exists():
    return default
  try:
    return json.loads(disk.read(path))
  except ValueError as error:
    raise errors.UserError(
      f"'{path}' is damaged ({error}); --mode=run writes it again"
    ) from error


def _files(folder) -> list[pathlib.Path]:
  """The PNG files of a folder (none if it is missing), sorted by name."""
  return sorted(folder.glob('*.png'))


def _strips(root, words: Sequence[str], config) -> list[dict[str, Any]]:
  """The photos of each subject that has some, and how many were learnt."""
  first = config.get('subject.count', 0)
  others = [one.get('count', first) for one in config.get('others', ())]
  counts = dict(enumerate([first, *others], 1))
  found = []
  for number, subject in enumerate(words, 1):
    folder = workdir.photos_of(root, number)
    files = _files(folder)
    found.append(
      {
        'subject': subject,
        'files': files,
        'captions': _json(folder / 'captions.json', [''] * len(files)),
        'views': [_views(path) for path in files],
        'learnt': counts.get(number) or len(files),
      }
    )
  return [one for one in found if one['files']]


def _views(photo: pathlib.Path) -> dict[str, pathlib.Path]:
  """{what it is: file} of a photo: whole, and as each stage sees it."""
  framed = photo.parent / 'framed' / photo.name
  sizes = [path.name for path in photo.parent.glob('[0-9]*') if path.is_dir()]
  lower = sorted(sizes, key=int, reverse=True)
  found = {
    'kept': framed,
    'largest': photo,
    **{f'{size} px': photo.parent / size / photo.name for size in lower},
  }
  return {name: path for name, path in found.items() if path.is_file()}


def read_prompts(
  folder: pathlib.Path, words: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """[{'prompt', 'parts', 'of_class', 'images': [{stage: file}, …]}, …].

  Every second part of a prompt is one of `words`.
  """
  named = '|'.join(re.escape(word) for word in words if word)
  return [
    {
      'prompt': sample['prompt'],
      'parts': re.split(f'({named})' if named else '$^', sample['prompt']),
      'of_class': '{subject' not in sample['template'],
      'images': [
        {stage: folder / name for stage, name in sorted(image.items())}
        for image in sample['images']
      ],
    }
    for sample in _json(folder / 'samples.json', [])
  ]


def _scores(content, pool, words: Sequence[str]) -> dict[str, Any]:
  """The tables of what scores.json says of a subject."""
  networks = record.rows(content, pool)
  pools = [row.pool['interval'] for rows in networks.values() for row in rows]
  return {
    'subject': words[record.number(content) - 1],
    'pictures': content['pictures'],
    'pooled': any(pools),
    'networks': networks,
    'prompts': {
      network: record.by_prompt(prompts)
      for network, prompts in content['prompts'].items()
    },
  }


def _nearest(
  content, root, words: Sequence[str], prompts
) -> list[dict[str, Any]]:
  """The nearest pairs of each network about a subject, with their files."""
  number, samples = record.number(content), root / 'samples'
  photos = _files(workdir.photos_of(root / 'photos', number))
  said = {
    file: row['prompt']
    for row in prompts
    for image in row['images']
    for file in image.values()
  }
  fill = lambda pair: {
    'sample': samples / pair['file'],
    'prompt': said[samples / pair['file']],
    'photo': photos[pair['photo']],
    'photo_name': f'photo {pair["photo"] + 1}',
    'value': pair['value'],
  }
  return [
    {
      **one._asdict(),
      'subject': words[number - 1],
      'pairs': [fill(pair) for pair in one.pairs],
    }
    for one in record.nearest(content, MAX_PAIRS)
  ]


def _before(root, config, nouns: Sequence[str]) -> list[dict[str, Any]]:
  """What the frozen cascade drew of each class."""
  # An earlier run with other settings may have left more than this one used.
  has_prior = config.get('method', methods.DREAMBOOTH) == methods.DREAMBOOTH
  has_prior &= config.get('stage_1.train', True)
  if not (has_prior and config.get('prior.weight', 1)):
    return []
  prompt = str(config.get('prior.prompt', ''))
  steps = methods.class_steps(
    [prompt.replace('{class_noun}', n) for n in nouns]
  )
  drawn = [(said, _files(root / step)) for step, said in steps.items()]
  return [
    {
      'images': spread(files, MAX_PRIOR),
      'count': len(files),
      'prompt': said,
      'how': _how(config, 'prior'),
    }
    for said, files in drawn
    if files
  ]


def _after(prompts) -> list[dict[str, Any]]:
  """What the fine-tuned base draws of the class, for each of its prompts."""
  rows = [
    {
      'prompt': row['prompt'],
      'images': [i['stage_1'] for i in row['images'] if 'stage_1' in i],
    }
    for row in prompts
    if row['of_class']
  ]
  return [row for row in rows if row['images']]


def _how(config, prefix: str) -> str:
  """Such as 'ddim, 32 steps, guidance 3'; '' if the config does not say."""
  names = ('sampler', 'steps', 'guidance_scale')
  values = [config.get(f'{prefix}.{name}') for name in names]
  if None in values:
    return ''
  return '{}, {} steps, guidance {:g}'.format(*values)


def trained(config: dict[str, Any]) -> list[str] | None:
  """The steps that train, of a flattened config; None if it does not say."""
  method = config.get('method', methods.DREAMBOOTH)
  if method != methods.DREAMBOOTH:
    return [methods.STEP] if method == methods.INVERSION else []
  names = config.get('cascade.stages')
  return names and [n for n in names if config.get(f'{n}.train', True)]


def stages(root: pathlib.Path, names: Sequence[str] | None) -> list[Stage]:
  """The stages (of these `names`; None: any) that have something to show."""
  names = ['stage_*'] if names is None else names
  folders = [path for name in names for path in root.glob(name)]
  found = [_stage(path) for path in sorted(folders) if path.is_dir()]
  return [stage for stage in found if stage.curves or stage.grids]


def _stage(folder) -> Stage:
  log = disk.read_log(folder / 'metrics.jsonl')
  lines = {label: charts.curve(log, key) for key, label, _ in CURVES}
  colours = {label: colour for _, label, colour in CURVES}
  lines = {label: line for label, line in lines.items() if len(line[0])}
  curves = [
    Curve(label, colours[label], float(smoothed[0]), float(smoothed[-1]))
    for label, (_, _, smoothed) in lines.items()
  ]
  grids = spread(_files(folder / 'samples'), MAX_GRIDS)
  return Stage(
    title=folder.name.replace('_', ' ').capitalize(),
    curves=curves,
    chart=charts.chart(
      [(colours[label], *line) for label, line in lines.items()]
    ),
    grids=[(int(path.stem), path) for path in grids],
  )


def spread(items: list, count: int) -> list:
  """At most `count` of `items`, evenly spaced, with the first and the last."""
  if len(items) <= count:
    return items
  chosen = np.linspace(0, len(items) - 1, count).round().astype(int)
  return [items[index] for index in chosen]


def times(seconds: dict[str, float]) -> list[tuple[str, str, float]]:
  """(step, duration in words, share of the total) of each step, and the sum."""
  total = sum(seconds.values())
  rows = [
    (name, duration(value), value / total if total else 0.0)
    for name, value in seconds.items()
  ]
  return [*rows, ('total', duration(total), 1.0)] if rows else []


def duration(seconds: float) -> str:
  """Such as '0.4 s', '42 s', '3 min 05 s', '2 h 07 min'."""
  if seconds < 9.95:
    return f'{seconds:.1f} s'
  minutes, rest = divmod(round(seconds), 60)
  if minutes == 0:
    return f'{rest} s'
  hours, minutes_rest = divmod(minutes, 60)
  if hours == 0:
    return f'{minutes} min {rest:02d} s'
  return f'{hours} h {minutes_rest:02d} min'


def flatten(config: dict, prefix: str = '') -> dict[str, Any]:
  """{'stage_1.steps': 300, …} of nested or already flat settings."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, dict):
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[f'{prefix}{key}'] = value
  return flat
