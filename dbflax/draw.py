"""Prompts, one a line, each drawn at once by a model that stays loaded.

The conversation of --mode=draw, which the web page has too: a line for every
prompt, with the folder of its pictures, <workdir>/drawn/000n, or what is wrong
with it. The folder is like that of the samples.
"""

import pathlib
from collections.abc import Callable, Iterable

from dbflax import errors, validate

# How the lines of the answer begin.
DRAWN, FAILED = 'Drawn: ', 'dbflax: '
MAX_CHARS = 1000


def answer(
  root: pathlib.Path,
  lines: Iterable[str],
  draw: Callable[[pathlib.Path, int, str], None],
  others: int = 0,
) -> None:
  """Prints a line for each prompt, as soon as it is drawn.

  Args:
    root: where each prompt gets a folder, named by its number.
    lines: templates of prompts, as in `sample.prompts`; empty ones are skipped.
    draw: (folder, number, template) → writes pictures.
    others: how many subjects there are besides the first.
  """
  for line in lines:
    template = line.strip()
    if not template:
      continue
    try:
      check(template, others)
      number = _next(root)
      folder = root / f'{number:04d}'
      draw(folder, number, template)
    except errors.UserError as error:
      print(f'{FAILED}{error}', flush=True)
    else:
      print(f'{DRAWN}{folder}', flush=True)


def check(template: str, others: int = 0) -> None:
  """Raises UserError unless a prompt can be drawn."""
  if len(template) > MAX_CHARS:
    raise errors.UserError(
      f'the prompt has {len(template)} characters, more than the {MAX_CHARS} '
      'allowed; shorten it'
    )
  try:
    template.encode()
  except UnicodeEncodeError as error:
    raise errors.UserError('the prompt is not UTF-8') from error
  validate.check_prompt(template, others=others)


def _next(root: pathlib.Path) -> int:
  """One more than the largest number that has a folder."""
  names = [path.name for path in root.glob('*')]
  taken = [int(name) for name in names if name.isdecimal()]
  return max(taken, default=-1) + 1
