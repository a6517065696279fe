"""Prompt templates and caption cleaning."""

import pytest

from dbflax import errors
from dbflax.text import prompts


def test_the_training_prompt():
  assert prompts.with_identifier('zk', 'dog') == 'a photo of a zk dog'
  assert prompts.with_identifier(' zk ', ' dog ') == 'a photo of a zk dog'


def test_templates_take_subject_or_class_noun():
  fill = lambda template: prompts.fill(template, 'zk', 'dog')
  assert fill('a {subject} in the snow') == 'a zk dog in the snow'
  assert fill('a photo of a {class_noun}') == 'a photo of a dog'
  assert fill('a forest') == 'a forest'


@pytest.mark.parametrize(
  'template', ['a {subjct}', 'a {subject', 'a {}', 'a {0}', 'a {subject!x}']
)
def test_braces_that_nothing_fills_are_refused(template):
  with pytest.raises(errors.UserError, match='write {subject}'):
    prompts.fill(template, 'zk', 'dog')


@pytest.mark.parametrize('noun', ['', '  ', '\n'])
def test_without_a_class_noun_the_identifier_stands_alone(noun):
  assert prompts.with_identifier('zk', noun) == 'a photo of a zk'
  assert prompts.fill('a {subject} in the snow', 'zk', noun) == (
    'a zk in the snow'
  )


def test_every_template_keeps_its_subject_through_cleaning():
  """No prompt of ours loses its words before T5 sees them."""
  for kind, applications in prompts.APPLICATIONS.items():
    templates = {t for group in applications.values() for t in group}
    for template in templates | set(prompts.BENCHMARK[kind]):
      prompt = prompts.fill(template, 'zk', 'dog')
      assert prompts.clean_caption(prompt) == prompt.lower()
      assert 'zk dog' in prompt


def test_the_six_applications_of_the_paper():
  assert len(prompts.APPLICATIONS['live']) == 6
  missing = set(prompts.APPLICATIONS['live']) - set(
    prompts.APPLICATIONS['object']
  )
  assert missing == {'expression manipulation'}


def _published_benchmark(path, heading):
  """The 25 templates under `heading` of prompts_and_classes.txt."""
  text = path.read_text().split(heading)[1].split(']')[0]
  lines = [line for line in text.splitlines() if '{0}' in line]
  return [line.split("'")[1].replace('{0} {1}', '{subject}') for line in lines]


def test_the_benchmark_is_the_published_one(shared_data):
  path = shared_data / 'dreambooth' / 'prompts_and_classes.txt'
  for kind, heading in (('object', 'Object'), ('live', 'Live Subject')):
    published = _published_benchmark(path, f'{heading} Prompts')
    assert len(published) == 25
    assert list(prompts.BENCHMARK[kind]) == published


@pytest.mark.parametrize(
  ('caption', 'cleaned'),
  [
    ('A Photo of a  Dog ', 'a photo of a dog'),
    ('a photo of a jc6640 dog', 'a photo of a dog'),
    ('a photo of a xxy5syt00 dog', 'a photo of a dog'),
    ('see shop.example.com/x now', 'see now'),
    ('<b>bold</b> &amp; plain<script>x</script>', 'bold plain'),
    ('“curled” – dashed', '"curled" - dashed'),
    ('this-is-my-cute-cat', 'this is my cute cat'),
    ('a t-shirt', 'a t-shirt'),
    ('', ''),
  ],
)
def test_cleaning(caption, cleaned):
  assert prompts.clean_caption(caption) == cleaned
