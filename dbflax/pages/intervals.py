"""Estimates with their intervals, side by side."""

from collections.abc import Sequence

from matplotlib import figure as figure_lib

from dbflax.pages import charts

# [(label, mean, interval), …]
Estimates = Sequence[tuple[str, float, tuple[float, float] | None]]


def plot(estimates: Estimates) -> str:
  """Inline SVG of estimates, one below the other."""
  figure = figure_lib.Figure(
    figsize=(4.8, height(estimates)), layout='constrained'
  )
  ink, colour = charts.COLOURS['currentColor'], charts.COLOURS['var(--prior)']
  draw(figure.subplots(), estimates, ink, colour)
  return charts.svg(figure)


def height(estimates: Estimates) -> float:
  """Of a plot, in inches."""
  return 0.5 + 0.3 * len(estimates)


def draw(axes, estimates: Estimates, ink: str, colour: str) -> None:
  """Draws estimates on matplotlib's axes; `ink` is the colour of words."""
  labels, means, spans = zip(*estimates, strict=True)
  rows = range(len(labels))
  for row, mean, span in zip(rows, means, spans, strict=True):
    axes.plot(span or (mean, mean), (row, row), color=colour, linewidth=2)
  axes.plot(means, rows, 'o', color=colour)
  axes.set_yticks(rows, labels, parse_math=False)
  axes.set_ylim(len(labels) - 0.5, -0.5)
  # So that numbers of five digits do not touch.
  axes.locator_params(axis='x', nbins=3)
  axes.grid(axis='x', color=ink, alpha=0.12, linewidth=0.8)
  axes.tick_params(colors=ink, length=0)
  axes.spines[:].set_visible(False)
