"""A self-contained HTML page: a template of assets/report, and its images.

Templates extend base.html.jinja, which has the look, the enlarging of images
and a policy that lets no request leave the page; parts.html.jinja has what
they are put together from. All texts are escaped.
"""

import pathlib
from collections.abc import Mapping
from concurrent import futures
from typing import Any

import jinja2

from dbflax import disk
from dbflax.pages import pictures

PAGE = 'index.html'
# A page over this size (in bytes) is made anew with smaller images.
MAX_BYTES = 25_000_000
# (side, JPEG quality), best first: an image has at most side² pixels.
QUALITIES = ((1024, 90), (1024, 80), (768, 78), (512, 75), (384, 70))
# Images that are made at once; a photo as taken may have 80 million pixels.
_AT_ONCE = 2


def write(
  folder: pathlib.Path, template: str, content: Mapping[str, Any]
) -> None:
  """Writes `folder`/index.html.

  Args:
    folder: where to.
    template: name of a file in assets/report.
    content: what it shows. An image is a path: templates call
      `picture(path, most)` for a `Picture` of at most most² pixels.

  Raises:
    UserError: an image is unreadable.
  """
  for side, quality in QUALITIES:
    page = render(template, content, side, quality)
    if len(page) <= MAX_BYTES:
      break
  disk.atomic_write(pathlib.Path(folder) / PAGE, page)


def render(
  template: str, content: Mapping[str, Any], side: int, quality: int
) -> bytes:
  """The page, with images of at most side² pixels.

  It is rendered twice: what images it shows is known then, and several are
  made at once.
  """
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('dbflax', 'assets/report'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  page = environment.get_template(template)
  shown: dict[tuple[pathlib.Path, int], pictures.Picture] = {}
  environment.globals['picture'] = lambda path, most: shown.setdefault(
    (path, min(side, most)), pictures.NONE
  )
  page.render(content)
  make = lambda key: pictures.picture(*key, quality)
  with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
    shown.update(zip(list(shown), pool.map(make, list(shown)), strict=True))
  return page.render(content).encode()
