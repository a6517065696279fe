"""--mode=identifier: which words there are, and which the base responds to."""

import pathlib

import numpy as np
import pytest

from dbflax import main, response

ROOT = pathlib.Path(__file__).parents[1]


def candidates(folder, *options):
  """Runs the command in this process; the exit code."""
  return main.main(
    [
      'dbflax',
      f'--config={ROOT / "configs/test.py"}',
      '--mode=identifier',
      f'--workdir={folder}',
      *(f'--config.{option}' for option in options),
    ]
  )


@pytest.mark.parametrize('kind', ['rare', 'word', 'random'])
def test_identifier_mode_prints_candidates(tmp_path, capsys, kind):
  option = f'identifier.kind={kind}'
  assert candidates(tmp_path / 'a', option) == 0
  lines = capsys.readouterr().out.strip().splitlines()
  assert len(lines) == 10 and all(' ids [' in line for line in lines)
  assert not (tmp_path / 'a').exists()


def test_identifiers_of_textual_inversion_are_not_compared(tmp_path, capsys):
  options = ('identifier.compare=3', 'method=textual_inversion')
  assert candidates(tmp_path / 'a', *options) == 2
  assert "compare=3 is not for method='textual" in capsys.readouterr().err
  assert not (tmp_path / 'a').exists()


def test_identifiers_are_compared_by_what_the_base_answers(
  tmp_path, capsys, monkeypatch
):
  # The tiny base, which has learnt nothing, answers the same to all.
  def apart(stage, weighting, params, images, texts, plain, seed):
    assert stage.unet.dtype == np.float32
    return [abs(text - plain).sum() for text in texts]

  monkeypatch.setattr(response, 'of_texts', apart)
  options = (
    'identifier.compare=3',
    'subject.identifier=hzz',
    'stage_1.dtype=bfloat16',
  )
  assert candidates(tmp_path / 'a', *options) == 0
  *lines, advice = capsys.readouterr().out.strip().splitlines()
  words, _, responses = zip(*(line.split()[:3] for line in lines), strict=True)
  # Three, and the run's own.
  assert len(set(words)) == 4 and 'hzz' in words
  found = [float(value) for value in responses]
  assert found == sorted(found, reverse=True) and found[-1] > 0
  assert advice.endswith(f'identifier={words[0]}')
  kept = {path.name for path in (tmp_path / 'a').iterdir()}
  assert kept == {'embeddings', 'run.json', 'run.lock'}
