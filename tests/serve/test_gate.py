import asyncio
import json

import pytest

from dbflax.serve import gate

HOST = (b'host', b'127.0.0.1:7860')


def ask(
  path='/', method='GET', headers=(), body=b'', hosts=('127.0.0.1',), **more
):
  """(status, headers, body that the application saw, or why it did not)."""
  sent = []

  async def app(scope, receive, send):
    content = b''
    if scope['method'] == 'POST':
      while True:
        message = await receive()
        content += message['body']
        if not message.get('more_body'):
          break
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': content})

  # In two parts, as they come from a network.
  half = len(body) // 2
  parts = [
    {'type': 'http.request', 'body': body[:half], 'more_body': True},
    {'type': 'http.request', 'body': body[half:]},
  ]

  async def receive():
    return parts.pop(0)

  async def send(message):
    sent.append(message)

  scope = {
    'type': 'http',
    'method': method,
    'path': path,
    'headers': [HOST, *headers],
  }
  door = gate.Gate(app, hosts=hosts, upload_bytes=1000, **more)
  asyncio.run(door(scope, receive, send))
  start, end = sent
  return start['status'], dict(start['headers']), end['body'].decode()


def test_the_page_itself_is_served_with_a_policy():
  status, headers, _ = ask(headers=[(b'origin', b'http://127.0.0.1:7860')])
  assert status == 200
  policy = headers[b'content-security-policy'].decode()
  assert "default-src 'self'" in policy and 'http' not in policy


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'headers': [(b'origin', b'http://evil.example')]}, 'other sites'),
    ({'headers': [(b'origin', b'null')]}, 'other sites'),
    ({'headers': [(b'origin', b'http://127.0.0.1:99')]}, 'other sites'),
    ({'path': '/gradio_api/file=https://evil.example/x'}, 'elsewhere'),
    ({'path': '/gradio_api/proxy=https://evil.example/x'}, 'elsewhere'),
    ({'hosts': ('localhost',)}, "under the name '127.0.0.1'"),
    ({'hosts': ()}, "under the name '127.0.0.1'; use localhost"),
  ],
)
def test_what_the_page_does_not_ask_is_refused(options, message):
  status, headers, body = ask(**options)
  assert status == 403 and message in body
  assert b'content-security-policy' in headers


def test_an_address_is_let_through_where_any_is():
  assert ask(hosts=(), any_address=True)[0] == 200


@pytest.mark.parametrize('name', ['[::1]:80', '[::1]', 'localhost', 'a.b:1'])
def test_a_host_is_known_with_and_without_its_port(name):
  expected = {'[::1]:80': '[::1]', 'a.b:1': 'a.b'}.get(name, name)
  assert gate.host_name(name) == expected


def test_fields_arrive_as_they_were_sent():
  body = json.dumps({'data': ['a photo, path: "x"', {'path': '/tmp/x'}]})
  assert ask('/gradio_api/queue/join', 'POST', body=body.encode()) == (
    *(200, dict(gate.HEADERS)),
    body,
  )


@pytest.mark.parametrize(
  'value',
  [{'path': 'http://10.0.0.1/x', 'meta': {}}, [[{'a': {'path': 'ftp://x'}}]]],
)
def test_a_file_that_lies_elsewhere_is_refused(value):
  body = json.dumps({'data': [value]}).encode()
  status, _, said = ask('/gradio_api/queue/join', 'POST', body=body)
  assert status == 403 and 'nothing is fetched' in said


@pytest.mark.parametrize('length', [[], [(b'content-length', b'1001')]])
def test_an_upload_says_its_length_and_it_is_limited(length):
  status, _, said = ask('/gradio_api/upload', 'POST', length, b'x')
  assert status == 413 and 'send fewer, or smaller' in said
  fits = [(b'content-length', b'1000')]
  assert ask('/gradio_api/upload', 'POST', fits, b'x' * 1000)[0] == 200


def test_fields_are_limited_too():
  status, _, said = ask('/gradio_api/queue/join', 'POST', body=b' ' * 300_000)
  assert status == 413 and '0.2 MB' in said
