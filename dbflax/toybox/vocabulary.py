"""Trains the toybox's SentencePiece model from its captions.

    python -m dbflax.toybox.vocabulary --out=dbflax/assets/toybox/tokenizer

Unigram with T5's conventions: pad 0, eos 1, unk 2, a space before the first
word, no byte fallback. Case is folded, so "A Dog" is "a dog". Learned pieces
and whole words come first; the rare words follow as one piece each, "▁xyz", in
`RARE_ID_RANGE`, with the lowest scores of all whole words.
"""

import io
import json
import pathlib
import string

import sentencepiece
from absl import app, flags
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from dbflax import rng as rng_lib
from dbflax.toybox import captions
from dbflax.toybox import scene as scene_lib

WORDS = 700  # pieces before the rare words, with pad, eos and unk
RARE_ID_RANGE = (WORDS, WORDS + len(captions.RARE_WORDS))  # half open
_TRAINED = 340  # as many as the corpus supports
_WORD_SCORE, _RARE_SCORE, _UNUSED_SCORE = -6.0, -7.0, -99.0

# Words that prompts may use besides those of the captions; each line is
# repeated, so that its words become pieces.
_PROMPT_WORDS = """
a photo of a subject in the style of a famous painting by van gogh
a marble statue of a subject in the style of michelangelo vincent van gogh
and a watercolor drawing or pixel art with a joyful expression
front top back side view seen from above below left and right behind
a subject with a city mountain forest lake river bridge castle tower temple
the eiffel tower the great wall of china the moon and mars in space
on top of a pink purple wooden floor with a blue house in the background
a red green yellow orange white black grey gray golden silver brown subject
wearing a hat scarf sunglasses crown glasses shirt coat bow tie santa outfit
depressed sleepy sad joyous barking crying frowning screaming angry excited
happy neutral smiling sleeping running jumping swimming sitting standing
a cross of a lion panda koala tiger hippo bear rabbit fox owl pig horse cow
a dog cat duck teapot backpack car boat clock chair robot bird fish house tree
dogs cats ducks teapots backpacks cars bears vases boots clocks toy bottle can
vase boot shoe sneaker bowl candle sunflower flower sunglasses ribbon tied
on in at under over by with and its is that looks like made of covered
top cobblestone street rug fabric sidewalk crowded dirt road mirror wheat milk
ocean floating leaves background tree autumn flowers decorated around chef
firefighter police wizard rainbow monocle santa
beach snow jungle street kitchen desert meadow night forest garden farm
bedroom bathroom office library castle island space underwater rain autumn
living room sofa lamp planet earth surface water
winter summer spring sunset sunrise city field mountains sea sky grass sand
cartoon comic oil painting sketch pencil drawing poster render figurine
transparent glass metal stone wood gold paper porcelain wool shiny wet cube
shaped
small big little large old new young cute beautiful colorful striped spotted
one two three four five six seven eight nine ten my your his her their this
close up of high quality detailed image picture portrait photograph
""".strip().split('\n')


def _corpus(count: int) -> list[str]:
  """Captions without rare words, prompt words and every character."""
  lines = [*_PROMPT_WORDS, *captions.phrases()] * 40
  lines += [f'{c} {c}{c} {c}' for c in string.ascii_lowercase] * 4
  lines += [f'{c} {c}{c} {c}' for c in string.digits + string.punctuation]
  draw = rng_lib.numpy(0, 'vocabulary')
  pick = lambda words: words[draw.integers(len(words))]
  for _ in range(count):
    words = [pick(scene_lib.COLOURS), pick(scene_lib.CLASSES)]
    place = captions.place(pick(scene_lib.PLACES), draw)
    lines.append(f'a photo of {captions.article(" ".join(words))} {place}')
  return lines


def _trained() -> model_pb2.ModelProto:
  """A unigram model of the corpus: frequent words, word parts, characters."""
  out = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(_corpus(2000)),
    model_writer=out,
    model_type='unigram',
    vocab_size=_TRAINED,
    character_coverage=1.0,
    pad_id=0,
    eos_id=1,
    unk_id=2,
    bos_id=-1,
    pad_piece='<pad>',
    eos_piece='</s>',
    unk_piece='<unk>',
    byte_fallback=False,
    add_dummy_prefix=True,
    normalization_rule_name='nmt_nfkc_cf',
    num_threads=1,
    minloglevel=2,
  )
  return model_pb2.ModelProto.FromString(out.getvalue())


def _whole_words() -> list[str]:
  """Every word of the corpus once, without its doubled letters."""
  words = ' '.join(_corpus(2000)).split()
  return [w for w in dict.fromkeys(words) if w.isalpha() and len(set(w)) > 1]


def train() -> bytes:
  """The serialized model: learned pieces, whole words, rare words.

  Raises:
    ValueError: there are more words than `WORDS` leaves room for.
  """
  model = _trained()
  rare = ['▁' + word for word in captions.RARE_WORDS]
  kept = [piece for piece in model.pieces if piece.piece not in rare]
  del model.pieces[:]
  model.pieces.extend(kept)
  pieces = {piece.piece for piece in kept}
  missing = [w for w in _whole_words() if '▁' + w not in pieces]
  for word in missing:
    model.pieces.add(piece='▁' + word, score=_WORD_SCORE)
  for index in range(len(model.pieces), WORDS):
    # Unreachable: nothing normalizes to a private-use character.
    model.pieces.add(piece=f'\ue000{index}', score=_UNUSED_SCORE)
  if len(model.pieces) != WORDS:
    raise ValueError(f'{len(model.pieces)} pieces do not fit {WORDS=}')
  for piece in rare:
    model.pieces.add(piece=piece, score=_RARE_SCORE)
  model.trainer_spec.vocab_size = len(model.pieces)
  return model.SerializeToString()


def write(folder: pathlib.Path) -> None:
  """Writes spiece.model and tokenizer_config.json as transformers reads it."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'spiece.model').write_bytes(train())
  config = {
    'tokenizer_class': 'T5Tokenizer',
    'pad_token': '<pad>',
    'eos_token': '</s>',
    'unk_token': '<unk>',
    'extra_ids': 0,
    'additional_special_tokens': [],
    'model_max_length': 77,
    'legacy': False,
  }
  text = json.dumps(config, indent=2) + '\n'
  (folder / 'tokenizer_config.json').write_text(text)


def main(argv):
  del argv
  write(pathlib.Path(_OUT.value))


if __name__ == '__main__':
  _OUT = flags.DEFINE_string('out', None, 'Folder to write.', required=True)
  app.run(main)
