"""Estimates with their intervals, side by side, as inline SVG."""

from collections.abc import Sequence

from matplotlib import figure as figure_lib

from dbflax.pages import charts


def plot(
  estimates: Sequence[tuple[str, float, tuple[float, float] | None]],
) -> str:
  """Inline SVG of [(label, mean, interval), …], one below the other."""
  ink, colour = charts.COLOURS['currentColor'], charts.COLOURS['var(--prior)']
  labels, means, spans = zip(*estimates, strict=True)
  rows = range(len(labels))
  height = 0.5 + 0.3 * len(labels)
  figure = figure_lib.Figure(figsize=(4.8, height), layout='constrained')
  axes = figure.subplots()
  for row, mean, span in zip(rows, means, spans, strict=True):
    axes.plot(span or (mean, mean), (row, row), color=colour, linewidth=2)
  axes.plot(means, rows, 'o', color=colour)
  axes.set_yticks(rows, labels, parse_math=False)
  axes.set_ylim(len(labels) - 0.5, -0.5)
  axes.grid(axis='x', color=ink, alpha=0.12, linewidth=0.8)
  axes.tick_params(colors=ink, length=0)
  axes.spines[:].set_visible(False)
  return charts.svg(figure)
