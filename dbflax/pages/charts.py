"""Losses over the steps of a training, as inline SVG."""

import io
import math

import markupsafe
import matplotlib
import numpy as np
from matplotlib import figure as figure_lib
from matplotlib import ticker

# At most so many points of a curve are drawn.
MAX_POINTS = 1000
# matplotlib knows no CSS colours: it draws with these, which are then replaced
# so that a chart follows the page's light or dark look.
_PLACEHOLDERS = {
  '#010101': 'currentColor',
  '#020202': 'var(--instance)',
  '#030303': 'var(--prior)',
}
COLOURS = {css: colour for colour, css in _PLACEHOLDERS.items()}


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
  ink = COLOURS['currentColor']
  figure = figure_lib.Figure(figsize=(4.8, 2.4), layout='constrained')
  axes = figure.subplots()
  for css, steps, values, smoothed in lines:
    colour = COLOURS[css]
    axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(steps, smoothed, color=colour, linewidth=2)
  values = np.concatenate([values for _, _, values, _ in lines])
  if 0 < 10 * values.min() < values.max():
    axes.set_yscale('log')
    # Between powers of ten only if there are few.
    subs = (1, 2, 5) if values.max() < 100 * values.min() else (1,)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=6))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter('{:g}'.format))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
  axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
  axes.set_xlabel('step', color=ink)
  axes.grid(color=ink, alpha=0.12, linewidth=0.8)
  axes.tick_params(colors=ink, length=0)
  axes.spines[:].set_visible(False)
  return svg(figure)


def svg(figure, *, transparent: bool = True) -> str:
  """A figure as SVG, without header, date, fonts and fixed size."""
  settings = {'svg.fonttype': 'none', 'svg.hashsalt': 'dbflax'}
  file = io.StringIO()
  with matplotlib.rc_context(settings):
    nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(
      file, format='svg', transparent=transparent, metadata=nothing
    )
  text = file.getvalue()
  text = text[text.index('<svg') :]
  for placeholder, css in _PLACEHOLDERS.items():
    text = text.replace(placeholder, css)
  # matplotlib escapes the texts in it.
  return markupsafe.Markup(text)
