"""A folder of photos as a TFDS data set.

  python -m dbflax.data.photo_folder PHOTOS DATA_DIR

reads the images of PHOTOS once (any kind that dbflax reads) and prints the
name under which dbflax, or anything else that speaks TFDS, finds them:

  python -m dbflax.main --config=configs/dog.py --config.subject.photos=…

A data set that DATA_DIR has already, of these photos or others, is replaced.
Captions beside the photos (`data.captions`) become a feature of that name.
Array records and PNGs need no TensorFlow, neither to write nor to read.
"""

import io
import pathlib
import sys

import tensorflow_datasets as tfds
from PIL import Image

from dbflax import errors
from dbflax.data import captions, images


class PhotoFolder(tfds.core.GeneratorBasedBuilder):
  """Photos of one subject: `image` (PNG), `name` (of the file), `caption`."""

  VERSION = tfds.core.Version('1.1.0')

  def __init__(self, *, photos='', **kwargs):
    """`photos` is the folder to read; only preparing the data needs it."""
    self._photos = photos
    super().__init__(file_format='array_record', **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Photos of one subject.',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(
            shape=(None, None, 3), encoding_format='png'
          ),
          'name': tfds.features.Text(),
          # '' without one.
          'caption': tfds.features.Text(),
        }
      ),
      # In the order of the files.
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # Nothing to download.
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    folder = pathlib.Path(self._photos).expanduser()
    photos = images.list_photos(folder)
    texts = captions.of_folder(folder, photos)
    for number, (path, text) in enumerate(zip(photos, texts, strict=True)):
      png = io.BytesIO()
      Image.fromarray(images.load(path)).save(png, format='PNG')
      # TFDS encodes arrays with TensorFlow, but takes files as they are.
      png.seek(0)
      yield number, {'image': png, 'name': path.name, 'caption': text}


def prepare(photos, data_dir) -> str:
  """Writes the data set and returns its name for config.subject.photos.

  One that is there already is replaced.
  """
  # What is wrong with the folder must leave nothing behind.
  captions.of_folder(
    pathlib.Path(photos).expanduser(), images.list_photos(photos)
  )
  builder = PhotoFolder(photos=photos, data_dir=data_dir)
  # Without the mode TFDS keeps what is there, whichever folder it was made of.
  anew = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
  config = tfds.download.DownloadConfig(download_mode=anew)
  builder.download_and_prepare(download_config=config)
  return f'tfds:{builder.data_path}:train'


if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit('usage: python -m dbflax.data.photo_folder PHOTOS DATA_DIR')
  try:
    print(prepare(*sys.argv[1:]))
  except errors.UserError as error:
    sys.exit(f'photo_folder: {error}')
