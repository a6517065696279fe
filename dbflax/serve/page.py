"""The layout of the page, and what each button does."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

import dbflax
from dbflax import draw as draw_lib
from dbflax import errors, report
from dbflax.data import images
from dbflax.serve import desk as desk_lib
from dbflax.serve import fragments, jobs, progress

_EVERY = 2  # seconds between looks at the workdir
_MOST_PICTURES = 60
_FONTS = ('system-ui', '-apple-system', 'Segoe UI', 'Roboto', 'sans-serif')
_MONO = ('ui-monospace', 'SF Mono', 'Menlo', 'Consolas', 'monospace')
# For `launch`: fonts are the system's, for others would be fetched.
LOOK = {
  'theme': gr.themes.Default(
    primary_hue='orange', neutral_hue='stone', font=_FONTS, font_mono=_MONO
  ),
  'css_paths': pathlib.Path(dbflax.__file__).parent / 'assets/serve.css',
}
# The page's events are its own; they are not offered as an interface.
_PRIVATE = {'api_visibility': 'private', 'show_progress': 'hidden'}


def build(desk: desk_lib.Desk) -> gr.Blocks:
  """The page of a workdir, not yet served."""
  with gr.Blocks(
    title=f'{desk.config.name} · dbflax',
    analytics_enabled=False,
    delete_cache=(3600, 86400),  # seconds: how often, and how old
  ) as blocks:
    gr.HTML(_head(desk), elem_classes='head')
    changed = _photos(desk, blocks)
    outputs = {}
    fields = _train(desk, blocks, changed, outputs)
    _draw(desk, outputs)
    _take(desk, outputs)
    _watch(desk, blocks, outputs)
    blocks.load(desk.values, None, fields, **_PRIVATE)
  return blocks


def _head(desk: desk_lib.Desk) -> str:
  return fragments.head(desk.config.name, desk.config.cascade.path, desk.root)


@contextlib.contextmanager
def _card(number: int, title: str, text: str) -> Iterator[None]:
  """A section of the page, with its heading."""
  with gr.Column(elem_classes='card'):
    gr.HTML(fragments.heading(number, title, text))
    yield


def _photos(desk: desk_lib.Desk, blocks: gr.Blocks) -> gr.HTML:
  """Section 1. Returns what changes whenever the photos do."""
  with _card(
    1,
    'Photos',
    'Three to five of one subject, from several sides, with little else '
    'in common.',
  ):
    drop = gr.File(
      label='Drop photos here',
      file_count='multiple',
      file_types=list(images.SUFFIXES),
      height=150,
      elem_id='drop',
    )
    note = gr.HTML(elem_id='photo-note')
    shown = gr.HTML(elem_id='photos')
    clear = gr.Button('Remove these photos', size='sm', visible=False)
  show = lambda: _show_photos(desk)
  outputs = [note, shown, clear]

  def add(files):
    refused = _tried(lambda: '\n'.join(desk.add_photos(files or [])))
    _, *others = show()
    return None, refused or show()[0], *others

  def remove():
    refused = _tried(desk.clear_photos)
    _, *others = show()
    return refused or show()[0], *others

  drop.upload(add, drop, [drop, *outputs], **_PRIVATE)
  clear.click(remove, None, outputs, **_PRIVATE)
  blocks.load(show, None, outputs, **_PRIVATE)
  return shown


def _show_photos(desk: desk_lib.Desk) -> tuple:
  """What is said of the photos, the photos, and the button."""
  mine = len(desk.photos())
  try:
    shown = fragments.photos(desk.thumbnails())
  except errors.UserError as error:
    return fragments.message(str(error), 'bad'), '', gr.update(visible=mine > 0)
  return (
    fragments.photo_state(mine, desk.source()),
    shown,
    gr.update(visible=mine > 0),
  )


def _tried(act: Callable[[], str | None]) -> str:
  """'' if it went well, or what to say instead."""
  try:
    return fragments.message(act() or '', 'bad')
  except Exception as error:
    found = errors.of_disk(error)
    if not isinstance(error, errors.UserError) and found is None:
      raise
    return fragments.message(str(found or error), 'bad')


def _train(
  desk: desk_lib.Desk, blocks: gr.Blocks, photos: gr.HTML, outputs: dict
) -> list:
  """Section 2. Returns its fields."""
  with _card(
    2,
    'Train',
    'A rare word is bound to what the photos show. Stopped runs go on.',
  ):
    fields = [_field(field) for field in desk.fields]
    told = gr.HTML(elem_id='command')
    with gr.Row():
      start = gr.Button('Start', variant='primary', elem_id='start')
      stop = gr.Button('Stop', variant='stop', visible=False, elem_id='stop')
    refused = gr.HTML(elem_id='refused')
    outputs['run'] = gr.HTML(elem_id='run')
    outputs['steps'] = gr.HTML()
    outputs['charts'] = gr.HTML()
    outputs['grids'] = gr.Gallery(
      label='Samples on the way',
      columns=3,
      height='auto',
      object_fit='contain',
      visible=False,
      buttons=['fullscreen'],
    )
    with gr.Accordion('What the run says', open=False):
      outputs['log'] = gr.HTML()
  outputs |= {'start': start, 'stop': stop}
  tell = lambda *values: _tell(desk, values)
  gr.on(
    [blocks.load, photos.change, *(field.change for field in fields)],
    tell,
    fields,
    told,
    **_PRIVATE,
  )
  start.click(
    lambda *values: _tried(lambda: desk.start(values)),
    fields,
    refused,
    **_PRIVATE,
  )
  stop.click(lambda: _tried(desk.stop), None, refused, **_PRIVATE)
  return fields


def _field(field: desk_lib.Field):
  options = {'label': field.label, 'info': field.info}
  if field.kind in (int, float):
    precision = 0 if field.kind is int else None
    return gr.Number(precision=precision, elem_id=field.path, **options)
  lines = 4 if field.kind is tuple else 1
  return gr.Textbox(lines=lines, elem_id=field.path, **options)


def _tell(desk: desk_lib.Desk, values) -> str:
  """The command, or why there is none."""
  try:
    return fragments.command(desk.command(values))
  except errors.UserError as error:
    return fragments.message(str(error), 'bad')


def _draw(desk: desk_lib.Desk, outputs: dict) -> None:
  """Section 3."""
  with _card(
    3,
    'Draw',
    'Type what you want to see; {subject} stands for your subject.',
  ):
    prompt = gr.Textbox(
      desk.config.sample.prompts[0],
      label='Prompt',
      max_lines=4,
      max_length=draw_lib.MAX_CHARS,
      elem_id='prompt',
    )
    button = gr.Button('Draw', variant='primary', elem_id='draw')
    outputs['ask'] = button
    refused = gr.HTML(elem_id='draw-note')
    outputs['draw'] = gr.HTML()
    outputs['pictures'] = gr.Gallery(
      label='Drawn, the newest first',
      columns=2,
      height='auto',
      object_fit='contain',
      visible=False,
      elem_id='pictures',
      buttons=['download', 'fullscreen'],
    )

  def draw(template):
    return _tried(lambda: desk.draw(template) and None)

  events = [button.click, prompt.submit]
  gr.on(
    events,
    lambda: fragments.message(
      'Drawing. The first one takes longer: the model is loaded and compiled.'
    ),
    None,
    refused,
    queue=False,
    **_PRIVATE,
  )
  gr.on(events, draw, prompt, refused, trigger_mode='once', **_PRIVATE)


def _take(desk: desk_lib.Desk, outputs: dict) -> None:
  """Section 4."""
  with _card(
    4,
    'Take it with you',
    'The fine-tuned cascade as diffusers reads it, and the report.',
  ):
    button = gr.Button('Make the export', elem_id='export')
    refused = gr.HTML(elem_id='export-note')
    outputs['export'] = gr.HTML(elem_id='download')
  outputs['make'] = button
  button.click(lambda: _tried(desk.export), None, refused, **_PRIVATE)


def _watch(desk: desk_lib.Desk, blocks: gr.Blocks, outputs: dict) -> None:
  """Looks at the workdir again and again, and shows what has changed."""
  names = list(outputs)
  seen = gr.State({})

  def look(before):
    now = _view(desk)
    stamps = {name: stamp for name, (stamp, _) in now.items()}
    updates = [
      gr.skip() if before.get(name) == stamps[name] else now[name][1]()
      for name in names
    ]
    return stamps, *updates

  gr.on(
    [blocks.load, gr.Timer(_EVERY).tick],
    look,
    seen,
    [seen, *outputs.values()],
    trigger_mode='once',
    concurrency_limit=4,
    **_PRIVATE,
  )


def _view(desk: desk_lib.Desk) -> dict[str, tuple[Any, Callable[[], Any]]]:
  """Output → (what it depends on, how it is made)."""
  run, export = desk.jobs.state(jobs.RUN), desk.jobs.state(jobs.EXPORT)
  is_busy = 'running' in (run.name, export.name)
  is_stopping = run.is_stopping or export.is_stopping
  is_done = run.name == 'done' and not is_busy
  has_begun = run.name != 'none' and progress.has_begun(desk.root, run.started)
  sizes = progress.log_sizes(desk.root) if has_begun else ()
  steps = progress.steps(desk.root) if has_begun else []
  state = fragments.run_state(run, has_begun)
  log = fragments.log(desk.jobs.log(jobs.RUN))
  pictures = desk.pictures()[:_MOST_PICTURES]
  return {
    'run': (state, lambda: state),
    'steps': (steps, lambda: fragments.steps(steps)),
    'charts': (sizes, lambda: fragments.charts(_stages(desk, has_begun))),
    'grids': (sizes, lambda: _grids(_stages(desk, has_begun))),
    'log': (log, lambda: log),
    'start': ((run.name, is_busy), lambda: _start_button(run.name, is_busy)),
    'stop': (
      (is_busy, is_stopping),
      lambda: gr.update(visible=is_busy, interactive=not is_stopping),
    ),
    'draw': (run.name, lambda: fragments.draw_state(run.name)),
    'pictures': (pictures, lambda: _pictures(pictures)),
    'export': (
      (run, export),
      lambda: fragments.export_state(desk.root, run, export, desk.has_export()),
    ),
    'ask': (is_done, lambda: gr.update(interactive=is_done)),
    'make': (is_done, lambda: gr.update(interactive=is_done)),
  }


def _start_button(state: str, is_busy: bool) -> dict:
  goes_on = state in ('stopped', 'failed', 'lost')
  label = (
    'Continue' if goes_on else 'Start again' if state == 'done' else 'Start'
  )
  return gr.update(value=label, interactive=not is_busy)


def _stages(desk: desk_lib.Desk, has_begun: bool) -> list[report.Stage]:
  """What there is of the run that was started last, not of one before."""
  return progress.stages(desk.root) if has_begun else []


def _grids(stages: list[report.Stage]) -> dict:
  found = [
    (str(path), f'{stage.title}, step {step}')
    for stage in stages
    for step, path in report.spread(stage.grids, 4)
  ]
  return gr.update(value=found, visible=bool(found))


def _pictures(found) -> dict:
  value = [(str(one.file), one.prompt) for one in found]
  return gr.update(value=value, visible=bool(value))
