"""A finished workdir as one self-contained HTML page.

Reads json, png and jsonl only, so the page can be made anew at any time, on
any machine, and the same workdir gives the same bytes. All images lie inside
the page and nothing is fetched. Parts that the workdir lacks are left out.
"""

import base64
import functools
import io
import json
import math
import pathlib
from typing import Any, NamedTuple

import jinja2
import markupsafe
import matplotlib
import numpy as np
from matplotlib import figure as figure_lib
from matplotlib import ticker
from PIL import Image

from dbflax import disk, errors, methods, workdir
from dbflax.data import images

PAGE = 'index.html'
# A page over this size (in bytes) is made anew with smaller images.
MAX_BYTES = 25_000_000
# (side, JPEG quality), best first: an image has at most side² pixels.
QUALITIES = ((1024, 90), (1024, 80), (768, 78), (512, 75), (384, 70))
# Images whose shorter side is at most this stay lossless and are scaled up
# with hard edges.
SMALL = 128
# At most so many class images, and grids of a stage, are shown.
MAX_PRIOR = 64
MAX_GRIDS = 12
# At most so many points of a curve are drawn.
MAX_POINTS = 1000
# What the curves of a stage are called in its log, on the page, and which of
# the page's CSS colours draws them.
CURVES = (
  ('instance_loss', 'subject', 'var(--instance)'),
  ('prior_loss', 'class (prior preservation)', 'var(--prior)'),
)
# matplotlib knows no CSS colours: it draws with these, which are then replaced
# so that a chart follows the page's light or dark look.
_PLACEHOLDERS = {
  '#010101': 'currentColor',
  '#020202': 'var(--instance)',
  '#030303': 'var(--prior)',
}
_COLOURS = {css: colour for colour, css in _PLACEHOLDERS.items()}


class Picture(NamedTuple):
  """An image that is part of the page."""

  uri: str
  # Of the file, in pixels; the page may hold fewer.
  width: int
  height: int

  @property
  def small(self) -> bool:
    return min(self.width, self.height) <= SMALL


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
  content = read(pathlib.Path(root))
  template = jinja2.Environment(
    loader=jinja2.PackageLoader('dbflax', 'assets/report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  ).get_template(f'{PAGE}.jinja')
  for side, quality in QUALITIES:
    encode = functools.partial(picture, side=side, quality=quality)
    page = template.render(content, picture=encode).encode()
    if len(page) <= MAX_BYTES:
      break
  disk.atomic_write(pathlib.Path(folder) / PAGE, page)


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
  # An earlier run with other settings may have left more than this one used.
  method = config.get('method', methods.DREAMBOOTH)
  has_prior = method == methods.DREAMBOOTH and config.get('prior.weight', 1)
  prior = _files(paths.prior) if has_prior else []
  trained = {methods.INVERSION: [methods.STEP], methods.PROMPT_ONLY: []}
  stages = trained.get(method, config.get('cascade.stages'))
  prompt = str(config.get('prior.prompt', ''))
  return {
    'method': method,
    'identifier': identifier,
    'photos': _files(root / 'photos'),
    'prior': spread(prior, MAX_PRIOR),
    'prior_count': len(prior),
    'prior_prompt': prompt.replace('{class_noun}', identifier['class_noun']),
    'prompts': _prompts(paths.samples),
    'stages': _stages(root, stages),
    'times': times(_json(root / 'times.json', {})),
    'config': {
      key: value if isinstance(value, str) else json.dumps(value)
      for key, value in config.items()
    },
    'command': command,
  }


def _json(path, default):
  """The value in a JSON file, or `default` without one."""
  return json.loads(path.read_bytes()) if path.is_file() else default


def _files(folder) -> list[pathlib.Path]:
  """The PNG files of a folder (none if it is missing), sorted by name."""
  return sorted(folder.glob('*.png'))


def _prompts(folder) -> list[dict[str, Any]]:
  """[{'prompt': text, 'images': [{stage name: file}, …]}, …]."""
  return [
    {
      'prompt': sample['prompt'],
      'images': [
        {stage: folder / name for stage, name in sorted(image.items())}
        for image in sample['images']
      ],
    }
    for sample in _json(folder / 'samples.json', [])
  ]


def _stages(root, names) -> list[Stage]:
  """The stages (of these `names`; None: any) that have something to show."""
  names = ['stage_*'] if names is None else names
  folders = [path for name in names for path in root.glob(name)]
  stages = [_stage(path) for path in sorted(folders) if path.is_dir()]
  return [stage for stage in stages if stage.curves or stage.grids]


def _stage(folder) -> Stage:
  log = read_log(folder / 'metrics.jsonl')
  lines = {label: curve(log, key) for key, label, _ in CURVES}
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
    chart=chart([(colours[label], *line) for label, line in lines.items()]),
    grids=[(int(path.stem), path) for path in grids],
  )


def read_log(path: pathlib.Path) -> list[dict[str, float]]:
  """The lines of a metrics log; one cut by a kill is left out."""
  if not path.is_file():
    return []
  return [json.loads(line) for line in path.read_text().split('\n')[:-1]]


def curve(log, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(steps, values, smoothed values), each [n], of one metric's finite values.

  n is 0 if the log has none.
  """
  points = [
    (line['step'], line[key])
    for line in log
    if math.isfinite(line.get(key, math.nan))
  ]
  steps, values = np.array(points, float).reshape(-1, 2).T
  smoothed = smooth(values, width=max(1, len(values) // 8))
  stride = max(1, -(-len(values) // MAX_POINTS))
  return steps[::stride], values[::stride], smoothed[::stride]


def smooth(values: np.ndarray, width: int) -> np.ndarray:
  """Weighted means [n] of `values` [n] within `width` steps to either side.

  The weights fall off linearly; at the ends the missing neighbours have none.
  """
  if not len(values):
    return values
  distance = np.abs(np.arange(-width, width + 1))
  weights = 1 - distance / (width + 1)
  inner = slice(width, width + len(values))
  total = np.convolve(values, weights)[inner]
  return total / np.convolve(np.ones_like(values), weights)[inner]


def chart(lines) -> str:
  """Inline SVG of [(CSS colour, steps [n], values [n], smoothed [n]), …].

  Losses that span more than a power of ten (they depend on the noise level
  drawn) get a logarithmic axis. '' without lines.
  """
  if not lines:
    return ''
  ink = _COLOURS['currentColor']
  figure = figure_lib.Figure(figsize=(4.8, 2.4), layout='constrained')
  axes = figure.subplots()
  for css, steps, values, smoothed in lines:
    colour = _COLOURS[css]
    axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(steps, smoothed, color=colour, linewidth=2)
  values = np.concatenate([values for _, _, values, _ in lines])
  if 0 < 10 * values.min() < values.max():
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=6))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter('{:g}'.format))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
  axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
  axes.set_xlabel('step', color=ink)
  axes.grid(color=ink, alpha=0.12, linewidth=0.8)
  axes.tick_params(colors=ink, length=0)
  axes.spines[:].set_visible(False)
  return _svg(figure)


def _svg(figure) -> str:
  """A figure as SVG, without header, date, fonts and fixed size."""
  settings = {'svg.fonttype': 'none', 'svg.hashsalt': 'dbflax'}
  file = io.StringIO()
  with matplotlib.rc_context(settings):
    nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(file, format='svg', transparent=True, metadata=nothing)
  text = file.getvalue()
  text = text[text.index('<svg') :]
  for placeholder, css in _PLACEHOLDERS.items():
    text = text.replace(placeholder, css)
  # Made of numbers alone: nothing in it comes from the workdir's texts.
  return markupsafe.Markup(text)


def picture(path: pathlib.Path, side: int, quality: int) -> Picture:
  """An image file as a data URI.

  Small ones as they are; others as JPEG with at most side² pixels, unless the
  file is smaller than that.

  Raises:
    UserError: the file is missing or no image.
  """
  pixels = images.load(path)
  height, width = pixels.shape[:2]
  best = 'png', path.read_bytes()
  if min(width, height) > SMALL:
    jpeg = _jpeg(pixels, side, quality)
    best = min(best, ('jpeg', jpeg), key=lambda item: len(item[1]))
  kind, content = best
  encoded = base64.b64encode(content).decode()
  return Picture(f'data:image/{kind};base64,{encoded}', width, height)


def _jpeg(pixels, side, quality) -> bytes:
  """uint8 [H, W, 3] as JPEG of at most side² pixels."""
  height, width = pixels.shape[:2]
  scale = min(1, side / math.sqrt(height * width))
  image = Image.fromarray(pixels)
  if scale < 1:
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
  file = io.BytesIO()
  # Subsampled colours would blur thin coloured outlines.
  image.save(file, 'JPEG', quality=quality, subsampling=0, optimize=True)
  return file.getvalue()


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
