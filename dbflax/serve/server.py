"""Serves the page on this machine until it is asked to stop."""

import importlib.util
import logging
import os
import pathlib
import shlex
import socket
import threading

from dbflax import errors
from dbflax import workdir as workdir_lib
from dbflax.serve import archive, desk, gate, jobs, progress, uploads
from dbflax.serve import drawing as drawing_lib

_LOOPBACK = ('127.0.0.1', 'localhost', '[::1]', '::1')
_FOREVER = threading.TIMEOUT_MAX


def run(config, work: workdir_lib.Workdir) -> None:
  """--mode=serve.

  Raises:
    UserError: the extra is missing, or the port is taken.
    Stopped: asked to by a signal.
  """
  if importlib.util.find_spec('gradio') is None:
    raise errors.UserError(
      "the page needs Gradio: pip install '.[serve]' installs it"
    )
  work.own()
  server = Server(config, work)
  print(f'The page: {server.url}  (Ctrl-C ends it)', flush=True)
  if not server.is_private:
    print('Whoever can reach this machine can use it.', flush=True)
  try:
    threading.Event().wait(_FOREVER)
  finally:
    server.close()


class Server:
  """The page, from when it is made until it is closed."""

  def __init__(self, config, work: workdir_lib.Workdir):
    options = config.serve
    self.is_private = options.host in _LOOPBACK
    _environment(work.root / 'serve' / 'cache')
    # Imported late: it reads the environment, and is an extra.
    from dbflax.serve import page

    limits = uploads.Limits(options.max_photos, options.max_megabytes)
    own = shlex.split(work.command)[len(jobs.PROGRAM) :]
    self.jobs = jobs.Jobs(work.root, own)
    self.model = drawing_lib.Model(work.root / 'serve' / 'draw')
    self._blocks = page.build(desk.Desk(config, self.jobs, self.model, limits))
    port = options.port or _free_port(options.host)
    try:
      app, self.url, _ = self._blocks.launch(
        **page.LOOK,
        server_name=options.host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        allowed_paths=[str(path) for path in progress.shown(work.root)],
        app_kwargs={'middleware': [self._gate(options.host, limits)]},
      )
    except OSError as error:
      raise errors.UserError(
        f'port {port} of {options.host} cannot be had; give another '
        '--config.serve.port, or 0 for any'
      ) from error
    _add_routes(app, work)

  def _gate(self, host: str, limits: uploads.Limits):
    from starlette import middleware

    return middleware.Middleware(
      gate.Gate,
      hosts=_LOOPBACK if self.is_private else _names(host),
      upload_bytes=limits.total_bytes,
      any_address=not self.is_private,
    )

  def close(self) -> None:
    """Ends the page; a run that was started from it goes on."""
    self.model.close()
    self._blocks.close(verbose=False)
    if self.jobs.is_busy():
      print('The run goes on; the page finds it when it is served again.')


def _environment(cache: pathlib.Path) -> None:
  """Settings come from the config alone, and files stay in the run's folder."""
  for name in [name for name in os.environ if name.startswith('GRADIO_')]:
    del os.environ[name]
  os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
  os.environ['GRADIO_TEMP_DIR'] = str(cache)
  os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
  logging.getLogger('httpx').setLevel(logging.WARNING)


def _free_port(host: str) -> int:
  family = socket.AF_INET6 if ':' in host else socket.AF_INET
  with socket.socket(family) as probe:
    probe.bind((host, 0))
    return probe.getsockname()[1]


def _names(host: str) -> set[str]:
  """What this machine is called by those who reach it as `host`."""
  names = (*_LOOPBACK, host, socket.gethostname(), socket.getfqdn())
  return {name.lower() for name in names}


def _add_routes(app, work: workdir_lib.Workdir) -> None:
  """/export.zip and /report, of the run's folder and nothing else."""
  from starlette import responses, routing

  missing = lambda what: responses.PlainTextResponse(
    f'no {what} yet; the page says when it is ready', status_code=404
  )

  def export(request):
    del request
    if not work.is_done('export'):
      return missing('export')
    title = work.root.name
    return responses.StreamingResponse(
      archive.chunks(work.export, title),
      media_type='application/zip',
      headers={'content-disposition': 'attachment; filename="export.zip"'},
    )

  def report(request):
    del request
    if not work.is_done('report'):
      return missing('report')
    return responses.FileResponse(work.report / 'index.html')

  for path, answer in (('/export.zip', export), ('/report', report)):
    # First, for the library answers every path.
    app.router.routes.insert(0, routing.Route(path, answer))
