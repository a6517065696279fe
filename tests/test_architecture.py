"""The seams of the design, read from the source with ast."""

import ast
import collections
import fnmatch
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# A module imports from its own layer (without a cycle) and from those above
# it in this list, never from one below. The first pattern that matches counts.
LAYERS = (
  (
    *('__init__', '*.__init__', 'errors', 'rng', 'hosts', 'stop', 'disk'),
    'allocator',
    'fusion',
    'xla_flags',
    *('bars', 'beside', 'jitted'),
  ),
  (
    *(
      'buckets',
      'mirror',
      'workdir',
      'validate',
      'sharding',
      'text.tokenizer',
      'text.prompts',
    ),
    *('plan.hardware', 'methods'),
    *('diffusion.*', 'models.*', 'data.images', 'weights.names'),
    'evaluate.metrics',
  ),
  (
    *('text.*', 'data.*', 'checkpoints', 'evaluate.*', 'toybox.*'),
    *('weights.*', 'pages.*'),
  ),
  (
    *('cascade', 'pretrained', 'train.state', 'train.optimizer'),
    'train.adapt',
  ),
  ('train.step',),
  (
    *('train.*', 'prior', 'sample', 'plan.*', 'report', 'job', 'inputs'),
    *('export', 'scores', 'nouns', 'preview', 'invert', 'picture', 'subject'),
    'response',
    *('draw', 'serve.*', 'ahead', 'compiler', 'tune'),
  ),
  ('pipeline',),
  ('study.*',),
  ('main',),
)

NETWORKS = [
  'dbflax.models*',
  'dbflax.cascade',
  'dbflax.train*',
  'dbflax.diffusion*',
]

# (who, must not import, why)
SEAMS = (
  (
    'diffusion.*',
    ('dbflax.models*', 'dbflax.text*'),
    'diffusion sees a denoise function and arrays, so that samplers are '
    'tested against an analytic denoiser',
  ),
  (
    'models.*',
    ('dbflax.diffusion*', 'dbflax.text*'),
    'models take arrays and return an array, so that parity with torch needs '
    'nothing else',
  ),
  (
    'evaluate.*',
    ('dbflax.models*', 'dbflax.diffusion*', 'dbflax.text*'),
    "evaluation reads images and json, so that any system's can be scored",
  ),
  ('report', NETWORKS, 'reports are made from files alone, so also anew'),
  ('pages.*', NETWORKS, 'pages show what they are given, so also studies'),
  (
    '*',
    ('torchvision*', 'diffusers*', 'tensorflow', 'tensorflow.*'),
    'the reference libraries are for tests; a user has none of them',
  ),
)

# Packages that only the modules named may import.
OWNERS = {
  'orbax': ('checkpoints',),
  'torch': ('weights.pickled',),
  'tensorboardX': ('train.events',),
  'gradio': ('serve.page', 'serve.server'),
  'wandb': ('train.tracking',),
  'fsspec': ('buckets',),
  'huggingface_hub': ('weights.hub',),
  'flax.linen': ('models.*', 'text.t5', 'toybox.*', 'evaluate.transformer'),
  'ml_collections': ('main',),
  'absl.flags': ('main', 'toybox.*'),
}

# These answer before JAX could even be imported: --help, bad input, a scan of
# the vocabulary.
WITHOUT_JAX = (
  *(
    'main',
    'errors',
    'rng',
    'stop',
    'hosts',
    'workdir',
    'validate',
    'methods',
    'text.tokenizer',
  ),
  *('text.prompts', 'text.identifiers', 'data.images', 'data.subjects'),
  *('data.batches', 'report', 'picture', 'pages.page', 'draw'),
  *('serve.server', 'serve.page', 'serve.watch'),
)
JAX = ('jax', 'jaxlib', 'flax', 'optax', 'orbax')


def modules():
  """{dotted name below dbflax: syntax tree} of the whole package."""
  return {
    '.'.join(path.relative_to(ROOT / 'dbflax').with_suffix('').parts): (
      ast.parse(path.read_text(), str(path))
    )
    for path in sorted((ROOT / 'dbflax').rglob('*.py'))
  }


MODULES = modules()


def imports(tree, module_level=False):
  """Dotted names that a module imports, such as 'dbflax.text.t5'."""
  nodes = tree.body if module_level else ast.walk(tree)
  for node in nodes:
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'relative import in line {node.lineno}'
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def internal(names):
  """Those of `names` that are modules of dbflax, without the prefix."""
  for name in names:
    short = name.removeprefix('dbflax.')
    if short != name and short in MODULES:
      yield short


def layer(module):
  for number, patterns in enumerate(LAYERS):
    if any(fnmatch.fnmatch(module, pattern) for pattern in patterns):
      return number
  return pytest.fail(
    f'dbflax.{module} has no layer; give it one in LAYERS, as low as it goes'
  )


def matches(name, package):
  return name == package or name.startswith(f'{package}.')


@pytest.mark.parametrize('module', MODULES)
def test_imports_go_downward(module):
  for other in internal(imports(MODULES[module])):
    assert layer(other) <= layer(module), (
      f'dbflax.{module} imports dbflax.{other}, which is built on top of it; '
      'move what both need into a lower module'
    )


def test_no_import_cycles():
  graph = {
    module: set(internal(imports(tree))) for module, tree in MODULES.items()
  }
  # Remove modules that import nothing left, until none can be removed.
  while free := [module for module, others in graph.items() if not others]:
    for module in free:
      del graph[module]
    for others in graph.values():
      others.difference_update(free)
  assert not graph, f'modules that import each other: {sorted(graph)}'


@pytest.mark.parametrize(('pattern', 'forbidden', 'why'), SEAMS)
def test_seams_are_kept(pattern, forbidden, why):
  for module, tree in MODULES.items():
    if fnmatch.fnmatch(module, pattern):
      for name in imports(tree):
        assert not any(fnmatch.fnmatch(name, other) for other in forbidden), (
          f'dbflax.{module} imports {name}: {why}'
        )


@pytest.mark.parametrize('package', OWNERS)
def test_one_place_for_each_library(package):
  for module, tree in MODULES.items():
    if any(fnmatch.fnmatch(module, owner) for owner in OWNERS[package]):
      continue
    for name in imports(tree):
      assert not matches(name, package), (
        f'dbflax.{module} imports {name}; only {OWNERS[package]} may'
      )


@pytest.mark.parametrize('module', WITHOUT_JAX)
def test_what_must_start_at_once_reaches_no_jax(module):
  chains = collections.deque([(module,)] if module in MODULES else [])
  seen = {module}
  while chains:
    chain = chains.popleft()
    names = list(imports(MODULES[chain[-1]], module_level=True))
    for name in names:
      assert not any(matches(name, package) for package in JAX), (
        f'{" → ".join(chain)} imports {name} at module level; '
        'import it in the function that needs it'
      )
    for other in set(internal(names)) - seen:
      seen.add(other)
      chains.append((*chain, other))


@pytest.mark.parametrize('module', MODULES)
def test_modules_and_not_names_are_imported(module):
  for name in imports(MODULES[module]):
    if matches(name, 'dbflax') and name != 'dbflax':
      path = ROOT.joinpath(*name.split('.'))
      assert path.is_dir() or path.with_suffix('.py').is_file(), (
        f'dbflax.{module} imports the name {name}; import its module'
      )


def test_files_are_read_in_one_place():
  """There what is no file (a pipe) is refused, which would never end."""
  for module, tree in MODULES.items():
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    calls = [n.func for n in nodes]
    names = {getattr(f, 'id', getattr(f, 'attr', '')) for f in calls}
    bare = {f.id for f in calls if isinstance(f, ast.Name)}
    # As a method of a path, open takes the mode first.
    bare |= {
      'open'
      for n in nodes
      if getattr(n.func, 'attr', '') == 'open'
      and isinstance(mode := next(iter(n.args), None), ast.Constant)
      and str(mode.value).startswith('r')
    }
    found = names & {'read_text', 'read_bytes'} | bare & {'open'}
    assert module == 'disk' or not found, (
      f'dbflax.{module} calls {found}; take disk.read or disk.open_file'
    )


def test_no_module_is_a_drawer_for_everything():
  for module in MODULES:
    assert module.split('.')[-1] not in (
      'utils',
      'util',
      'helpers',
      'common',
    ), f'dbflax.{module}: name it after what it does'


def sources():
  """Every python file of the tree that is written by hand."""
  folders = ('dbflax', 'benchmarks', 'configs', 'tests', 'launch')
  return [
    path for folder in folders for path in sorted((ROOT / folder).rglob('*.py'))
  ]


@pytest.mark.parametrize(
  'path', sources(), ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_and_functions_stay_short(path):
  text = path.read_text()
  assert text.count('\n') <= 450, 'over 450 lines: split it along a seam'
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
      length = node.end_lineno - node.lineno + 1
      assert length <= 60, f'{node.name} has {length} lines, over 60'
