"""Truths of the oracle's losses and batches; a few steps of its training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import toybox
from dbflax import checkpoints, disk
from dbflax.toybox import held_out, oracle, oracle_check, scene, stream
from dbflax.train import pretrain, pretrain_oracle

_draw = jax.jit(
  functools.partial(
    pretrain_oracle.draw_scenes, classes=3, individuals=4, scenes=2
  )
)


def _batch(step=0):
  return _draw(jax.random.key(0), step)


def test_a_batch_shows_each_individual_in_several_scenes():
  batch = _batch()
  numbers = np.asarray(batch.individual).reshape(12, 2, -1)
  assert (numbers == numbers[:, :1]).all()
  assert len(np.unique(numbers[:, 0], axis=0)) == 12
  assert len(np.unique(batch.mood, axis=0)) == 24
  assert [len(set(c)) for c in np.split(np.asarray(batch.class_id), 3)] == [
    1
  ] * 3
  assert len(np.unique(batch.class_id)) == 3


def test_training_never_shows_what_is_held_out():
  for step in range(3):
    batch = _batch(step)
    assert not jax.vmap(scene.held_out)(batch).any()
    fields = (batch.class_id, batch.place_id)
    fields += (batch.accessory_id, batch.style_id)
    assert not held_out.combination(*fields).any()


def test_the_contrastive_loss_of_known_vectors():
  individual = np.arange(6) // 2
  weight = np.ones(6, np.float32)
  apart = np.eye(3, dtype=np.float32)[individual]
  # The one positive against four others, their dot product 0.
  t = pretrain_oracle._TEMPERATURE
  expected = np.log1p(4 * np.exp(-1 / t))
  loss = pretrain_oracle.contrastive(apart, individual, weight)
  np.testing.assert_allclose(loss, expected, rtol=1e-2)
  alike = np.ones((6, 3), np.float32) / np.sqrt(3)
  loss = pretrain_oracle.contrastive(alike, individual, weight)
  np.testing.assert_allclose(loss, np.log(5), rtol=1e-5)


def test_a_weightless_picture_pulls_nobody():
  rng = np.random.default_rng(0)
  vectors = rng.normal(size=(4, 3)).astype(np.float32)
  individual = np.array([0, 0, 1, 1])
  weight = np.array([1.0, 1.0, 1.0, 0.0])
  loss = lambda v: pretrain_oracle.contrastive(v, individual, weight)
  logits = vectors @ vectors.T / pretrain_oracle._TEMPERATURE
  np.fill_diagonal(logits, -np.inf)
  share = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
  expected = -(share[0, 1] + share[1, 0]) / 2
  np.testing.assert_allclose(loss(vectors), expected, rtol=1e-5)


def test_what_hides_colours_counts_less():
  batch = _batch()
  plain = batch._replace(
    style_id=np.zeros(24, int), material_id=np.zeros(24, int)
  )
  np.testing.assert_array_equal(pretrain_oracle._shows_colours(plain), 1)
  golden = np.full(24, scene.MATERIALS.index('golden'))
  statue = np.full(24, scene.STYLES.index('statue'))
  for hidden in (
    plain._replace(material_id=golden),
    plain._replace(style_id=statue),
  ):
    assert (np.asarray(pretrain_oracle._shows_colours(hidden)) < 0.5).all()


def test_true_numbers_cost_nothing():
  truth = np.asarray(_batch().individual)
  guess = truth.copy()
  guess[:, scene.MARK] = 50 * truth[:, scene.MARK]
  weight = np.ones(len(truth))
  cost = lambda g: float(pretrain_oracle._numbers_loss(g, truth, weight))
  assert cost(guess) < 1e-4
  for part in (scene.PRIMARY, scene.SHAPE, scene.MARK, scene.MARK_AT):
    worse = guess.copy()
    worse[:, part] = guess[:, part][::-1]
    assert cost(worse) > 0.01


def test_augmenting_changes_pictures_little_and_each_by_its_own():
  rng = np.random.default_rng(0)
  coarse = rng.uniform(-0.8, 0.8, (1, 8, 8, 3)).astype(np.float32)
  picture = np.tile(coarse.repeat(8, 1).repeat(8, 2), (16, 1, 1, 1))
  seen = np.asarray(pretrain_oracle.augment(picture, jax.random.key(0)))
  straight = np.abs(seen - picture).mean((1, 2, 3))
  mirrored = np.abs(seen - picture[:, :, ::-1]).mean((1, 2, 3))
  assert (np.minimum(straight, mirrored) < 0.25).all()
  assert 3 <= (mirrored < straight).sum() <= 13
  assert len(np.unique(seen.mean((1, 2, 3)))) == 16


def test_blurs_keep_even_pictures_and_smooth_others():
  even = np.full((1, 8, 8, 3), 0.3, np.float32)
  rng = np.random.default_rng(0)
  rough = rng.normal(size=(1, 16, 16, 3)).astype(np.float32)
  for blur in (pretrain_oracle._blurred, pretrain_oracle._coarse):
    np.testing.assert_allclose(blur(even), even, rtol=1e-5)
    assert np.std(blur(rough)) < 0.6 * np.std(rough)


def _config(steps=3):
  config = toybox.get_config('oracle')
  config.oracle.update(
    widths=(8, 8), blocks=(1, 1), features=16, embedding=8, classes=2,
    individuals=2, steps=steps, warmup=1, checkpoint_every=1,
    measure_scenes=50,
  )  # fmt: skip
  return config


@pytest.fixture(scope='module', autouse=True)
def drawn_plainly():
  """Pictures of one colour each: these tests are not about drawing."""

  def images(batch, resolution):
    colour = 2 * batch.individual[:, None, None, scene.PRIMARY] - 1
    shape = (len(batch.class_id), resolution, resolution, 3)
    return jnp.broadcast_to(colour, shape)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(stream, 'images', images)
    patch.setattr(oracle_check, '_render', lambda batch: images(batch, 64))
    yield


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp('oracle')
  pretrain.run(_config(), folder / 'cascade', folder / 'oracle')
  return folder


def test_what_is_written_is_an_oracle(trained):
  found = oracle.load(trained / 'cascade/oracle')
  pictures = np.zeros((2, 64, 64, 3), np.float32)
  assert len(oracle.read(found, pictures).identity) == 2
  log = disk.read_log(trained / 'oracle/metrics.jsonl')
  assert [line['step'] for line in log] == [0, 1, 2]


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_nothing_had_happened(
  trained, tmp_path, monkeypatch
):
  """Stopped within a batch's repeats, it draws that batch again."""
  save = checkpoints.Checkpoints.save

  def save_and_die(self, step, state):
    save(self, step, state)
    self.close()
    raise KeyboardInterrupt

  go = lambda: pretrain.run(_config(), tmp_path, tmp_path / 'work')
  with monkeypatch.context() as patch:
    patch.setattr(checkpoints.Checkpoints, 'save', save_and_die)
    with pytest.raises(KeyboardInterrupt):
      go()
  assert len(disk.read_log(tmp_path / 'work/metrics.jsonl')) == 1
  go()
  weights = 'oracle/model.safetensors'
  assert disk.file_fingerprint(tmp_path / weights) == disk.file_fingerprint(
    trained / 'cascade' / weights
  )
