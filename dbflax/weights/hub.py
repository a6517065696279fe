"""Repositories of the Hugging Face hub, as local folders.

A source is a directory or `owner/name[@revision]`. What was fetched once is
found again without a network (huggingface_hub's cache, HF_HUB_OFFLINE).
"""

import fnmatch
import pathlib
import re
from collections.abc import Sequence

from dbflax import errors
from dbflax.weights import files

_ID = re.compile(
  r'(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?'
)


def is_id(source: str) -> bool:
  """Whether `source` looks like owner/name or owner/name@revision."""
  return _ID.fullmatch(source) is not None


def fetch(
  source: str, folders: Sequence[str], wanted: files.Format = files.PLAIN
) -> pathlib.Path:
  """The local copy of a repository, holding at least `folders` of it.

  Args:
    source: owner/name, or owner/name@revision.
    folders: such as 'unet' or 'stage_2/unet', or '' for all of it; those that
      the repository lacks are left out.
    wanted: which kind of weights to fetch.

  Raises:
    UserError: it cannot be had, and why.
  """
  import huggingface_hub
  from huggingface_hub import errors as hub_errors

  match = _ID.fullmatch(source)
  repository, revision = match['repository'], match['revision']
  try:
    folder = huggingface_hub.snapshot_download(
      repository,
      revision=revision,
      allow_patterns=[p for name in folders for p in _patterns(name, wanted)],
      ignore_patterns=_ignored(wanted),
    )
  except hub_errors.GatedRepoError as e:
    raise errors.UserError(
      f'{repository} wants its licence accepted: do so on its page at the '
      'Hugging Face hub, then log in with `hf auth login`.'
    ) from e
  except (hub_errors.HfHubHTTPError, OSError, ValueError) as e:
    raise errors.UserError(
      f'{source!r} is no directory here, and as a repository of the Hugging '
      f'Face hub it cannot be had ({type(e).__name__}); check the name, the '
      'revision, the network and, for DeepFloyd IF, `hf auth login` '
      '(README.md). Without the hub, give a folder.'
    ) from e
  return pathlib.Path(folder)


def is_wanted(
  file: str, folders: Sequence[str], wanted: files.Format = files.PLAIN
) -> bool:
  """Whether `fetch` would fetch a file, by its path in the repository."""
  matches = lambda pattern: fnmatch.fnmatchcase(file, pattern)
  kept = any(matches(p) for name in folders for p in _patterns(name, wanted))
  return kept and not any(map(matches, _ignored(wanted)))


def _ignored(wanted: files.Format) -> list[str]:
  # The plain kind has no dot before its ending; variants have.
  return [] if wanted.variant else ['*.*.safetensors', '*.*.bin']


def _patterns(folder: str, wanted: files.Format) -> list[str]:
  """Which files of a folder to fetch: small ones all, weights of one kind."""
  endings = ['safetensors', *(['bin'] if wanted.allow_pickle else [])]
  inside = f'{folder}/' if folder else ''
  small = [f'{inside}*.{ending}' for ending in ('json', 'model', 'txt')]
  if not wanted.weights:
    return small
  if not wanted.variant:
    return small + [f'{inside}*.{ending}' for ending in endings]
  return small + [
    f'{inside}*.{wanted.variant}{rest}.{ending}'
    for ending in endings
    for rest in ('', '-*')
  ]
