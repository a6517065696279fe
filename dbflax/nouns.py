"""subject.class_noun='auto': an image classifier proposes the noun.

The paper suggests it (section 3.2). Toybox's subjects are classified by its
oracle, photos by EfficientNet-Lite0 into the 1000 classes of ImageNet, where
breeds of dogs and cats count for 'dog' and 'cat': a breed is one vote of many,
and the cascade knows the class better than the breed. A class that ImageNet
lacks is proposed wrongly or, more often, not at all.
"""

import copy
import logging
from collections.abc import Sequence

import numpy as np
import scipy.special
from jaxtyping import Float

from dbflax import errors
from dbflax.data import images, subjects
from dbflax.evaluate import efficientnet, features
from dbflax.evaluate import toybox as toybox_lib
from dbflax.toybox import scene

_log = logging.getLogger(__name__)

AUTO = 'auto'
# Below it a proposal is refused. Of six subjects of the DreamBooth dataset,
# five are named rightly with .23 to .77, and a toy car, which ImageNet lacks,
# has .08 for a go-kart.
LEAST = 0.15
# Ranges of ImageNet's classes that are breeds of one.
_BREEDS = {'dog': range(151, 269), 'cat': range(281, 286)}
_SIDE = 1024  # of photos, in pixels

# [(noun, probability), …], the most probable first.
Proposals = Sequence[tuple[str, float]]


def resolved(config):
  """`config` with the noun that a classifier proposes, if it says 'auto'.

  Raises:
    UserError: no proposal is probable enough, or the classifier is missing.
  """
  if config.subject.class_noun != AUTO:
    return config
  where = config.subject.photos
  loaded = subjects.load(where, (_SIDE,), config.subject.crop)[_SIDE]
  photos = [images.to_uint8(photo) for photo in loaded]
  is_toybox = where.startswith('toybox:')
  found = of_toybox(photos) if is_toybox else of_imagenet(photos)
  name = toybox_lib.NAME if is_toybox else efficientnet.NAME
  noun = choose(found, where, name)
  told = ', '.join(f'{noun} ({p:.2f})' for noun, p in found[:3])
  _log.info('class noun: %s; %s sees %s', noun, name, told)
  config = copy.deepcopy(config)
  config.subject.class_noun = noun
  return config


def choose(found: Proposals, photos: str, network: str) -> str:
  """The first proposal.

  Raises:
    UserError: it is not probable enough.
  """
  noun, probability = found[0]
  if probability < LEAST:
    seen = ', '.join(f'{noun} ({p:.2f})' for noun, p in found[:3])
    raise errors.UserError(
      f"subject.class_noun='auto': {network} cannot tell what '{photos}' "
      f'shows, and sees at best {seen}; give the noun, as '
      '--config.subject.class_noun=NOUN'
    )
  return noun


def of_toybox(photos: features.Pictures) -> Proposals:
  """What toybox's oracle sees."""
  logits = toybox_lib.network().look(photos).logits['class_id']
  return _ranked(zip(scene.CLASSES, _mean(logits), strict=True))


def of_imagenet(photos: features.Pictures) -> Proposals:
  """What EfficientNet-Lite0 sees."""
  # A list of ImageNet's names is all that is wanted of it.
  from tensorflow_datasets.datasets.siscore import labels

  names = [label.split(',')[0] for label in labels.IMAGENET_LABELS_LIST]
  probability = _mean(efficientnet.classify(photos))
  found = dict.fromkeys(_BREEDS, 0.0)
  for index, (name, p) in enumerate(zip(names, probability, strict=True)):
    noun = next((n for n, ids in _BREEDS.items() if index in ids), name)
    # Two classes are called 'crane'.
    found[noun] = found.get(noun, 0.0) + p
  return _ranked(found.items())


def _mean(logits: Float[np.ndarray, 'N C']) -> Float[np.ndarray, ' C']:
  """The probability of each class, averaged over photos."""
  return scipy.special.softmax(np.asarray(logits, np.float64), -1).mean(0)


def _ranked(found) -> Proposals:
  return sorted(found, key=lambda item: -item[1])
