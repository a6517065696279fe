"""What may come in from the network, and what may go out: an ASGI middleware.

The page's library serves pages to the world, and does more than is wanted here:
it fetches what is named by a URL, and lets other sites ask it. The gate lets
through only what the page itself asks for, and tells the browser to let no
request leave the page.
"""

import ipaddress
import json
from collections.abc import Collection
from typing import Any

# Scripts of the library compile templates and start workers.
POLICY = (
  "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
  "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
  "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
  "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; "
  "object-src 'none'"
)
HEADERS = (
  (b'content-security-policy', POLICY.encode()),
  (b'referrer-policy', b'no-referrer'),
  (b'x-content-type-options', b'nosniff'),
)
_UPLOAD = '/gradio_api/upload'
# Of a request that is no upload, such as the values of all fields.
_MAX_BYTES = 200_000


class Refused(Exception):
  """A request is not let through."""

  def __init__(self, code: int, message: str):
    super().__init__(message)
    self.code = code


class Gate:
  """Lets some requests through to `app`."""

  def __init__(
    self,
    app,
    *,
    hosts: Collection[str],
    upload_bytes: int,
    any_address: bool = False,
  ):
    """Nothing is let through that is not for one of `hosts`, in lower case.

    With `any_address` what is for an IP address is, too: nobody can have that
    point elsewhere, as a name can.
    """
    self._app, self._hosts, self._upload_bytes = app, hosts, upload_bytes
    self._any_address = any_address

  async def __call__(self, scope, receive, send):
    if scope['type'] == 'lifespan':
      await self._app(scope, receive, send)
      return
    try:
      self._check(scope)
      content = await self._content(scope, receive)
    except Refused as refused:
      await _answer(send, refused)
      return
    await self._app(scope, _replay(content, receive), _with_headers(send))

  def _check(self, scope) -> None:
    """Raises Refused by what stands at the head of a request."""
    if scope['type'] != 'http':
      raise Refused(403, 'only http is served')
    headers = {
      k.decode('latin1'): v.decode('latin1') for k, v in scope['headers']
    }
    host = headers.get('host', '')
    # Else another site could have its name point at this machine.
    if not self._is_ours(host_name(host)):
      raise Refused(
        403,
        f"not served under the name '{host_name(host)}'; use localhost, or an "
        'IP address',
      )
    origin = headers.get('origin')
    if origin is not None and origin.partition('://')[2] != host:
      raise Refused(403, 'other sites may not ask this page')
    path = scope['path']
    if '/proxy=' in path or '=http:' in path or '=https:' in path:
      raise Refused(403, 'nothing is fetched from elsewhere')

  def _is_ours(self, name: str) -> bool:
    is_known = name.lower() in self._hosts
    return is_known or (self._any_address and _is_address(name))

  async def _content(self, scope, receive) -> list[dict]:
    """The messages that a request's body comes in.

    Raises:
      Refused: it is too long, or names a file by a URL.
    """
    is_upload = scope['path'].rstrip('/') == _UPLOAD
    most = self._upload_bytes if is_upload else _MAX_BYTES
    if is_upload and _length(scope) > most:
      raise Refused(413, too_long(most))
    if is_upload or scope['method'] not in ('POST', 'PUT', 'PATCH'):
      return []
    messages, size = [], 0
    while not messages or messages[-1].get('more_body'):
      messages.append(await receive())
      size += len(messages[-1].get('body', b''))
      if size > most:
        raise Refused(413, too_long(most))
    _check_files(b''.join(message.get('body', b'') for message in messages))
    return messages


def too_long(most: int) -> str:
  return f'more than {most / 1e6:.1f} MB at once; send fewer, or smaller ones'


def host_name(host: str) -> str:
  """Without the port; [::1] has colons of its own."""
  return (
    host.rpartition(':')[0] if host[-1:].isdigit() and ':' in host else host
  )


def _is_address(name: str) -> bool:
  """Whether a host's name is an IP address, such as 10.0.0.5 or [fe80::1]."""
  try:
    ipaddress.ip_address(name.removeprefix('[').removesuffix(']'))
  except ValueError:
    return False
  return True


def _length(scope) -> float:
  """What a request says of its length; infinite if nothing."""
  for name, value in scope['headers']:
    if name == b'content-length' and value.isdigit():
      return int(value)
  return float('inf')


def _check_files(body: bytes) -> None:
  """Raises Refused if a JSON body names a file that lies elsewhere."""
  try:
    content = json.loads(body)
  except (ValueError, RecursionError):
    return
  if _names_url(content):
    raise Refused(403, 'nothing is fetched from elsewhere')


def _names_url(value: Any) -> bool:
  if isinstance(value, dict):
    path = value.get('path')
    if isinstance(path, str) and '://' in path:
      return True
    return any(map(_names_url, value.values()))
  return isinstance(value, list) and any(map(_names_url, value))


def _replay(messages: list[dict], receive):
  """`receive` that gives these messages first."""
  left = list(messages)

  async def next_message():
    return left.pop(0) if left else await receive()

  return next_message


def _with_headers(send):
  async def with_headers(message):
    if message['type'] == 'http.response.start':
      message = {**message, 'headers': [*message['headers'], *HEADERS]}
    await send(message)

  return with_headers


async def _answer(send, refused: Refused) -> None:
  headers = [(b'content-type', b'text/plain; charset=utf-8'), *HEADERS]
  start = {'type': 'http.response.start', 'status': refused.code}
  await send({**start, 'headers': headers})
  body = str(refused).encode()
  await send({'type': 'http.response.body', 'body': body})
