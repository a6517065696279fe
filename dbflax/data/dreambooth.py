"""The DreamBooth dataset, made of a local copy, as a TFDS data set.

  git clone https://github.com/google/dreambooth
  python -m dbflax.data.dreambooth dreambooth/dataset [DATA_DIR]

prepares one builder config for each of the 30 subjects that the copy has, and
prints the names under which dbflax, or anything else that speaks TFDS, finds
them. DATA_DIR is by default that of TFDS (~/tensorflow_datasets); from there

  python -m dbflax.main --config=configs/dog.py \\
    --config.subject.photos=tfds:dreambooth/dog6:train

Files are kept as they are, in their order. Nothing is downloaded or unpacked. A
data set that is there already is replaced.
"""

import pathlib
import sys
from collections.abc import Sequence

import tensorflow_datasets as tfds

from dbflax import errors
from dbflax.data import benchmark, images


class SubjectConfig(tfds.core.BuilderConfig):
  """One of the subjects."""

  def __init__(self, name: str, **kwargs):
    super().__init__(name=name, description=f'Photos of {name}.', **kwargs)
    self.subject = benchmark.SUBJECTS[name]


class Dreambooth(tfds.core.GeneratorBasedBuilder):
  """4 to 6 photos of one of 30 subjects; `info.metadata` has the class noun."""

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = [SubjectConfig(name) for name in benchmark.SUBJECTS]
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'manual_dir is the folder `dataset` of '
    'https://github.com/google/dreambooth: a folder of photos for each subject.'
  )

  def __init__(self, **kwargs):
    super().__init__(file_format='array_record', **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='Photos of the 30 subjects of DreamBooth.',
      homepage='https://github.com/google/dreambooth',
      license='CC BY 4.0; some photos under the Unsplash licence',
      citation='Ruiz et al., DreamBooth, CVPR 2023, arXiv:2208.12242',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(shape=(None, None, 3)),
          'name': tfds.features.Text(),
        }
      ),
      metadata=tfds.core.MetadataDict(self.builder_config.subject._asdict()),
      # The photos of a subject have an order.
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    folder = dl_manager.manual_dir / self.builder_config.name
    return {'train': self._generate_examples(folder)}

  def _generate_examples(self, folder):
    for number, path in enumerate(images.list_photos(folder)):
      images.load(path)  # What is none must not become part of a data set.
      yield number, {'image': path, 'name': path.name}


def present(source: pathlib.Path) -> list[str]:
  """The subjects that a local copy has.

  Raises:
    UserError: none.
  """
  if not source.is_dir():
    raise errors.UserError(
      f"'{source}' is no folder; give the folder `dataset` of a copy of "
      'google/dreambooth, unpacked'
    )
  found = [name for name in benchmark.SUBJECTS if (source / name).is_dir()]
  if not found:
    raise errors.UserError(
      f"'{source}' has none of the {len(benchmark.SUBJECTS)} subjects, such as "
      f"'{source}/backpack_dog'; give the folder that holds theirs"
    )
  return found


def prepare(source, data_dir=None) -> dict[str, str]:
  """Writes the data sets of all subjects that are there, in place of earlier.

  Args:
    source: the local copy, with a folder for each subject.
    data_dir: root of TFDS data sets; None is TFDS' own.

  Returns:
    {subject: its name for config.subject.photos}.

  Raises:
    UserError: no subjects, or a photo that is none.
  """
  source = pathlib.Path(source).expanduser()
  config = tfds.download.DownloadConfig(
    manual_dir=source,
    # Not what is there already, perhaps of another copy.
    download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS,
  )
  names = {}
  for name in present(source):
    builder = Dreambooth(config=name, data_dir=data_dir)
    builder.download_and_prepare(download_config=config)
    # Found by name where TFDS looks for it, by path elsewhere.
    where = builder.data_path if data_dir else f'dreambooth/{name}'
    names[name] = f'tfds:{where}:train'
  return names


def main(arguments: Sequence[str]) -> None:
  if len(arguments) not in (1, 2):
    sys.exit('usage: python -m dbflax.data.dreambooth FOLDER [DATA_DIR]')
  try:
    names = prepare(*arguments)
  except errors.UserError as error:
    sys.exit(f'dreambooth: {error}')
  for name, where in names.items():
    print(f'{where}  ({benchmark.SUBJECTS[name].class_noun})')
  if missing := [name for name in benchmark.SUBJECTS if name not in names]:
    print(f'not in {arguments[0]}: {", ".join(missing)}')


if __name__ == '__main__':
  main(sys.argv[1:])
