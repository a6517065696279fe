"""Pieces of the page as HTML; every text in them is escaped."""

import pathlib
import time
from collections.abc import Sequence

import markupsafe

from dbflax import report
from dbflax.serve import jobs, progress

_MARKS = {'done': '✓', 'working': '●', 'waiting': '○'}
_WAITING = 'Nothing is trained yet. Look over the fields and press Start.'


def _join(parts) -> markupsafe.Markup:
  return markupsafe.Markup('').join(parts)


def heading(number: int, title: str, text: str) -> markupsafe.Markup:
  return markupsafe.Markup('<h2><b>{}</b> {}</h2><p>{}</p>').format(
    number, title, text
  )


def message(text: str, kind: str = 'note') -> markupsafe.Markup:
  """A line of the kind 'note', 'good' or 'bad'; nothing without a text."""
  if not text:
    return markupsafe.Markup('')
  return _join(
    markupsafe.Markup('<p class="message {}" role="status">{}</p>').format(
      kind, line
    )
    for line in text.split('\n')
  )


def command(text: str) -> markupsafe.Markup:
  return markupsafe.Markup(
    '<p class="hint">The same in a terminal:</p><pre class="command">{}</pre>'
  ).format(text)


def photos(uris: Sequence[str]) -> markupsafe.Markup:
  """Thumbnails."""
  return markupsafe.Markup('<div class="photos">{}</div>').format(
    _join(
      markupsafe.Markup('<img src="{}" alt="photo {}">').format(uri, n + 1)
      for n, uri in enumerate(uris)
    )
  )


def run_state(state: jobs.State, has_begun: bool) -> markupsafe.Markup:
  """How the run stands, in a sentence that says what to do."""
  if state.is_stopping:
    return message('Stopping: its state is being saved.')
  if state.name == 'running' and not has_begun:
    return message('Starting; that takes a few seconds.')
  since = report.duration(max(0.0, time.time() - state.started))
  return {
    'none': lambda: message(_WAITING),
    'running': lambda: message(
      f'Running for {since}. You may close this page: the run goes on, and the '
      'page finds it again.'
    ),
    'done': lambda: message('Done. Draw with it below.', 'good'),
    'stopped': lambda: message(
      'Stopped. Continue goes on from its last checkpoint.'
    ),
    'failed': lambda: message(state.message, 'bad'),
    'lost': lambda: message(
      'The run ended, and nobody saw how: it was killed, or the machine '
      'stopped. Continue goes on from its last checkpoint.',
      'bad',
    ),
  }[state.name]()


def steps(found: Sequence[progress.Step]) -> markupsafe.Markup:
  """The steps of a run, with a bar for what is counted."""
  return markupsafe.Markup('<ol class="steps">{}</ol>').format(
    _join(map(_step, found))
  )


def _step(step: progress.Step) -> markupsafe.Markup:
  is_counted = step.state == 'working' and step.total
  count = f'{step.done} of {step.total}' if is_counted else ''
  bar = markupsafe.Markup('<i style="width:{:.1f}%"></i>').format(
    100 * step.share
  )
  return markupsafe.Markup(
    '<li class="{}"><span class="mark">{}</span><span>{}</span>'
    '<span class="count">{}</span><div class="bar">{}</div></li>'
  ).format(
    step.state, _MARKS[step.state], step.title, count, bar if count else ''
  )


def charts(stages: Sequence[report.Stage]) -> markupsafe.Markup:
  """The losses of each stage."""
  return markupsafe.Markup('<div class="charts">{}</div>').format(
    _join(_chart(stage) for stage in stages if stage.curves)
  )


def _chart(stage: report.Stage) -> markupsafe.Markup:
  keys = _join(
    markupsafe.Markup(
      '<li><b style="background:{}"></b>{}: {:.3g} → {:.3g}</li>'
    ).format(curve.colour, curve.label, curve.first, curve.last)
    for curve in stage.curves
  )
  return markupsafe.Markup(
    '<div><h3>{}: loss</h3><ul class="key">{}</ul>{}</div>'
  ).format(stage.title, keys, stage.chart)


def log(lines: Sequence[str], most: int = 20) -> markupsafe.Markup:
  """The last lines of a log."""
  text = '\n'.join(lines[-most:]) or 'Nothing yet.'
  return markupsafe.Markup('<pre class="log">{}</pre>').format(text)


def download(root: pathlib.Path, size: int) -> markupsafe.Markup:
  """Links to what was made."""
  return markupsafe.Markup(
    '<p class="links"><a class="button" href="export.zip" download>'
    'Download export.zip ({:.1f} MB)</a></p><p class="hint">It lies in {} too; '
    'its README.md has the lines that draw with diffusers.</p>'
  ).format(size / 1e6, root)


def report_link() -> markupsafe.Markup:
  return markupsafe.Markup(
    '<p class="links"><a href="report" target="_blank" rel="noopener">'
    'Open the run\'s report</a></p><p class="hint">Photos, losses, samples and '
    'settings in one file.</p>'
  )


def head(name: str, cascade: str, root: pathlib.Path) -> markupsafe.Markup:
  """What the page is for, and on what it works."""
  known = pathlib.PurePath(cascade)
  what = known.name if known.is_absolute() else cascade
  what = what or 'toybox, which is embedded and has never seen a photo'
  return markupsafe.Markup(
    '<h1>dbflax: {}</h1><p>Photos of one subject in, pictures of it anywhere '
    'out. Cascade: {}. Everything is kept in {}.</p>'
  ).format(name, what, root)


def photo_state(count: int, source: str) -> markupsafe.Markup:
  """Whose photos a run would take."""
  if not count:
    return message(
      f"No photos of yours yet: a run takes the config's, {source}."
    )
  return message(f'{count} photo{"s" if count > 1 else ""} of yours.')


def draw_state(run: str) -> markupsafe.Markup:
  return message('' if run == 'done' else 'Here you draw when a run is done.')


def export_state(
  root: pathlib.Path, run: jobs.State, export: jobs.State, is_ready: bool
) -> markupsafe.Markup:
  """What there is to take, or what to do for it."""
  if run.name != 'done':
    return message('Here you get it when a run is done.')
  link = report_link()
  if export.name == 'running':
    return message('Writing the export.') + link
  if export.name == 'failed':
    return message(export.message, 'bad') + link
  if is_ready:
    return download(root / 'export', progress.size(root / 'export')) + link
  return link
