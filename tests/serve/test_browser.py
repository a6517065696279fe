"""The page in a browser, at the width of a desk and of a phone.

  pytest -m slow tests/serve/test_browser.py --basetemp=FOLDER

leaves its pictures in FOLDER.
"""

import pathlib
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip(
  'gradio', reason="no Gradio: pip install '.[serve]' installs it"
)
playwright = pytest.importorskip(
  'playwright.sync_api',
  reason="no playwright: pip install '.[browser]' installs it",
)
ROOT = pathlib.Path(__file__).parents[2]
WIDTHS = (1280, 400)
# Milliseconds; most of it is compiling.
PATIENCE = 1_200_000
PROMPT = (
  'a <b>photo</b> of a {subject} on the "beach" & <script>alert(1)</script>'
)


@pytest.fixture(scope='module')
def photos(shared_data):
  """Five photos of a real dog."""
  found = sorted((shared_data / 'dreambooth/dog').glob('*.jpg'))
  if len(found) < 5:
    pytest.skip(f'no five photos in {shared_data}/dreambooth/dog')
  return [str(path) for path in found[:5]]


@pytest.fixture(scope='module')
def serve(tmp_path_factory):
  """serve() → (process, URL) of a page of one and the same workdir."""
  folder = tmp_path_factory.mktemp('served')
  processes = []

  def start():
    words = ['--config=configs/test.py', '--mode=serve']
    words += ['--config.serve.port=0', f'--workdir={folder / "run"}']
    process = subprocess.Popen(
      [sys.executable, '-m', 'dbflax.main', *words],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      text=True,
    )
    processes.append(process)
    return process, process.stdout.readline().split()[2]

  yield start
  for process in processes:
    process.terminate()
    process.wait()


@pytest.fixture(scope='module')
def browser():
  """Chromium, and no page of it may ask another machine."""
  path = shutil.which('chromium') or shutil.which('chromium-browser')
  if not path:
    pytest.skip('no Chromium on this machine')
  with playwright.sync_playwright() as started:
    chromium = started.chromium.launch(
      executable_path=path, args=['--no-sandbox', '--disable-gpu']
    )
    yield chromium
    chromium.close()


def open_page(browser, url, requests):
  """The page when it has filled its fields."""
  page = browser.new_page(accept_downloads=True)
  page.set_default_timeout(PATIENCE)
  page.on('request', lambda request: requests.append(request.url))
  page.on('dialog', lambda _: pytest.fail('a prompt was executed'))
  page.on('pageerror', lambda error: pytest.fail(f'{error}'))
  page.goto(url)
  page.wait_for_selector('pre.command')
  return page


def look(page, folder, name):
  """Pictures of the page, which is never wider than the window."""
  for width in WIDTHS:
    page.set_viewport_size({'width': width, 'height': 900})
    page.wait_for_timeout(500)
    wide = page.evaluate('document.documentElement.scrollWidth')
    assert wide <= width, f'{name}: {wide} pixels wide in a window of {width}'
    page.screenshot(path=folder / f'{name}_{width}.png', full_page=True)
  page.set_viewport_size({'width': WIDTHS[0], 'height': 900})


def drop(page, photos):
  page.set_input_files('#drop input[type=file]', photos)
  page.wait_for_function(
    "document.querySelector('#photo-note').innerText.startsWith('5 photos')"
  )
  page.wait_for_function(
    "document.querySelector('pre.command').innerText.includes('serve/photos')"
  )


def train_stop_and_go_on(page, folder):
  """Asked to stop, the training saves its state."""
  page.click('#start')
  page.wait_for_selector('.charts svg')
  look(page, folder, '3_training')
  page.click('#stop')
  page.wait_for_selector('#start:has-text("Continue")')
  assert 'its last checkpoint' in page.inner_text('#run')
  page.click('#start')
  page.wait_for_selector('#run :text("Running")')


def draw(page):
  before = page.locator('#pictures img').count()
  page.fill('#prompt textarea, #prompt input', PROMPT)
  page.click('#draw')
  page.wait_for_function(
    f"document.querySelectorAll('#pictures img').length > {before}"
  )
  shown = page.inner_text('#pictures')
  assert '<b>photo</b>' in shown and page.locator('#pictures b').count() == 0


def take(page, path):
  """Downloads the export."""
  page.click('#export')
  page.wait_for_selector('a.button')
  with page.expect_download() as download:
    page.click('a.button')
  download.value.save_as(path)
  with zipfile.ZipFile(path) as file:
    assert file.testzip() is None
    assert {'run/model_index.json', 'run/README.md'} <= set(file.namelist())


def test_from_photos_to_the_export(serve, browser, photos, tmp_path):
  process, url = serve()
  requests = []
  page = open_page(browser, url, requests)
  assert page.is_disabled('#draw') and page.is_disabled('#export')
  look(page, tmp_path, '1_empty')
  drop(page, photos)
  look(page, tmp_path, '2_photos')
  train_stop_and_go_on(page, tmp_path)
  page.close()
  process.send_signal(signal.SIGINT)
  assert process.wait(60) == 130
  assert 'The run goes on' in process.stdout.read()

  # Another server finds it.
  _, url = serve()
  page = open_page(browser, url, requests)
  page.wait_for_selector('#run .good')
  assert page.locator('.steps .done').count() == 7
  page.wait_for_selector('#pictures img')
  look(page, tmp_path, '4_done')
  draw(page)
  look(page, tmp_path, '5_drawn')
  take(page, tmp_path / 'export.zip')
  look(page, tmp_path, '6_export')
  local = ('http://127.0.0.1:', 'data:', 'blob:')
  assert [one for one in requests if not one.startswith(local)] == []


def test_bad_photos_and_values_are_one_line(serve, browser, tmp_path):
  _, url = serve()
  page = open_page(browser, url, [])
  (tmp_path / 'note.png').write_text('no image')
  page.set_input_files('#drop input[type=file]', str(tmp_path / 'note.png'))
  page.wait_for_selector('#photo-note .bad')
  said = page.inner_text('#photo-note')
  assert "'note.png'" in said and 'save it as PNG or JPEG' in said
  page.fill('[id="stage_1.steps"] input', '0')
  page.wait_for_selector('#command .bad')
  assert 'must be at least 1' in page.inner_text('#command')
  look(page, tmp_path, '7_errors')
