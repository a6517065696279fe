"""Several subjects in one run: whose photos, prompts and class images."""

import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from configs import test as test_config
from configs import two_subjects
from dbflax import disk, errors, inputs, main, report, rng, tune, validate
from dbflax import job as job_lib
from dbflax import prior as prior_lib
from dbflax import workdir as workdir_lib
from dbflax.data import images
from dbflax.evaluate import gathered
from dbflax.plan import steps
from dbflax.train import finetune, step

pytestmark = pytest.mark.usefixtures('compilation_cache')

ROOT = pathlib.Path(__file__).parents[1]
CAT = {'photos': 'toybox:cat/3', 'class_noun': 'cat'}
TEAPOT = {'photos': 'toybox:teapot', 'class_noun': 'teapot'}


def start(folder, *others, **fields):
  config = test_config.get_config()
  config.others = others
  config.update_from_flattened_dict(fields)
  validate.check(config)
  return job_lib.start(config, workdir_lib.Workdir(folder))


def refusal(folder, *others, **fields):
  with pytest.raises(errors.UserError) as caught:
    start(folder, *others, **fields)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def fill_prior(made):
  """Class images whose colour says of which class they are."""
  for shade, name in enumerate(made.class_prompts, 1):
    for index in range(made.config.prior.count):
      side = made.model.stages['stage_1'].resolution
      picture = np.full((side, side, 3), 50 * shade, np.uint8)
      images.save_png(prior_lib.path(made.work.root / name, index), picture)


def test_each_subject_has_a_word_of_its_own(tmp_path):
  made = start(tmp_path, TEAPOT, CAT)
  texts = [one.identifier.text for one in made.subjects]
  assert len(set(texts)) == 3
  assert made.words == [f'{w} {n}' for w, n in zip(
    texts, ('dog', 'teapot', 'cat'), strict=True)]  # fmt: skip
  # The first keeps the one that it has alone.
  assert texts[0] == start(tmp_path).identifier.text


def test_a_word_that_was_given_is_not_found_for_another(tmp_path):
  alone = start(tmp_path).identifier.text
  made = start(tmp_path, {**TEAPOT, 'identifier': alone})
  assert made.subjects[1].identifier.text == alone
  assert made.identifier.text != alone
  twice = {'subject.identifier': alone}
  line = refusal(tmp_path, {**TEAPOT, 'identifier': alone}, **twice)
  assert f'{alone!r} is given to two subjects' in line


def test_prompts_name_either_or_both(tmp_path):
  prompts = ('a {subject}', 'a {subject_2}', '{subject} and {subject_2}',
             'a {class_noun_2}')  # fmt: skip
  made = start(tmp_path, TEAPOT, **{'sample.prompts': prompts})
  dog, teapot = made.words
  assert made.prompts() == [
    *(f'a {dog}', f'a {teapot}', f'{dog} and {teapot}', 'a teapot'),
  ]
  texts = made.texts()
  assert {f'a {dog}', f'a {teapot}', 'a dog', 'a teapot', ''} <= set(texts)


@pytest.mark.parametrize('stage', ['stage_1', 'stage_2'])
def test_photos_are_trained_with_the_prompt_of_their_subject(tmp_path, stage):
  one, two = start(tmp_path), start(tmp_path, TEAPOT)
  teapots = two.subjects[1].photos[two.model.stages[stage].resolution]
  dogs, _ = inputs.pair(one, stage)
  dog, teapot = two.embed([f'a {words}' for words in two.words])
  examples = tune.photo_examples(two, stage)
  seen = []
  for number in range(5):
    drawn = finetune.batch(examples, 'x', seed=0, number=number, size=2)
    for image, text in zip(drawn.image, drawn.text, strict=True):
      is_dog = any(np.array_equal(image, photo) for photo in dogs)
      is_teapot = any(np.array_equal(image, photo) for photo in teapots)
      assert is_dog != is_teapot
      np.testing.assert_array_equal(text, dog if is_dog else teapot)
      seen.append(is_dog)
  # Ten draws are one epoch of both.
  assert sum(seen) == len(dogs) == 5


def test_each_subject_is_learnt_from_as_many_photos_as_it_says(tmp_path):
  made = start(tmp_path, {**TEAPOT, 'count': 1}, **{'subject.count': 3})
  dog, teapot = made.words
  prompts = inputs.instance_prompts(made)
  # In turn, so that a grid of the first few shows all subjects.
  assert prompts == [f'a {w}' for w in (dog, teapot, dog, dog)]
  assert len(inputs.pair(made, 'stage_1')[0]) == 4
  # What an entry does not say is as in config.subject.
  made = start(tmp_path, TEAPOT, **{'subject.count': 2})
  assert [one.count for one in made.subjects] == [2, 2]


def test_class_images_have_the_prompt_of_their_class(tmp_path):
  made = start(tmp_path, TEAPOT)
  fill_prior(made)
  prior = tune.class_examples(made)
  dog, teapot = made.embed(['a dog', 'a teapot'])
  count = made.config.prior.count
  assert len(prior.examples.image) == 2 * count
  index = np.arange(2 * count)
  for image, text in zip(
    prior.examples.image, prior.examples.texts(index), strict=True
  ):
    shade = images.to_uint8(image)[0, 0, 0]
    np.testing.assert_array_equal(text, dog if shade == 50 else teapot)


def test_a_class_of_two_subjects_is_drawn_once(tmp_path):
  other_dog = {'photos': 'toybox:dog/7', 'class_noun': ' dog'}
  made = start(tmp_path, other_dog, TEAPOT)
  assert made.class_prompts == {'prior': 'a dog', 'prior_2': 'a teapot'}
  names = list(inputs.of_mode(made, 'run'))
  assert [name for name in names if 'prior' in name] == ['prior', 'prior_2']


def test_a_plan_counts_the_images_of_every_class(tmp_path):
  counts = []
  for others in ((), (TEAPOT,), ({**CAT, 'class_noun': 'dog'},)):
    made = start(tmp_path, *others)
    step_of_plan = steps._class_images(made.config, made.model, made.mesh)
    counts.append(step_of_plan.count)
  assert counts == [2, 4, 2]


def test_two_classes_do_not_share_their_noise(tmp_path):
  made = start(tmp_path, TEAPOT)
  keys = []

  def sampler(params, text, null_text, key):
    del params, text, null_text
    keys.append(key)
    return jnp.zeros((2, 4, 4, 3))

  for name in made.class_prompts:
    prior_lib.draw(
      tmp_path / name, sampler, {}, np.zeros((1, 1)), np.zeros((1, 1)),
      seed=0, count=2, batch=2, stream=name,
    )  # fmt: skip
  first, second = (np.asarray(jax.random.key_data(key)) for key in keys)
  assert (first != second).any()
  expected = rng.keys(jax.random.key(0), 'prior', np.arange(2))
  np.testing.assert_array_equal(first, jax.random.key_data(expected))


def test_a_second_subject_leaves_the_first_ones_class_images(tmp_path):
  one, two = start(tmp_path), start(tmp_path, TEAPOT)
  assert inputs.prior(one) == inputs.prior(two)
  assert inputs.prior(two, 'prior_2') != inputs.prior(two)


@pytest.mark.parametrize(
  ('other', 'message'),
  [
    ({'photos': 'toybox:teapot'}, "dicts with ('photos', 'class_noun')"),
    ({**TEAPOT, 'description': 'x'}, 'and of ('),
    ({**TEAPOT, 'crop': 'left'}, "--config.others[0]['crop']='left'"),
    ({**TEAPOT, 'count': '3'}, "--config.others[0]['count']='3'"),
    ({**TEAPOT, 'captions': 'no'}, "['captions']='no': must be bool"),
    ({**TEAPOT, 'class_noun': ' '}, "['class_noun']='': must name the class"),
    ({**TEAPOT, 'class_noun': 'auto'}, "['class_noun']='auto'"),
    ({**TEAPOT, 'count': 6}, "'toybox:teapot' has 5 photos"),
    ('toybox:teapot', '--config.others='),
  ],
)
def test_a_further_subject_that_cannot_be_is_refused(tmp_path, other, message):
  assert message in refusal(tmp_path, other)


def test_placeholders_of_subjects_that_are_not_there_are_refused(tmp_path):
  prompts = {'sample.prompts': ('a {subject_3}',)}
  line = refusal(tmp_path, TEAPOT, **prompts)
  assert 'a {subject_3}' in line and '{class_noun_2}' in line


def test_baselines_are_for_one_subject(tmp_path):
  line = refusal(tmp_path, TEAPOT, method='textual_inversion')
  assert "method='textual_inversion' is for one subject" in line


def test_others_can_be_given_on_the_command_line():
  text = repr((CAT,))
  argument = f'--config={ROOT / "configs/test.py"}'
  config, *_ = main.parse(['dbflax', argument, f'--config.others={text}'])
  assert config.others == (CAT,)


def test_each_subject_has_the_prompts_that_name_it_alone(tmp_path):
  entry = lambda template: {
    'template': template, 'prompt': template, 'images': [{'stage_1': 'a.png'}]
  }  # fmt: skip
  names = ('a {subject}', 'a {subject_2}', 'a {subject} and a {subject_2}',
           'a {class_noun}', 'a {class_noun_2}', 'a red zk dog', 'a rxf teapot',
           'a zk on a rxf', 'a teapot', 'a dog', 'a dog in a teapot',
           'a house')  # fmt: skip
  (tmp_path / 'samples.json').write_text(json.dumps([*map(entry, names)]))
  who = [gathered.Subject('zk', 'dog'), gathered.Subject('rxf', 'teapot')]
  found = [
    {group.prompt: (group.says, group.of_class) for group in groups}
    for groups in gathered.of_run(tmp_path, who)
  ]
  assert found == [
    {
      'a {subject}': ('a dog', False),
      'a {class_noun}': ('a dog', True),
      'a red zk dog': ('a red dog', False),
      'a dog': ('a dog', True),
      'a house': ('a house', True),
    },
    {
      'a {subject_2}': ('a teapot', False),
      'a {class_noun_2}': ('a teapot', True),
      'a rxf teapot': ('a teapot', False),
      'a teapot': ('a teapot', True),
    },
  ]


# --- A run -------------------------------------------------------------------


def call(folder, mode, *options):
  config = f'--config={ROOT / "configs/two_subjects.py"}:quick'
  fields = [f'--config.{option}' for option in options]
  return main.main(
    ['dbflax', config, f'--mode={mode}', f'--workdir={folder}', *fields]
  )


def weights(folder):
  path = folder / 'stage_1/unet/diffusion_pytorch_model.safetensors'
  return safetensors.numpy.load_file(path)


# At 16 pixels, where the class images are; and few prompts.
SMALL = (
  'cascade.stages=("stage_1",)',
  'sample.prompts=("a {subject}", "a {subject} and a {subject_2}")',
)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, compilation_cache):
  folder = tmp_path_factory.mktemp('run') / 'two'
  assert call(folder, 'run', *SMALL) == 0
  return folder


def test_a_run_shows_both_subjects(finished):
  assert [len(list((finished / name).glob('*.png'))) for name in (
    *('photos', 'photos/subject_2', 'prior', 'prior_2'),)] == [
    *(5, 5, 4, 4),]  # fmt: skip
  found = report.read(finished)
  dog, teapot = (one['subject'] for one in found['subjects'])
  assert [one['subject'] for one in found['strips']] == [dog, teapot]
  assert [one['prompt'] for one in found['before']] == ['a dog', 'a teapot']
  assert found['prompts'][1]['parts'] == ['a ', dog, ' and a ', teapot, '']
  page = (finished / 'report/index.html').read_text()
  title = re.search('<title>(.*?)</title>', page)[1]
  assert title.startswith(f'{dog} and {teapot}')
  marked = re.findall('<mark>(.*?)</mark>', page)
  assert marked.count(dog) == 3 and marked.count(teapot) == 2


def test_a_killed_training_of_two_resumes_exactly(finished, tmp_path, dying):
  with dying(step, 'make_prior_preservation_step'):
    assert call(tmp_path / 'a', 'train', *SMALL) == 130
  assert call(tmp_path / 'a', 'train', *SMALL) == 0
  resumed, first = weights(tmp_path / 'a'), weights(finished)
  for name, tensor in first.items():
    np.testing.assert_array_equal(resumed[name], tensor, err_msg=name)
  log = disk.read_log(tmp_path / 'a/stage_1/metrics.jsonl')
  assert log == disk.read_log(finished / 'stage_1/metrics.jsonl')


def test_the_configs_prompts_name_both():
  prompts = two_subjects.get_config().sample.prompts
  assert any('{subject}' in p and '{subject_2}' in p for p in prompts)
