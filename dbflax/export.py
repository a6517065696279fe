"""Write a fine-tuned cascade as diffusers reads it.

    model_index.json            an IFPipeline: stage_1 and the text encoder
    README.md                   the words and settings to draw with
    tokenizer/  text_encoder/   as they were
    unet/  scheduler/           stage_1
    stage_2/, stage_3/          an IFSuperResolutionPipeline each, which takes
                                its prompt's embedding from the first
    learned_embeds.safetensors  of Textual Inversion, whose cascade is as it was

`IFPipeline.from_pretrained(folder)` runs what was trained, and
`--config.cascade.path=folder` reads it back. Configurations are copied byte by
byte, and so are weights, unless another type is asked for.
"""

import pathlib
import shutil
from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from dbflax import cascade, disk, pretrained
from dbflax.weights import diffusers, files, vectors

# Components that a pipeline may have and ours has not.
_NONE = [None, None]
_ABSENT = ('safety_checker', 'feature_extractor', 'watermarker')


def write(
  folder: pathlib.Path,
  model: cascade.Cascade,
  tuned: Mapping[str, pathlib.Path | None],
  *,
  dtype: str = 'float32',
  text_encoder: bool = True,
  learned: pathlib.Path | None = None,
) -> None:
  """Writes a cascade.

  Args:
    folder: where to.
    model: the pre-trained cascade.
    tuned: stage → its `unet` folder in a run; None is the pre-trained one.
    dtype: of the tuned weights in the file, such as 'float16'.
    text_encoder: False leaves the text encoder and the tokenizer out, for
      users who have them; T5-XXL takes more room than all else.
    learned: a folder with learned vectors, which are put in.
  """
  if learned:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(learned / vectors.FILE, folder / vectors.FILE)
  if text_encoder:
    source = model.folders['text_encoder']
    _copy_small(source / 'tokenizer', folder / 'tokenizer')
    _copy_small(source / 'text_encoder', folder / 'text_encoder')
    _copy_weights(model, 'text_encoder', folder / 'text_encoder')
  for name in model.stages:
    at = folder if name == 'stage_1' else folder / name
    for part in pretrained.STAGE_FOLDERS:
      _copy_small(model.folders[name] / part, at / part)
    if not tuned[name]:
      _copy_weights(model, name, at / 'unet')
    elif dtype == 'float32':
      _copy(files.find(tuned[name]), at / 'unet')
    else:
      params = pretrained.load_params(model, name, tuned=tuned[name])
      diffusers.write_params(at / 'unet', params, jnp.dtype(dtype))
    has_text = text_encoder and name == 'stage_1'
    disk.write_json(at / 'model_index.json', _index(at, has_text))


def card(
  subject: str,
  photos: str,
  prompt: str,
  sampling: Mapping[str, cascade.Sampling],
  *,
  learned: bool = False,
  others: Sequence[str] = (),
) -> str:
  """README.md of an export: how to draw the subject with diffusers.

  Args:
    subject: what names it, such as 'zk dog', or the tokens of learned vectors.
    photos: whose photos it was trained on.
    prompt: an example.
    sampling: stage → how the run samples it, from the lowest.
    learned: the folder has vectors, and the cascade is as it was.
    others: what names further subjects.
  """
  about = _LEARNED if learned else _TUNED
  names = ' and '.join(f'“{name}”' for name in (subject, *others))
  means = 'mean these subjects' if others else 'means that subject'
  return _CARD.format(
    subject=', '.join((subject, *others)),
    about=about.format(photos=photos, names=names, means=means),
    imports='import safetensors.torch\n' if learned else '',
    words=_ADD_WORDS if learned else '',
    prompt=prompt,
    stages='\n'.join(_call(*item) for item in sampling.items()),
  )


_TUNED = """A cascade that dbflax fine-tuned on {photos}: to it, {names}
{means}."""
_LEARNED = """A cascade as it was, and vectors that dbflax learned from {photos}
by Textual Inversion: with them, {names} {means}."""
# IF's pipelines have no `load_textual_inversion`.
_ADD_WORDS = """
file = safetensors.torch.load_file('learned_embeds.safetensors')
[(word, vectors)] = file.items()
words = [word, *(f'{word}_{n}' for n in range(1, len(vectors)))]
tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
tokenizer.add_tokens(words)
encoder.resize_token_embeddings(max(len(tokenizer), encoder.config.vocab_size))
ids = tokenizer.convert_tokens_to_ids(words)
encoder.get_input_embeddings().weight.data[ids] = vectors
"""
_CARD = """# {subject}

{about} In this folder, with diffusers (`pip install torch
diffusers transformers sentencepiece protobuf accelerate`):

```python
{imports}import torch
from diffusers import IFPipeline, IFSuperResolutionPipeline

torch.manual_seed(0)
pipeline = IFPipeline.from_pretrained('.')
pipeline.text_encoder.float()
{words}text, empty = pipeline.encode_prompt({prompt!r})
given = {{'prompt_embeds': text, 'negative_prompt_embeds': empty}}
{stages}
image[0].save('image.png')
```

Another seed draws another picture. A noise level is a whole number of steps of
the schedule to diffusers, so it is rounded.
To go on with dbflax: `--config.cascade.path=` this folder.
"""


def _call(name: str, options: cascade.Sampling) -> str:
  """The lines that draw one stage."""
  settings = (
    f'settings = dict(num_inference_steps={options.steps}, '
    f'guidance_scale={options.guidance_scale}'
  )
  if name == 'stage_1':
    return f'{settings})\nimage = pipeline(**given, **settings).images'
  return (
    f"pipeline = IFSuperResolutionPipeline.from_pretrained('{name}')\n"
    f'{settings}, noise_level={round(1000 * options.noise_level)})\n'
    'image = pipeline(image=image, **given, **settings).images'
  )


def _copy_small(source: pathlib.Path, target: pathlib.Path) -> None:
  """Configurations and vocabularies, if the source has them."""
  if not source.is_dir():
    return
  target.mkdir(parents=True, exist_ok=True)
  for path in source.iterdir():
    is_index = '.index.' in path.name
    if path.suffix in ('.json', '.model') and not is_index:
      shutil.copyfile(path, target / path.name)


def _copy_weights(model: cascade.Cascade, name: str, target) -> None:
  """Pre-trained weights, under the names of the plain kind."""
  found = files.find(pretrained.weights_folder(model, name), model.wanted)
  if found[0].suffix == '.safetensors':
    _copy(found, target)
  else:  # No pickle is handed on.
    params = pretrained.load_params(model, name)
    diffusers.write_params(target, params, jnp.dtype('float32'))


def _copy(found: Sequence[pathlib.Path], target: pathlib.Path) -> None:
  """One file or all shards; their index is made again."""
  stem = files.STEMS[target.name][0]
  target.mkdir(parents=True, exist_ok=True)
  if len(found) == 1:
    shutil.copyfile(found[0], target / f'{stem}.safetensors')
    return
  weight_map, size = {}, 0
  for path in found:
    shutil.copyfile(path, target / path.name)
    size += path.stat().st_size
    weight_map |= dict.fromkeys(diffusers.tensor_names(path), path.name)
  index = {'metadata': {'total_size': size}, 'weight_map': weight_map}
  disk.write_json(target / f'{stem}.safetensors.index.json', index)


def _index(folder: pathlib.Path, has_text: bool) -> dict:
  """model_index.json: which class reads which folder."""
  noising = 'image_noising_scheduler'
  schedulers = [
    part for part in ('scheduler', noising) if (folder / part).is_dir()
  ]
  is_base = noising not in schedulers
  kind = lambda part: files.read_json(
    folder / part / 'scheduler_config.json'
  ).get('_class_name', 'DDPMScheduler')
  return {
    '_class_name': 'IFPipeline' if is_base else 'IFSuperResolutionPipeline',
    'requires_safety_checker': False,
    'tokenizer': ['transformers', 'T5Tokenizer'] if has_text else _NONE,
    'text_encoder': ['transformers', 'T5EncoderModel'] if has_text else _NONE,
    'unet': ['diffusers', 'UNet2DConditionModel'],
    **{part: ['diffusers', kind(part)] for part in schedulers},
    **dict.fromkeys(_ABSENT, _NONE),
  }
