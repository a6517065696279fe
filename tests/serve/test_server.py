"""The page as a browser gets it, without a browser."""

import http.client
import json
import os
import pathlib
import re
import socket
import urllib.parse

import pytest

from dbflax import errors
from dbflax.data import subjects
from dbflax.serve import jobs
from dbflax.serve import server as server_lib

pytest.importorskip(
  'gradio', reason="no Gradio: pip install '.[serve]' installs it"
)
PHOTO = sorted(subjects.EMBEDDED.glob('dog/*.png'))[0]
# It is asked to stop, and takes some seconds for it.
SAVES_LONG = """
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(5), sys.exit(143)))
print('ready', flush=True)
time.sleep(60)
"""


@pytest.fixture
def serve(parsed, program):
  """serve(*options) → the server of a page."""
  made = []

  def start(*options):
    server = server_lib.Server(
      *parsed('--config.serve.port=0', '--config.serve.max_photos=2', *options)
    )
    made.append(server)
    return server

  yield start
  for server in made:
    server.jobs.stop()
    server.close()


def ask(server, path, method='GET', body=None, **headers):
  """(status, headers, body) of a request."""
  where = urllib.parse.urlsplit(server.url).netloc
  connection = http.client.HTTPConnection(where, timeout=60)
  connection.request(method, path, body, headers)
  answer = connection.getresponse()
  return answer.status, answer.headers, answer.read()


def upload(server, content, name='a.png'):
  body = (
    '--x\r\nContent-Disposition: form-data; name="files"; '
    f'filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
  ).encode()
  body += content + b'\r\n--x--\r\n'
  kind = {'Content-Type': 'multipart/form-data; boundary=x'}
  return ask(server, '/gradio_api/upload', 'POST', body, **kind)


def event(server, target, data):
  """What the page answers when the component with `target` says something."""
  config = json.loads(ask(server, '/config')[2])
  ids = {
    part['id']
    for part in config['components']
    if part['props'].get('elem_id') == target
  }
  [number] = [
    one['id']
    for one in config['dependencies']
    if len(one['targets']) == 1 and one['targets'][0][0] in ids
  ]
  body = {'data': data, 'fn_index': number, 'session_hash': 'test'}
  status, _, said = ask(
    server,
    '/gradio_api/queue/join',
    'POST',
    json.dumps(body),
    **{'Content-Type': 'application/json'},
  )
  if status != 200:
    return said.decode()
  stream = ask(server, '/gradio_api/queue/data?session_hash=test')[2].decode()
  lines = [json.loads(line[6:]) for line in stream.split('\n') if line[6:]]
  [done] = [line for line in lines if line['msg'] == 'process_completed']
  return done['output']


def test_the_page_comes_with_its_policy_and_no_font_of_others(serve):
  server = serve()
  status, headers, page = ask(server, '/')
  assert status == 200
  assert "default-src 'self'" in headers['content-security-policy']
  assert b'fonts.googleapis' not in page and b'test' in page
  css = ask(server, '/theme.css')[2].decode()
  assert '@font-face' not in css
  # The name of SVG's language is no address.
  assert set(re.findall(r'https?://[\w.]+', css)) <= {'http://www.w3.org'}


def test_the_page_listens_to_this_machine_alone(serve):
  server = serve()
  assert server.url.startswith('http://127.0.0.1:') and server.is_private
  assert ask(server, '/', Host='evil.example')[0] == 403
  assert ask(server, '/config', Origin='http://evil.example')[0] == 403


def test_a_page_for_others_has_this_machine_s_names_alone(serve):
  server = serve('--config.serve.host=0.0.0.0')
  assert not server.is_private
  own = (socket.gethostname().upper(), f'{socket.getfqdn()}:7860')
  for host in (*own, 'localhost:1', '10.0.0.5:7860', '[fe80::1]:7860'):
    assert ask(server, '/config', Host=host, Origin=f'http://{host}')[0] == 200
  for host in ('evil.example:7860', 'evil.example', '10.0.0.5.evil.example'):
    status, _, said = ask(server, '/config', Host=host, Origin=f'http://{host}')
    assert status == 403 and b'under the name' in said
  assert ask(server, '/', Host='[::1]', Origin='http://10.0.0.5')[0] == 403


def test_settings_of_the_environment_do_not_count(serve, monkeypatch):
  monkeypatch.setenv('GRADIO_ALLOWED_PATHS', '/')
  monkeypatch.setenv('GRADIO_SHARE', 'True')
  server = serve()
  assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
  assert ask(server, '/gradio_api/file=/etc/passwd')[0] == 403
  assert server._blocks.share_url is None


def test_only_pictures_of_the_run_are_read(serve):
  server = serve()
  root = server.jobs.root
  (root / 'samples').mkdir(parents=True)
  (root / 'samples/a.png').write_bytes(PHOTO.read_bytes())
  (root / 'config.json').write_text('{}')
  get = lambda path: ask(server, f'/gradio_api/file={path}')[0]
  assert get(root / 'samples/a.png') == 200
  for path in (
    *(root / 'config.json', '/etc/passwd', root / 'samples/../config.json'),
    *(PHOTO, root / 'serve/lock', 'https://evil.example/x.png'),
  ):
    assert get(path) in (403, 404)


def test_a_photo_is_taken_and_what_is_none_is_not(serve):
  server = serve()
  [path] = json.loads(upload(server, PHOTO.read_bytes())[2])
  file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
  output = event(server, 'drop', [[file]])
  assert '1 photo of yours' in output['data'][1]
  assert [p.name for p in (server.jobs.root / 'serve/photos').iterdir()] == [
    '000.png'
  ]
  [path] = json.loads(upload(server, b'<script>', '<b>.png')[2])
  output = event(server, 'drop', [[{**file, 'path': path}]])
  assert 'not an image' in output['data'][1]
  assert '<b>' not in output['data'][1]


@pytest.mark.parametrize('path', ['/etc/passwd', 'https://evil.example/a.png'])
def test_a_file_that_was_not_uploaded_is_no_photo(serve, path):
  server = serve()
  file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
  event(server, 'drop', [[file]])
  assert not (server.jobs.root / 'serve/photos').exists()


def test_uploads_are_limited(serve):
  server = serve('--config.serve.max_megabytes=0.1')
  status, _, answer = upload(server, bytes(150_000))
  assert status == 200
  [path] = json.loads(answer)
  file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
  output = event(server, 'drop', [[file]])
  assert '0.15 MB, more than the 0.1 allowed' in output['data'][1]
  assert not pathlib.Path(path).exists()
  # Longer than all photos together: it is not even read.
  status, _, said = upload(server, bytes(400_000))
  assert status == 413 and b'send fewer, or smaller ones' in said


def test_export_and_report_are_of_this_folder_and_only_finished(serve):
  server = serve()
  root = server.jobs.root
  for path, name in (('/export.zip', 'export'), ('/report', 'report')):
    assert ask(server, path)[0] == 404
    (root / name).mkdir(parents=True)
    (root / name / 'index.html').write_text('hello')
    (root / name / 'manifest.json').write_text('{}')
  assert ask(server, '/report')[2] == b'hello'
  status, headers, content = ask(server, '/export.zip')
  assert status == 200 and content[:2] == b'PK'
  assert 'attachment' in headers['content-disposition']


def test_stop_is_pressed_once(make_desk, program, wait):
  from dbflax.serve import page

  button = lambda: page._view(desk)['stop']
  desk = make_desk()
  program(SAVES_LONG)
  desk.start(desk.values())
  wait(lambda: 'ready' in desk.jobs.log(jobs.RUN))
  before, make = button()
  assert make()['visible'] and make()['interactive']
  desk.stop()
  after, make = button()
  assert after != before
  assert make()['visible'] and not make()['interactive']


def test_a_port_that_is_taken_is_one_line(serve, parsed):
  port = urllib.parse.urlsplit(serve().url).port
  config, work = parsed(f'--config.serve.port={port}')
  with pytest.raises(errors.UserError, match=f'port {port} .* or 0 for any'):
    server_lib.Server(config, work)


def test_without_the_extra_one_line_says_what_to_install(parsed, monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install '\.\[serve\]'"):
    server_lib.run(*parsed())
