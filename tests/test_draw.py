import pytest

from dbflax import draw, errors


def answer(tmp_path, capsys, *lines, act=lambda *_: None):
  """What is said to these lines, and what was drawn."""
  calls = []

  def one(folder, number, template):
    folder.mkdir(parents=True)
    calls.append((folder.name, number, template))
    act(folder, number, template)

  draw.answer(tmp_path / 'drawn', [f'{line}\n' for line in lines], one)
  return capsys.readouterr().out.splitlines(), calls


def test_every_prompt_gets_a_folder_and_a_line(tmp_path, capsys):
  said, calls = answer(tmp_path, capsys, 'a {subject}', '', ' a {class_noun} ')
  assert calls == [('0000', 0, 'a {subject}'), ('0001', 1, 'a {class_noun}')]
  assert said == [f'Drawn: {tmp_path}/drawn/000{n}' for n in range(2)]


def test_numbers_go_on_where_an_earlier_process_stopped(tmp_path, capsys):
  answer(tmp_path, capsys, 'a {subject}', 'a {subject}')
  (tmp_path / 'drawn/0007_old').mkdir()
  assert answer(tmp_path, capsys, 'a {subject}')[1][0][1] == 2


@pytest.mark.parametrize(
  'prompt',
  [
    *('a {subjct}', 'a {}', 'a {0}', 'a {subject', 'a {subject.__class__}'),
    # Either would have made another text of the subject, or a very long one.
    *('a {subject!r}', 'a {subject:>9999999999}', 'x' * 1001),
    'a {subject} \udcff',  # as Python reads what is not UTF-8
  ],
)
def test_a_bad_prompt_is_one_line_and_the_next_is_drawn(
  tmp_path, capsys, prompt
):
  said, calls = answer(tmp_path, capsys, prompt, 'a {subject}')
  assert len(said) == 2
  assert said[0].startswith('dbflax: ') and 'prompt' in said[0]
  assert calls == [('0000', 0, 'a {subject}')]


def test_what_goes_wrong_while_drawing_is_told(tmp_path, capsys):
  def fail(*_):
    raise errors.UserError('no weights')

  said, _ = answer(tmp_path, capsys, 'a {subject}', act=fail)
  assert said == ['dbflax: no weights']
