"""launch/dbflax.ipynb: its commands parse, and all of it runs on a CPU."""

import ast
import base64
import io
import pathlib

import nbclient
import nbformat
import pytest
from PIL import Image

from dbflax import draw, main

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def notebook():
  return nbformat.read(ROOT / 'launch/dbflax.ipynb', as_version=4)


def code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == 'code']


def parameters(notebook):
  [cell] = [
    c for c in code(notebook) if 'parameters' in c.metadata.get('tags', ())
  ]
  return cell


def test_it_is_valid_and_has_no_results(notebook):
  nbformat.validate(notebook)
  for cell in code(notebook):
    assert not cell.outputs and cell.execution_count is None
    compile(cell.source, cell.id, 'exec')


def _is_command(node):
  """Whether a statement is, or goes into, a call of `dbflax`."""
  match node:
    case ast.FunctionDef(name='dbflax'):
      return True
    case ast.Assign(targets=[ast.Name(id='prompts')]):
      return True
    case ast.Expr(value=ast.Call(func=ast.Name(id='dbflax'))):
      return True
  return False


@pytest.mark.parametrize('config', ['dog.py', 'dog.py:if_m', 'test.py'])
def test_its_commands_parse(notebook, monkeypatch, config):
  monkeypatch.chdir(ROOT)
  called, told = [], []
  namespace = {
    'run': lambda *words, said: (called.append(words), told.append(said))
  }
  exec(parameters(notebook).source, namespace)
  namespace |= {'CONFIG': f'configs/{config}', 'photos': namespace['PHOTOS']}
  namespace['root'] = pathlib.Path(namespace['RESULTS'], namespace['NAME'])
  for cell in code(notebook):
    for node in filter(_is_command, ast.parse(cell.source).body):
      exec('import sys\n' + ast.unparse(node), namespace)
  modes = []
  for words in called:
    assert words[1:3] == ('-m', 'dbflax.main')
    _, mode, workdir, _ = main.parse(words[2:])
    workdir.close()
    modes.append(mode)
  assert modes == ['plan', 'run', 'draw', 'export']
  for prompt in told[2].splitlines():
    draw.check(prompt)


def _images(cells):
  """The pictures that cells show."""
  data = [out.get('data', {}) for cell in cells for out in cell.outputs]
  found = [one['image/png'] for one in data if 'image/png' in one]
  return [Image.open(io.BytesIO(base64.b64decode(text))) for text in found]


def _printed(cells):
  outputs = [out for cell in cells for out in cell.outputs]
  return ''.join(out.get('text', '') for out in outputs)


@pytest.mark.slow
def test_all_of_it_runs(
  notebook, small_checkout, small_environment, monkeypatch
):
  for name, value in small_environment.items():
    monkeypatch.setenv(name, value)
  settings = parameters(notebook)
  settings.source += "\nCONFIG, NAME = 'configs/test.py', 'notebook'"
  nbclient.NotebookClient(
    notebook,
    timeout=1800,
    kernel_name='python3',
    resources={'metadata': {'path': str(small_checkout)}},
  ).execute()
  nbformat.write(notebook, small_checkout / 'executed.ipynb')
  cells = code(notebook)
  said = _printed(cells)
  assert 'JAX runs on cpu' in said
  assert "dog' now means toybox:dog" in said
  assert 'IFPipeline.from_pretrained' in said
  sheet, *drawn = _images(cells)
  assert sheet.size[0] > 1000
  assert len({image.tobytes() for image in drawn}) == 4
  assert (small_checkout / 'runs/notebook_export.zip').is_file()
