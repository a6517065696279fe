"""The page of a study: what it asked, what it found, and pictures."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from dbflax import disk
from dbflax.data import images
from dbflax.pages import intervals, page
from dbflax.study import results as results_lib

# Subjects whose pictures are shown; all are in the figures.
MAX_SUBJECTS = 6


def write(
  folder: pathlib.Path,
  results: dict,
  shown: Mapping[tuple[str, str], pathlib.Path],
  command: str,
) -> None:
  """Writes `folder`/index.html.

  Args:
    folder: where to.
    results: what results.json holds.
    shown: (subject, arm) → the folder of the run whose pictures are shown.
    command: that of the study.
  """
  content = {
    'results': results,
    'rows': results_lib.rows(results),
    'plots': [
      (figure, intervals.plot(results_lib.estimates(results, figure)))
      for figure in results['figures']
    ],
    'verdicts': results_lib.verdicts(results),
    'differences': results_lib.differences(results),
    'subjects': _subjects(shown),
    'command': command,
  }
  page.write(folder, 'study.html.jinja', content)


def _subjects(shown) -> list[dict[str, Any]]:
  """Photos of each subject, and what every arm draws of it."""
  arms = {}
  for (subject, arm), folder in shown.items():
    arms.setdefault(subject, {})[arm] = folder
  return [
    {
      'name': subject,
      'photos': images.list_photos(next(iter(folders.values())) / 'photos'),
      'arms': [
        (arm, _samples(folder / 'samples')) for arm, folder in folders.items()
      ],
    }
    for subject, folders in list(arms.items())[:MAX_SUBJECTS]
  ]


def _samples(folder: pathlib.Path) -> list[tuple[str, dict[str, pathlib.Path]]]:
  """(prompt, its first picture at each stage) of every prompt."""
  entries = json.loads(disk.read(folder / 'samples.json'))
  return [
    (
      entry['prompt'],
      {s: folder / path for s, path in sorted(entry['images'][0].items())},
    )
    for entry in entries
  ]
