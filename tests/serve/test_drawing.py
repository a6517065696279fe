import pytest

from dbflax import errors
from dbflax.serve import drawing

# Speaks as --mode=draw does, and says which process it is.
CODE = """
import os, sys
print('something of the run', flush=True)
for line in sys.stdin:
  prompt = line.strip()
  if prompt == 'die':
    sys.exit('dbflax: the weights are gone')
  if prompt == 'bad':
    print('dbflax: what a prompt', flush=True)
  else:
    print(f'Drawn: /run/{os.getpid()}/{sys.argv[1]}/{prompt}', flush=True)
"""


@pytest.fixture
def model(tmp_path):
  (tmp_path / 'program.py').write_text(CODE)
  made = drawing.Model(tmp_path / 'log')
  made.command = lambda word: ['python', str(tmp_path / 'program.py'), word]
  yield made
  made.close()


def draw(model, prompt, word='a'):
  return model.draw(model.command(word), prompt).parts[2:]


def test_one_process_draws_many(model):
  first, second = draw(model, 'a {subject}'), draw(model, ' two\nlines ')
  assert first[1:] == ('a', 'a {subject}') and second[1:] == ('a', 'two lines')
  assert first[0] == second[0]


def test_another_run_gets_a_process_of_its_own(model):
  assert draw(model, 'x')[0] != draw(model, 'x', 'b')[0]


def test_an_error_is_told_and_the_process_stays(model):
  before = draw(model, 'x')[0]
  with pytest.raises(errors.UserError, match='^what a prompt$'):
    draw(model, 'bad')
  assert draw(model, 'x')[0] == before


def test_a_process_that_ends_says_why_and_the_next_prompt_starts_one(model):
  with pytest.raises(errors.UserError, match='^the weights are gone$'):
    draw(model, 'die')
  assert draw(model, 'x')[1:] == ('a', 'x')


@pytest.mark.parametrize('prompt', ['', ' \n ', 'a {subject.x}', 'x' * 1001])
def test_what_cannot_be_drawn_starts_nothing(model, prompt):
  with pytest.raises(errors.UserError, match='prompt'):
    draw(model, prompt)
  assert model._process is None


def test_closing_ends_the_process(model):
  draw(model, 'x')
  process = model._process
  model.close()
  assert process.poll() == 0
