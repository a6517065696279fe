"""The figures of a study as one picture, for a page such as docs/tuning.md.

  python -m dbflax.study.plots docs/studies/steps.json docs/steps.svg

A panel for each figure and a line for each arm: its mean over subjects with the
95 % interval. The same results give the same bytes.
"""

import math
import sys

from matplotlib import figure as figure_lib

from dbflax import disk, errors
from dbflax.pages import charts, intervals
from dbflax.study import results as results_lib

# Those of the paper's tables, in its order. Others are shown where the paper
# finds something of them.
FIGURES = ('subject_fidelity', 'prompt_fidelity', 'PRES', 'DIV')
_COLUMNS = 4  # at most
_INK, _COLOUR, _PAPER = '#24292f', '#b35900', '#ffffff'


def draw(results: dict) -> str:
  """SVG of what results.json holds.

  Raises:
    UserError: it has none of the figures.
  """
  shown = _shown(results)
  if not shown:
    raise errors.UserError(
      f'{results["name"]} has no figures yet; its runs are not done'
    )
  # In inches: a panel, and its labels beside it.
  width = 2.1 + 0.08 * max(map(len, results['arms']))
  height = 0.3 + max(intervals.height(e) for _, e in shown)
  rows = math.ceil(len(shown) / _COLUMNS)
  columns = math.ceil(len(shown) / rows)
  figure = figure_lib.Figure(
    (width * columns, height * rows), layout='constrained', facecolor=_PAPER
  )
  panels = [*figure.subplots(rows, columns, squeeze=False).flat]
  for axes, (name, estimates) in zip(panels, shown, strict=False):
    intervals.draw(axes, estimates, _INK, _COLOUR)
    axes.set_title(name, color=_INK, fontsize=10)
  for axes in panels[len(shown) :]:
    axes.remove()
  return charts.svg(figure, transparent=False)


def _shown(results: dict) -> list[tuple[str, intervals.Estimates]]:
  """(title, estimates) of each panel; of two networks' figures, whose it is."""
  short = lambda figure: figure.split(': ')[-1]
  names = [*map(short, results['figures'])]
  found = [short(verdict['figure']) for verdict in results['verdicts']]
  return [
    (
      name if names.count(name) == 1 else figure,
      results_lib.estimates(results, figure),
    )
    for name in dict.fromkeys([*FIGURES, *found])
    for figure in results['figures']
    if short(figure) == name
  ]


def main(results: str, out: str) -> None:
  drawn = draw(results_lib.read(results))
  with disk.atomic_path(out) as partial:
    partial.write_text(drawn)


if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit('usage: python -m dbflax.study.plots RESULTS.json FILE.svg')
  try:
    main(*sys.argv[1:])
  except errors.UserError as error:
    sys.exit(f'plots: {error}')
