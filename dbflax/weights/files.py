"""Which files of a network's folder hold its weights.

Hugging Face's libraries write them in several ways:

    model.safetensors                    one file
    model.safetensors.index.json         an index of shards beside it
    model.fp16.safetensors               a variant, of another type
    model.safetensors.index.fp16.json    an index of a variant's shards
    pytorch_model.bin                    a pickle: refused unless asked for

U-Nets say `diffusion_pytorch_model` for both names. The folder's own name
tells which network it holds.
"""

import dataclasses
import json
import pathlib

from dbflax import disk, errors

# Folder → what its weights are called, as safetensors and as a pickle. The
# oracle's (toybox.oracle) follow suit.
STEMS = {
  'unet': ('diffusion_pytorch_model', 'diffusion_pytorch_model'),
  'text_encoder': ('model', 'pytorch_model'),
  'oracle': ('model', 'pytorch_model'),
}


@dataclasses.dataclass(frozen=True)
class Format:
  """Which of several kinds of weights is wanted.

  Attributes:
    variant: such as 'fp16'; '' is the plain one.
    allow_pickle: read `.bin` files where there is no safetensors file.
    weights: False fetches none; shapes are in config.json.
  """

  variant: str = ''
  allow_pickle: bool = False
  weights: bool = True


PLAIN = Format()


def find(
  folder: pathlib.Path,
  wanted: Format = PLAIN,
  stems: tuple[str, str] | None = None,
) -> tuple[pathlib.Path, ...]:
  """The weights of a folder: one file, or all shards.

  Args:
    folder: where they lie; named as in `STEMS`, unless `stems` says.
    wanted: which kind.
    stems: what they are called, as safetensors and as a pickle.

  Raises:
    UserError: there are none of the kind wanted, or the index is damaged.
  """
  folder = pathlib.Path(folder)
  safe, pickled = stems or STEMS[folder.name]
  found = _one_or_shards(folder, safe, 'safetensors', wanted.variant)
  if found:
    return found
  found = _one_or_shards(folder, pickled, 'bin', wanted.variant)
  if found and not wanted.allow_pickle:
    raise errors.UserError(
      f'{found[0]} is a pickle, and a pickle can run code; take a safetensors '
      'file, or trust this one with --config.cascade.allow_pickle=True.'
    )
  return found or _refuse(folder, wanted)


def _one_or_shards(folder, stem: str, ending: str, variant: str):
  """The files of one kind; () if there are none."""
  dotted = f'.{variant}' if variant else ''
  one = folder / f'{stem}{dotted}.{ending}'
  if one.exists():
    return (one,)
  index = folder / f'{stem}.{ending}.index{dotted}.json'
  return _shards(index) if index.exists() else ()


def _shards(index: pathlib.Path) -> tuple[pathlib.Path, ...]:
  weight_map = read_json(index).get('weight_map')
  if not isinstance(weight_map, dict):
    raise errors.UserError(
      f'{index} has no weight_map of names and files; restore it.'
    )
  names = sorted(set(weight_map.values()), key=str)
  for name in names:
    # An index may not reach out of its folder.
    if not isinstance(name, str) or pathlib.PurePath(name).name != name:
      raise errors.UserError(
        f'{index} names {name!r}, which is not a file beside it; fetch the '
        'weights again from a source that you trust.'
      )
  missing = [name for name in names if not (index.parent / name).exists()]
  if missing or not names:
    raise errors.UserError(
      f'{index} lists {len(names)} files, of which {missing} are missing; '
      'fetch them.'
    )
  return tuple(index.parent / name for name in names)


def _refuse(folder: pathlib.Path, wanted: Format):
  kinds = ('*.safetensors', '*.bin', '*.index*.json')
  present = sorted(path.name for kind in kinds for path in folder.glob(kind))
  what = f' of variant {wanted.variant!r}' if wanted.variant else ''
  raise errors.UserError(
    f'{folder} has no weights{what}, only {present or "other files"}; '
    'see --config.cascade.variant.'
  )


def read_json(path: pathlib.Path) -> dict:
  """A JSON object of a cascade directory.

  Raises:
    UserError: the file is missing, or not a JSON object.
  """
  try:
    content = json.loads(disk.read(path))
  except FileNotFoundError as e:
    raise errors.UserError(
      f'{path} is missing: not a cascade directory (see docs/cascades.md).'
    ) from e
  except (ValueError, RecursionError) as e:
    raise errors.UserError(f'{path} is not JSON ({e}); restore it.') from e
  if not isinstance(content, dict):
    raise errors.UserError(f'{path} is not a JSON object; restore it.')
  return content
