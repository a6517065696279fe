"""Text embeddings: the only place where T5 runs.

Every prompt is cleaned here (`prompts.clean_caption`), so training and sampling
give the U-Net the same states for the same words. Padded positions keep the
states that the encoder computes for them, as IF's U-Nets were trained.
"""

import functools
import hashlib
import io
import json
import logging
import os
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float

from dbflax import disk, hosts
from dbflax.text import prompts as prompts_lib
from dbflax.text import t5
from dbflax.text import tokenizer as tokenizer_lib

_log = logging.getLogger(__name__)

States = Float[np.ndarray, 'N L D']
BATCH = 8  # prompts encoded at once
_CHECKSUM = hashlib.sha256().digest_size


@functools.cache
def compiled(encoder: t5.T5Encoder, sharding):
  """({'params': …}, ids [B, L], mask [B, L][, vectors]) → states, jitted."""

  def encode(*args):
    return encoder.apply(*args)

  return jax.jit(encode, out_shardings=sharding)


def _replicated(params):
  """A sharding that gives each host all states, for sharded parameters."""
  sharding = getattr(jax.tree.leaves(params)[0], 'sharding', None)
  if isinstance(sharding, jax.sharding.NamedSharding):
    return jax.sharding.NamedSharding(
      sharding.mesh, jax.sharding.PartitionSpec()
    )
  return None


def embed(
  encoder: t5.T5Encoder,
  params,
  tokenizer: tokenizer_lib.Tokenizer,
  prompts: Sequence[str],
  *,
  max_length: int = 77,
  batch: int = BATCH,
  vectors: Float[Array, 'V D'] | None = None,
) -> States:
  """The encoder's states of `prompts`, float32 [N, max_length, d_model].

  Equal prompts are encoded once, `batch` at a time. `vectors` are what the ids
  behind the encoder's vocabulary stand for.

  Raises:
    ValueError: a prompt has such an id, and there is no vector for it.
  """
  cleaned = [prompts_lib.clean_caption(prompt) for prompt in prompts]
  unique = list(dict.fromkeys(cleaned))
  ids, mask = tokenizer.ids(unique, max_length)
  learned = () if vectors is None else (vectors,)
  _check_ids(ids, encoder.vocab_size + sum(map(len, learned)))
  _warn_of_cuts(tokenizer, unique, max_length)
  apply = compiled(encoder, _replicated(params))
  states = np.empty((len(unique), max_length, encoder.d_model), np.float32)
  for start in range(0, len(unique), batch):
    # The last batch repeats its last prompt: one shape, one compilation.
    rows = np.minimum(np.arange(start, start + batch), len(unique) - 1)
    out = np.asarray(apply({'params': params}, ids[rows], mask[rows], *learned))
    kept = states[start : start + batch]
    kept[:] = out[: len(kept)]
  row_of = {prompt: row for row, prompt in enumerate(unique)}
  return states[[row_of[prompt] for prompt in cleaned]]


def _check_ids(ids, end: int) -> None:
  if ids.size and ids.max() >= end:
    raise ValueError(f'id {ids.max()} has no embedding: there are {end}')


def _warn_of_cuts(tokenizer, texts: Sequence[str], max_length: int) -> None:
  for text in texts:
    length = len(tokenizer.encode(text)) + 1
    if length > max_length:
      _log.warning(
        'prompt cut from %d to %d tokens: %r', length, max_length, text
      )


def cached(
  folder: str | os.PathLike,
  weights_fingerprint: str,
  encoder_fn: Callable[[list[str]], States],
  tokenizer: tokenizer_lib.Tokenizer,
  prompts: Sequence[str],
  *,
  max_length: int = 77,
) -> States:
  """The states of `prompts`, of which only those new to `folder` are encoded.

  One file per prompt, named by the hash of everything that its states depend
  on: vocabulary, weights, cleaned prompt, length. With all prompts on disk
  `encoder_fn` is not called, so it may load T5 when it is.

  Args:
    weights_fingerprint: names the encoder's weights, and learned vectors if it
      has such.
    encoder_fn: prompts to states [n, max_length, D], for example `embed`.

  Raises:
    ValueError: `encoder_fn` returned another number or length of states.
  """
  paths = {
    prompt: pathlib.Path(folder)
    / _file_name(weights_fingerprint, tokenizer, prompt, max_length)
    for prompt in prompts
  }
  read = lambda: {p: _read(path, max_length) for p, path in paths.items()}
  is_missing = lambda: [p for p, found in read().items() if found is None]
  # All hosts encode together, or none does.
  missing = hosts.from_first(is_missing)
  states = read()
  if missing:
    _log.info('text: encoding %d prompts', len(missing))
    new = np.asarray(encoder_fn(missing), np.float32)
    if new.shape[:2] != (len(missing), max_length):
      raise ValueError(
        f'encoder_fn returned {new.shape} for {len(missing)} prompts of '
        f'{max_length} tokens'
      )
    for prompt, row in zip(missing, new, strict=True):
      states[prompt] = row
      if hosts.is_first():
        disk.atomic_write(paths[prompt], _npy(row))
  return np.stack([states[prompt] for prompt in prompts])


def _file_name(weights_fingerprint, tokenizer, prompt, max_length) -> str:
  key = json.dumps(
    [
      tokenizer.fingerprint,
      weights_fingerprint,
      prompts_lib.clean_caption(prompt),
      max_length,
    ]
  )
  return hashlib.sha256(key.encode()).hexdigest() + '.npy'


def _npy(array: np.ndarray) -> bytes:
  """An .npy file, and its sha256 behind it, which `np.load` does not mind."""
  buffer = io.BytesIO()
  np.save(buffer, array)
  content = buffer.getvalue()
  return content + hashlib.sha256(content).digest()


def _read(path: pathlib.Path, max_length: int) -> np.ndarray | None:
  """The states of one prompt, or None if they must be encoded."""
  try:
    content = disk.read(path)
  except FileNotFoundError:
    return None
  content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
  if hashlib.sha256(content).digest() != checksum:
    _log.warning('encoding again, %s is damaged', path)
    return None
  states = np.load(io.BytesIO(content))
  return states if states.shape[:1] == (max_length,) else None
