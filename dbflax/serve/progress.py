"""How far a run is, by what it has left in its workdir."""

import pathlib
from typing import Any, NamedTuple

from dbflax import disk, methods, report, validate


class Step(NamedTuple):
  """One of the steps of a run."""

  title: str
  state: str  # 'done', 'working' or 'waiting'
  done: int = 0
  total: int = 0  # 0: not counted

  @property
  def share(self) -> float:
    """In 0 … 1."""
    if self.state != 'working':
      return float(self.state == 'done')
    return min(1.0, self.done / self.total) if self.total else 0.0


class Drawn(NamedTuple):
  """A picture of a prompt, by the highest stage."""

  prompt: str
  file: pathlib.Path


def has_begun(root: pathlib.Path, since: float) -> bool:
  """Whether a run that was started then has written what it is to do."""
  path = root / 'config.json'
  return path.is_file() and path.stat().st_mtime >= since


def steps(root: pathlib.Path) -> list[Step]:
  """The steps of the run that last began in a workdir; [] if none did."""
  config = disk.read_json(root / 'config.json')
  if config is None:
    return []
  prior = _prior(config)
  found, is_over = [], True
  for name in ('identifier', *prior, *_trained(config), 'samples', 'report'):
    state = _state(root / name) if is_over else 'waiting'
    # What stands behind an unfinished step was left by an earlier run.
    is_over = state == 'done'
    found.append(_step(root, config, name, state, prior))
  return found


def _state(folder: pathlib.Path) -> str:
  if (folder / disk.MANIFEST).exists():
    return 'done'
  return 'working' if (folder / disk.STARTED).exists() else 'waiting'


def _prior(config: dict) -> dict[str, str]:
  """Step → the prompt whose class images it draws; {} if none does."""
  prior, has_prior = config['prior'], config['method'] == methods.DREAMBOOTH
  if not (has_prior and prior['weight'] and config['stage_1']['train']):
    return {}
  subjects = [config['subject'], *config['others']]
  nouns = [one['class_noun'].strip() for one in subjects]
  return methods.class_steps(
    [prior['prompt'].replace('{class_noun}', noun) for noun in nouns]
  )


def _trained(config: dict) -> list[str]:
  return report.trained(report.flatten(config))


def _step(
  root, config: dict, name: str, state: str, prior: dict[str, str]
) -> Step:
  """A step; `prior` is what `_prior` says."""
  folder = root / name
  if name == 'identifier':
    return Step(f'the word: {_word(root) or "…"}', state)
  if name in prior:
    return Step(
      f'images of the class, "{prior[name]}"',
      state,
      len(list(folder.glob('*.png'))),
      config['prior']['count'],
    )
  if name == 'samples':
    sample, last = config['sample'], config['cascade']['stages'][-1]
    return Step(
      'samples',
      state,
      len(list(folder.glob(f'{last}/*.png'))),
      len(sample['prompts']) * sample['images_per_prompt'],
    )
  if name == 'report':
    return Step('report', state)
  done = len(disk.read_log(folder / 'metrics.jsonl'))
  return Step(
    f'training {name.replace("_", " ")}', state, done, config[name]['steps']
  )


def _word(root: pathlib.Path) -> str:
  return _identifier(root).get('text', '')


def _identifier(root: pathlib.Path) -> dict[str, Any]:
  return disk.read_json(root / 'identifier' / 'identifier.json') or {}


def subject(root: pathlib.Path) -> str:
  """The words that stand for the subject, such as 'zk dog'; '' before."""
  return _identifier(root).get('subject', '')


def stages(root: pathlib.Path) -> list[report.Stage]:
  """Losses and grids of the stages, as far as they are."""
  config = disk.read_json(root / 'config.json')
  return report.stages(root, _trained(config)) if config else []


def log_sizes(root: pathlib.Path) -> tuple:
  """Changes when `stages` does; cheaper."""
  config = disk.read_json(root / 'config.json')
  names = _trained(config) if config else []
  return tuple(
    (name, _size(root / name / 'metrics.jsonl'), len(grids(root / name)))
    for name in names
  )


def shown(root: pathlib.Path) -> list[pathlib.Path]:
  """The folders whose pictures the page shows, whether they exist or not."""
  trained = (*validate.STAGES, methods.STEP)
  grids = [root / name / 'samples' for name in trained]
  return [root / 'samples', root / 'drawn', *grids]


def size(folder: pathlib.Path) -> int:
  """Bytes of all files of a folder."""
  return sum(map(_size, folder.rglob('*')))


def _size(path: pathlib.Path) -> int:
  return path.stat().st_size if path.is_file() else 0


def grids(folder: pathlib.Path) -> list[pathlib.Path]:
  """Grids of samples that were drawn while a stage was trained."""
  return sorted((folder / 'samples').glob('*.png'))


def drawn(folder: pathlib.Path) -> list[Drawn]:
  """What a folder with a samples.json shows, in its order."""
  return [
    Drawn(one['prompt'], max(image.items())[1])
    for one in report.read_prompts(folder)
    for image in one['images']
  ]
