"""How two arms of a study differ, in every figure.

  python -m dbflax.study.compare docs/studies/photos.json 1 4

The mean over subjects of the first arm less the second, with the 95 % interval.
"""

import sys

from dbflax import errors
from dbflax.study import findings
from dbflax.study import results as results_lib


def lines(results: dict, arm: str, other: str) -> list[str]:
  """A line for each figure that both have, of what results.json holds.

  Raises:
    UserError: there is no such arm, or no subject has both.
  """
  for name in (arm, other):
    if name not in results['arms']:
      raise errors.UserError(
        f"{results['name']} has no arm '{name}'; it has "
        f'{", ".join(map(repr, results["arms"]))}'
      )
  scores = findings.scores(results['scores'])
  found = {
    figure: findings.difference(scores, figure, arm, other)
    for figure in results['figures']
  }
  known = {figure: value for figure, value in found.items() if value}
  if not known:
    raise errors.UserError(
      f"{results['name']}: no subject has figures of both '{arm}' and "
      f"'{other}' yet; their runs are not done"
    )
  width = max(map(len, known))
  return [
    f'{figure:{width}}  {results_lib.estimate(value._asdict(), sign="+")}'
    for figure, value in known.items()
  ]


def main(path: str, arm: str, other: str) -> None:
  print(*lines(results_lib.read(path), arm, other), sep='\n')


if __name__ == '__main__':
  if len(sys.argv) != 4:
    sys.exit('usage: python -m dbflax.study.compare RESULTS.json ARM OTHER')
  try:
    main(*sys.argv[1:])
  except errors.UserError as error:
    sys.exit(f'compare: {error}')
