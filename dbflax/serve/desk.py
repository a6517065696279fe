"""What one can do on the page, without the page."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dbflax import disk, errors, methods, validate
from dbflax.pages import pictures
from dbflax.serve import drawing, jobs, progress, uploads

_CHANGED = (
  'were changed since that run; press Start to train with them as they are now'
)


class Field(NamedTuple):
  """A field of the config that the page shows."""

  path: str
  label: str
  info: str
  kind: type  # str, int, float, or tuple (of lines)


NOUN = Field(
  'subject.class_noun',
  'What the photos show',
  'Its class, in a word or two: dog, backpack, teapot.',
  str,
)
WEIGHT = Field(
  'prior.weight',
  'Weight of the prior loss',
  "The paper's λ: how much to care that others of the class stay as they are. "
  '0 is faster, and forgets them.',
  float,
)
PROMPTS = Field(
  'sample.prompts',
  'Prompts to draw at the end, one a line',
  '{subject} stands for the word that the run finds and what the photos show.',
  tuple,
)


def _steps(path: str) -> Field:
  return Field(
    path,
    'Training steps',
    'Of the first stage. More come closer to the photos, and in the end copy '
    'them.',
    int,
  )


class Desk:
  """The page's state, all of which lies in the workdir."""

  def __init__(
    self,
    config,
    commands: jobs.Jobs,
    model: drawing.Model,
    limits: uploads.Limits,
  ):
    """`config` is that of the page, locked."""
    self.config, self.jobs, self.model = config, commands, model
    self.limits, self.root = limits, commands.root
    self._defaults = dict(validate.flatten(config))
    if config.method == methods.INVERSION:
      self.fields = (NOUN, _steps('inversion.steps'), PROMPTS)
    else:
      self.fields = (NOUN, _steps('stage_1.steps'), WEIGHT, PROMPTS)

  # --- Photos. ---------------------------------------------------------------

  @property
  def _photos(self) -> pathlib.Path:
    return self.root / 'serve' / 'photos'

  def photos(self) -> list[pathlib.Path]:
    """Those that were dropped on the page."""
    return uploads.photos(self._photos)

  def add_photos(self, files: Sequence[str]) -> list[str]:
    """Takes the good ones of uploaded files; says what is wrong with others.

    Raises:
      UserError: a run is going on, or they are too many.
    """
    paths = [pathlib.Path(file) for file in files]
    try:
      self._check_free()
      named = [(path, path.name) for path in paths]
      return uploads.add(self._photos, named, self.limits)
    finally:
      for path in paths:
        path.unlink(missing_ok=True)

  def clear_photos(self) -> None:
    self._check_free()
    uploads.clear(self._photos)

  def source(self) -> str:
    """Whose photos a run would take: those dropped here, or the config's."""
    if not self.photos():
      return self._defaults['subject.photos']
    here = pathlib.Path.cwd()
    folder = self._photos
    return str(
      folder.relative_to(here) if folder.is_relative_to(here) else folder
    )

  def thumbnails(self) -> list[str]:
    """Data URIs of the photos that a run would take, where they are at hand.

    Raises:
      UserError: they are missing or unreadable.
    """
    source = self.source()
    if source.startswith('tfds:') or '/' in source.partition('toybox:')[2]:
      return []  # They would have to be unpacked, or drawn.
    found = uploads.thumbnails(source, self._defaults['subject.crop'])
    return [pictures.thumbnail(one, uploads.THUMBNAIL) for one in found]

  # --- Runs. -----------------------------------------------------------------

  def values(self) -> list[Any]:
    """What the fields show at first: the last run's values, or the config's."""
    known = {**self._defaults, **self._last()}
    shown = lambda field: (
      '\n'.join(known[field.path]) if field.kind is tuple else known[field.path]
    )
    return [shown(field) for field in self.fields]

  def _last(self) -> dict[str, Any]:
    """What the last run changed, of the fields that the page has."""
    found = self.jobs.changes()
    return {
      field.path: found[field.path]
      for field in self.fields
      if isinstance(found.get(field.path), field.kind)
    }

  def _with_photos(self, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a run changes, with its photos where they are the page's."""
    source = self.source()
    if source == self._defaults['subject.photos']:
      return {**changes}
    return {'subject.photos': source, **changes}

  def changes(self, values: Sequence[Any]) -> dict[str, Any]:
    """Config field → value of those that differ from the page's config.

    Raises:
      UserError: a value is missing or cannot be meant.
    """
    wanted = {
      field.path: _read(field, value)
      for field, value in zip(self.fields, values, strict=True)
    }
    changed = self._with_photos(
      {k: v for k, v in wanted.items() if v != self._defaults[k]}
    )
    config = self.config.copy_and_resolve_references()
    with config.unlocked():
      config.update_from_flattened_dict(changed)
    validate.check(config)
    return changed

  def command(self, values: Sequence[Any]) -> str:
    """The command that Start would run, as one types it."""
    return jobs.shown(self.jobs.command(self.changes(values)))

  def start(self, values: Sequence[Any]) -> None:
    """Starts a run, or goes on with one.

    Raises:
      UserError: a value is wrong, or something is running.
    """
    changes = self.changes(values)
    self._check_free()
    self.model.close()
    self.jobs.start(jobs.RUN, changes, self._made_of(changes))

  def stop(self) -> None:
    self.jobs.stop()

  def _check_free(self) -> None:
    if self.jobs.is_busy():
      raise errors.UserError('a run is going on; wait for it, or stop it')

  def _made_of(self, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a run from another one that would be trained anew."""
    source = self.source()
    folder = pathlib.Path(source).expanduser()
    # No hidden ones, as file managers leave them.
    names = [n for n in disk.files(folder) if not n.startswith('.')]
    photos = {name: folder / name for name in names} or source
    return {
      'the settings': self.jobs.command(changes),
      'the photos': disk.fingerprint(photos),
    }

  # --- What comes of it. -----------------------------------------------------

  def _finished(self) -> dict[str, Any]:
    """The changes of the last run.

    Raises:
      UserError: it has not finished, or another would have to be trained.
    """
    self._check_free()
    if self.jobs.state(jobs.RUN).name != 'done':
      raise errors.UserError(
        'there is no finished model yet; start a run above and wait for its end'
      )
    changes = self._with_photos(self._last())
    then = self.jobs.made_of(jobs.RUN)
    for what, now in self._made_of(changes).items():
      if then.get(what) != now:
        raise errors.UserError(f'{what} {_CHANGED}')
    return changes

  def draw(self, template: str) -> pathlib.Path:
    """Draws a prompt; returns the folder of its pictures.

    Raises:
      UserError: there is no model, or the prompt cannot be drawn.
    """
    return self.model.draw(
      self.jobs.command(self._finished(), 'draw'),
      template,
      len(self._defaults['others']),
    )

  def export(self) -> None:
    """Starts the export.

    Raises:
      UserError: there is no model, or something is running.
    """
    changes = self._finished()
    self.model.close()
    self.jobs.start(jobs.EXPORT, changes, self._made_of(changes))

  def has_export(self) -> bool:
    """Whether there is an export, and it is of the last run."""
    run, export = (self.jobs.state(kind) for kind in (jobs.RUN, jobs.EXPORT))
    is_newer = export.started >= run.started
    return export.name == 'done' and run.name == 'done' and is_newer

  def pictures(self) -> list[progress.Drawn]:
    """What the finished model has drawn, the newest first, and its samples."""
    run = self.jobs.state(jobs.RUN)
    if run.name != 'done':
      return []
    folders = [
      folder  # Earlier ones are of another model.
      for folder in sorted((self.root / 'drawn').glob('[0-9]*'), reverse=True)
      if folder.stat().st_mtime >= run.started
    ]
    return [
      one
      for folder in (*folders, self.root / 'samples')
      for one in progress.drawn(folder)
    ]


def _read(field: Field, value: Any) -> Any:
  """A field's value as the config has it."""
  try:
    if field.kind is tuple:
      lines = str(value or '').splitlines()
      return tuple(line.strip() for line in lines if line.strip())
    if field.kind is str:
      return ' '.join(str(value or '').split())
    number = field.kind(value)
  except (TypeError, ValueError, OverflowError):
    number = None
  if number is None:
    raise errors.UserError(f'{field.label}: {value!r} is no number; give one')
  return number
