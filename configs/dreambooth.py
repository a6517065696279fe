"""A subject of the DreamBooth dataset, by the protocol of the paper.

  python -m dbflax.data.dreambooth FOLDER
  python -m dbflax.main --config=configs/dreambooth.py:dog6:if_m
  python -m dbflax.main --config=configs/dreambooth.py:dog6:if_m --mode=evaluate

The first one reads a copy of google/dreambooth, once; FOLDER/dog6 will also do,
as `--config.subject.photos`. The variant is one of the 30 subjects, 'dog' if
none is named: its photos, its class noun, the 25 prompts for its kind, four
images each, and the class, for PRES. A second variant is a size of DeepFloyd IF
(configs/deepfloyd.py). Without one it runs on the embedded toybox, which has
never seen a photo: that shows that everything works, and no more.

Pool subjects with `--config.evaluate.pool`. The networks that score are the
paper's, of the Hugging Face hub; `--config.evaluate.networks` takes others.
"""

from configs import deepfloyd, default, variants
from dbflax.data import benchmark


def _subject(name: str) -> dict:
  """What a run changes for a subject."""
  subject = benchmark.SUBJECTS[name]
  return {
    'subject.photos': f'tfds:dreambooth/{name}:train',
    'subject.class_noun': subject.class_noun,
    'sample.prompts': (*subject.prompts, 'a {class_noun}'),
  }


VARIANTS = {name: _subject(name) for name in benchmark.SUBJECTS}


def get_config(variant: str = 'dog'):
  config = default.get_config()
  config.name = 'dreambooth'
  config.sample.images_per_prompt = 4
  config.sample.batch = 4
  config.evaluate.networks = (
    'facebook/dino-vits16',
    'openai/clip-vit-base-patch32',
  )
  name, _, size = variant.partition(':')
  config = variants.apply(config, name, VARIANTS)
  return variants.apply(config, size, deepfloyd.VARIANTS)
