"""Fixtures for all tests."""

import contextlib
import functools
import importlib.metadata
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

# Compiling is most of what a test of a network costs; before JAX starts, ask
# for programs that are compiled fast. The README's first command, which CI
# runs too, compiles with full optimisation.
_FAST = '--xla_backend_optimization_level=0'
if importlib.metadata.version('jaxlib').startswith('0.10.'):
  # Emitters of fused loops, which newer versions cannot do without (they end
  # the process at a flag that they do not know).
  _FAST += ' --xla_cpu_use_fusion_emitters=false'
os.environ.setdefault('XLA_FLAGS', _FAST)


@pytest.fixture(autouse=True)
def _logging_of_its_own():
  """What a command logs goes to the standard error of its own test."""
  logger = logging.getLogger('dbflax')
  logger.handlers.clear()
  logger.propagate = True
  logger.setLevel(logging.NOTSET)


@pytest.fixture(scope='session')
def shared_data():
  """The folder of real data that is not part of the project.

  It holds `t5/spiece.model` (T5's vocabulary) and `dreambooth/` (photos of the
  DreamBooth dataset). DBFLAX_DATA names it; else it is looked for beside the
  checkout.
  """
  beside = pathlib.Path(__file__).parents[1] / '../shared/data'
  folder = pathlib.Path(os.environ.get('DBFLAX_DATA', beside))
  if not folder.is_dir():
    pytest.skip(
      f'no folder {folder}: DBFLAX_DATA must name the one that holds '
      't5/spiece.model and dreambooth/'
    )
  return folder.resolve()


@pytest.fixture
def dying(monkeypatch):
  """dying(module, name) → a context in which trainings end as by Ctrl-C.

  At step 3 of the updates (state, …) → … that `module.name` makes.
  """
  from dbflax import checkpoints

  @contextlib.contextmanager
  def patched(module, name):
    make = getattr(module, name)

    def dies(*args):
      update = make(*args)

      def one(state, *rest):
        if int(state.step) == 3:
          raise KeyboardInterrupt
        return update(state, *rest)

      return one

    save = checkpoints.Checkpoints.save

    def save_whole(self, number, state):
      save(self, number, state)
      # This process lives on, and so would the threads that write.
      self.wait()

    with monkeypatch.context() as patch:
      patch.setattr(module, name, dies)
      patch.setattr(checkpoints.Checkpoints, 'save', save_whole)
      yield

  return patched


@pytest.fixture(scope='session')
def t5_spiece(shared_data):
  """The path of T5's own vocabulary."""
  path = shared_data / 't5' / 'spiece.model'
  if not path.is_file():
    pytest.skip(f'no {path}: the vocabulary of T5 is missing')
  return path


@pytest.fixture(scope='session')
def quick():
  """quick(f, *args) → f compiled for these arguments, fast rather than good.

  Compiling is most of what a test of a network costs; this is a quarter of it.
  """
  import jax

  options = {
    'xla_backend_optimization_level': 0,
    'xla_cpu_use_fusion_emitters': False,
  }

  def compile(f, *args):
    lowered = (f if hasattr(f, 'lower') else jax.jit(f)).lower(*args)
    try:
      return lowered.compile(compiler_options=options)
    except Exception:  # Another version of XLA may lack an option.
      return lowered.compile()

  return compile


@pytest.fixture(scope='module')
def compilation_cache(tmp_path_factory):
  """A cache of the module's own: several runs of one config compile once."""
  import jax

  before = jax.config.jax_compilation_cache_dir
  folder = tmp_path_factory.mktemp('xla')
  jax.config.update('jax_compilation_cache_dir', str(folder))
  yield
  jax.config.update('jax_compilation_cache_dir', before)


@pytest.fixture(scope='session')
def tiny_folder(tmp_path_factory):
  """A cascade directory of 16 → 32 → 64 pixels, without weights."""
  from configs import toybox
  from dbflax import pretrained
  from dbflax.train import pretrain

  folder = tmp_path_factory.mktemp('tiny')
  architecture = toybox.get_config('tiny').architecture.to_dict()
  spiece = pretrained.ASSETS / 'toybox/tokenizer/spiece.model'
  pretrain.prepare(folder, architecture, spiece)
  return folder


@pytest.fixture(scope='session')
def tiny(tiny_folder):
  """That cascade."""
  from dbflax import pretrained

  return pretrained.load(tiny_folder)


@pytest.fixture(scope='session')
def random_params():
  """random_params(shapes, seed=0) → parameters none of which is zero.

  What pre-training starts from has zeros (conv2, conv_out, biases), behind
  which nothing has a gradient.
  """
  import jax
  import numpy as np

  def draw(shapes, seed=0):
    rng = np.random.default_rng(seed)

    def one(path, leaf):
      fan_in = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 100
      value = rng.normal(size=leaf.shape) / np.sqrt(fan_in)
      is_gain = path[-1].key == 'scale'
      return (value + is_gain).astype(np.float32)

    return jax.tree_util.tree_map_with_path(one, shapes)

  return draw


@pytest.fixture(scope='session')
def deepfloyd():
  """{name: {'config': config.json, 'parameters': how many}}, as published."""
  path = pathlib.Path(__file__).parent / 'weights/deepfloyd.json'
  return json.loads(path.read_text())


@pytest.fixture(scope='session')
def published(deepfloyd, tmp_path_factory):
  """published(base, upper) → config fields that name IF's folders.

  Such as ('IF-I-XL', 'IF-II-L'). The folders have what a hub repository has,
  but no weights, and toybox's vocabulary.
  """
  from dbflax import pretrained

  scheduler = {
    'beta_schedule': 'squaredcos_cap_v2',
    'prediction_type': 'epsilon',
    'thresholding': True,
    'variance_type': 'learned_range',
  }

  def write(folder, name, schedulers, parts=()):
    content = {f'{s}/scheduler_config.json': scheduler for s in schedulers}
    content |= {'unet/config.json': deepfloyd[name]['config'], **dict(parts)}
    for path, value in content.items():
      (folder / path).parent.mkdir(parents=True, exist_ok=True)
      (folder / path).write_text(json.dumps(value))
    return str(folder)

  def make(base, upper):
    root = tmp_path_factory.mktemp('published')
    text = deepfloyd['T5 v1.1 XXL']['config']
    one = write(
      root / 'one', base, ['scheduler'], {'text_encoder/config.json': text}
    )
    two = write(root / 'two', upper, ['scheduler', 'image_noising_scheduler'])
    spiece = pretrained.ASSETS / 'toybox/tokenizer'
    shutil.copytree(spiece, root / 'one/tokenizer')
    return {'cascade.path': one, 'cascade.stage_2': two}

  return make


@pytest.fixture(scope='session')
def full_size(deepfloyd):
  """full_size(name) → (config, parameter count, {path: shape}) of ours.

  Of the networks that deepfloyd.json lists; nothing is allocated.
  """
  import flax
  import jax

  from dbflax import cascade
  from dbflax.models import unet
  from dbflax.text import t5

  def init(config):
    if config.get('model_type') == 't5':
      return functools.partial(cascade.init_encoder, t5.from_config(config))
    stage = cascade.Stage('', unet.from_config(config), None, None)
    return functools.partial(cascade.init_stage, stage)

  @functools.cache
  def load(name):
    network = deepfloyd[name]
    tree = jax.eval_shape(init(network['config']), jax.random.key(0))
    flat = flax.traverse_util.flatten_dict(tree, sep='/')
    shapes = {path: leaf.shape for path, leaf in flat.items()}
    return network['config'], network['parameters'], shapes

  return load


@pytest.fixture(scope='session')
def pipelines():
  """pipelines(folder) → the tiny cascade there, as DeepFloyd ships IF.

  A pipeline for each stage, and the text encoder in the first: {name: path}.
  """
  from dbflax import pretrained

  tiny = pretrained.ASSETS / 'tiny'

  def write(folder):
    shutil.copytree(tiny / 'stage_1', folder / 'IF-I')
    for part in ('tokenizer', 'text_encoder'):
      shutil.copytree(tiny / part, folder / 'IF-I' / part)
    shutil.copytree(tiny / 'stage_2', folder / 'IF-II')
    return {name: str(folder / name) for name in ('IF-I', 'IF-II')}

  return write


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
  """hub_cache(repository, folder) puts a folder into the hub's cache.

  The cache is empty at first, and there is no network.
  """
  from huggingface_hub import constants

  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)

  def put(repository: str, content: pathlib.Path):
    name = f'models--{repository.replace("/", "--")}'
    folder = tmp_path / 'hub' / name
    commit = '0123456789' * 4
    shutil.copytree(content, folder / 'snapshots' / commit)
    for revision in ('main', 'v1.0'):
      ref = folder / 'refs' / revision
      ref.parent.mkdir(exist_ok=True)
      ref.write_text(commit)

  return put


@pytest.fixture
def small_disk(tmp_path):
  """small_disk(size) → a folder that holds so many bytes; again, resized.

  A file system of its own; without the right to mount one, tests are skipped.
  """
  folder = tmp_path / 'disk'
  folder.mkdir()
  mounted = False

  def resize(size):
    nonlocal mounted
    options = f'{"remount," if mounted else ""}size={size}'
    done = subprocess.run(
      ['mount', '-t', 'tmpfs', '-o', options, 'dbflax', str(folder)],
      capture_output=True,
      text=True,
    )
    if done.returncode:
      pytest.skip(f'a small file system cannot be mounted: {done.stderr}')
    mounted = True
    return folder

  yield resize
  if mounted:
    subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.fixture(scope='session')
def on_eight_devices():
  """on_eight_devices(script, *arguments) → what it prints in the end.

  A process of its own: the number of fake devices is fixed once JAX starts.
  """

  def run(script, *arguments):
    flags = (
      '--xla_force_host_platform_device_count=8'
      ' --xla_backend_optimization_level=0'
    )
    root = str(pathlib.Path(__file__).parents[1])
    done = subprocess.run(
      [sys.executable, '-c', script, *arguments],
      env={
        **os.environ,
        'XLA_FLAGS': flags,
        'JAX_PLATFORMS': 'cpu',
        'PYTHONPATH': root,
      },
      cwd=root,
      capture_output=True,
      text=True,
      timeout=300,
      check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()

  return run
