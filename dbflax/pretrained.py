"""Pre-trained cascades: from a directory or the hub to modules and parameters.

A cascade directory is either ours (`stage_1/unet`, …; docs/cascades.md) or
a pipeline of diffusers, which is one stage: `unet/`, `scheduler/`, and perhaps
`tokenizer/` and `text_encoder/`. DeepFloyd IF ships its stages apart, so
each may come from a source of its own.
"""

import functools
import pathlib
import re
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dbflax import cascade, disk, errors, sharding
from dbflax.data import remote
from dbflax.diffusion import scheduler as scheduler_lib
from dbflax.models import unet as unet_lib
from dbflax.text import t5
from dbflax.text import tokenizer as tokenizer_lib
from dbflax.weights import diffusers, files, hub

ASSETS = pathlib.Path(__file__).parent / 'assets'
# What is fetched of a stage, and of the text's part.
STAGE_FOLDERS = ('unet', 'scheduler', 'image_noising_scheduler')
_TEXT_FOLDERS = ('tokenizer', 'text_encoder')


def load(
  path: str | pathlib.Path = '',
  stages: Sequence[str] = cascade.STAGES,
  options: Mapping[str, dict] | None = None,
  *,
  elsewhere: Mapping[str, str] | None = None,
  wanted: files.Format = files.PLAIN,
) -> cascade.Cascade:
  """Reads a cascade's configuration; parameters come by `load_params`.

  Args:
    path: a cascade directory, or owner/name[@revision] of the hub; '' is the
      embedded toybox and a bare name the embedded cascade of that name.
    stages: names of the stages wanted.
    options: 'text_encoder' or a stage → {'dtype': …, 'remat': …} of its module.
    elsewhere: 'text_encoder' or a stage → where it lies, if not in `path`.
    wanted: which kind of weights.

  Raises:
    UserError: something is missing, or the parts do not fit together.
  """
  options = options or {}
  elsewhere = {name: at for name, at in (elsewhere or {}).items() if at}
  locate = lambda name: _locate(name, path, elsewhere, wanted)
  text = locate('text_encoder')
  encoder = t5.from_config(
    files.read_json(text / 'text_encoder/config.json'),
    **options.get('text_encoder', {}),
  )
  folders = {'text_encoder': text, **{name: locate(name) for name in stages}}
  model = cascade.Cascade(
    folders,
    wanted,
    tokenizer_lib.Tokenizer(text / 'tokenizer/spiece.model'),
    encoder,
    {n: load_stage(folders[n], n, **options.get(n, {})) for n in stages},
  )
  _check_fit(model)
  return model


def _locate(name: str, path, elsewhere, wanted) -> pathlib.Path:
  """The folder that has `unet/` of a stage, or `text_encoder/`."""
  if name == 'text_encoder':
    return _resolve(elsewhere.get(name, path), _TEXT_FOLDERS, wanted)
  own = elsewhere.get(name)
  nested = [f'{name}/{folder}' for folder in STAGE_FOLDERS]
  flat = STAGE_FOLDERS if own or name == 'stage_1' else ()
  base = _resolve(own or path, (*nested, *flat), wanted)
  is_flat = flat and not (base / name).is_dir()
  return base if is_flat else base / name


def resolve(path: str | pathlib.Path) -> pathlib.Path:
  """The local directory that a configuration's `cascade.path` means."""
  return _resolve(path, (), files.PLAIN)


def _resolve(path, folders, wanted) -> pathlib.Path:
  """A directory here, an embedded one, or a local copy of a remote one."""
  name = str(path) or 'toybox'
  # A path such as '.' is not one beside the embedded ones.
  if re.fullmatch(r'\w+', name) and (ASSETS / name).is_dir():
    return ASSETS / name
  if pathlib.Path(name).is_dir():
    return pathlib.Path(name)
  if disk.is_url(name) and folders:
    is_wanted = functools.partial(hub.is_wanted, folders=folders, wanted=wanted)
    return remote.fetch(name, is_wanted)
  if hub.is_id(name) and folders:
    return hub.fetch(name, folders, wanted)
  raise errors.UserError(
    f'cascade.path {name!r} is not a directory; give a cascade directory, '
    'its URL (gs://…), owner/name of the Hugging Face hub, '
    "'' for the embedded toybox or 'tiny' for the test cascade."
  )


def load_stage(folder: pathlib.Path, name: str, **options) -> cascade.Stage:
  """A stage from its folder; `options` are those of `unet.from_config`."""
  noising = folder / 'image_noising_scheduler'
  scheduler = _load_scheduler(folder / 'scheduler')
  lowres_schedule = None
  if noising.exists():
    lowres_schedule = _load_scheduler(noising).schedule
  unet = unet_lib.from_config(
    files.read_json(folder / 'unet/config.json'), **options
  )
  if scheduler.variance_type == 'learned_range' and unet.out_channels != 6:
    raise errors.UserError(
      f'{name} ({folder}): a variance_type of learned_range needs a U-Net of 6 '
      f'out_channels, and it has {unet.out_channels}; make it fixed_small.'
    )
  return cascade.Stage(name, unet, scheduler, lowres_schedule)


def _load_scheduler(folder: pathlib.Path) -> scheduler_lib.Scheduler:
  path = folder / 'scheduler_config.json'
  return scheduler_lib.from_config(files.read_json(path))


def _check_fit(model: cascade.Cascade) -> None:
  """Raises UserError if the parts do not make a cascade."""
  below = 0
  for n, (name, stage) in enumerate(model.stages.items()):
    folder, unet = model.folders[name], stage.unet
    if unet.encoder_hid_dim != model.encoder.d_model:
      raise errors.UserError(
        f'{name} ({folder}) reads text of {unet.encoder_hid_dim} channels, but '
        f'the text encoder ({model.folders["text_encoder"]}) gives '
        f'{model.encoder.d_model}; take the encoder that it was trained with.'
      )
    wide = 6 if stage.is_super_resolution else 3
    if unet.in_channels != wide:
      raise errors.UserError(
        f'{name} ({folder}) takes {unet.in_channels} channels, not {wide}; a '
        'super-resolution stage has 6, and an image_noising_scheduler/ beside '
        'its unet/; the base has neither.'
      )
    if n and stage.resolution <= below:
      raise errors.UserError(
        f'{name} ({folder}) draws {stage.resolution} pixels, the stage below '
        f'{below}; stages are named from the lowest.'
      )
    below = stage.resolution


def abstract_params(model: cascade.Cascade, name: str) -> dict:
  """Shapes of the parameters of 'text_encoder' or of a stage."""
  # They do not depend on the computation, so that one answer serves for all.
  if name == 'text_encoder':
    return _encoder_shapes(model.encoder.clone(dtype=jnp.float32))
  unet = model.stages[name].unet
  return _unet_shapes(unet.clone(dtype=jnp.float32, remat='none'))


@functools.cache
def _encoder_shapes(encoder) -> dict:
  init = functools.partial(cascade.init_encoder, encoder)
  return jax.eval_shape(init, jax.random.key(0))


@functools.cache
def _unet_shapes(unet) -> dict:
  """Takes a second or two for the largest."""
  stage = cascade.Stage('', unet, None, None)
  init = functools.partial(cascade.init_stage, stage)
  return jax.eval_shape(init, jax.random.key(0))


def load_params(
  model: cascade.Cascade,
  name: str,
  mesh: jax.sharding.Mesh | None = None,
  *,
  tuned: pathlib.Path | None = None,
  dtype=jnp.float32,
) -> dict:
  """Parameters of 'text_encoder' or of a stage.

  Args:
    model: from `load`.
    name: which network.
    mesh: its devices get their parts, read straight from the files; None
      gives numpy arrays.
    tuned: a `unet` folder with other weights of the stage, written by a run.
    dtype: of the parameters.
  """
  shapes = abstract_params(model, name)
  return diffusers.read_params(
    tuned or weights_folder(model, name),
    shapes,
    shardings=mesh and sharding.shard_tree(shapes, mesh),
    dtype=np.dtype(dtype),
    wanted=files.PLAIN if tuned else model.wanted,
  )


def weights_folder(model: cascade.Cascade, name: str) -> pathlib.Path:
  sub = name if name == 'text_encoder' else 'unet'
  return model.folders[name] / sub


def sources(model: cascade.Cascade, name: str) -> dict[str, pathlib.Path]:
  """Every file that says what a network is: weights, sizes, schedules, words.

  Results of a step depend on all of them, so their fingerprints go together.
  """
  folder = model.folders[name]
  is_text = name == 'text_encoder'
  parts = (name,) if is_text else STAGE_FOLDERS
  found = [path for part in parts for path in (folder / part).glob('*.json')]
  found += files.find(weights_folder(model, name), model.wanted)
  if is_text:
    found.append(folder / 'tokenizer/spiece.model')
  return {str(path.relative_to(folder)): path for path in found}
