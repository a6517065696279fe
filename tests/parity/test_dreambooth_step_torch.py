"""One DreamBooth step against the same formulas written in torch.

    L = L(photos) + λ L(class images),  L = mean ‖ε̂ − ε‖² + vlb

The reference is diffusers' U-Net, `DDPMScheduler.add_noise` and the terms
below, differentiated by torch. Both sides start from one folder that diffusers
wrote, and the reference is given the very numbers that the step draws. Stage
II sees its lower image as IF's pipeline presents it: enlarged bilinearly,
noised at a level, beside x_t on the channels; the level is its class label.
"""

import functools
import json
import math
import pathlib

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dbflax import cascade, pretrained, rng, sharding
from dbflax.train import state as state_lib
from dbflax.train import step as step_lib
from dbflax.weights import diffusers as diffusers_lib
from dbflax.weights import names

torch = pytest.importorskip('torch', reason='parity needs torch')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity

# What DeepFloyd publishes, but for the sizes.
_SMALL = json.loads(
  pathlib.Path(__file__).with_name('small_unets.json').read_text()
)
_UNET = {**_SMALL['base'], 'sample_size': 8, 'cross_attention_dim': 32}
_SUPER = {**_SMALL['super_resolution'], 'sample_size': 16}
_SCHEDULER = {
  'beta_schedule': 'squaredcos_cap_v2',
  'prediction_type': 'epsilon',
  'variance_type': 'learned_range',
}
_UNETS = {'stage_1': _UNET, 'stage_2': {**_UNET, **_SUPER}}
# Roots whose draws hold t = 0, where the variational term is another one.
_SEEDS = {'stage_1': 33, 'stage_2': 614}
_SIZE = 8  # of photos, or of crops of them
_COUNT = 3
_PRIOR_WEIGHT = 0.7
_LABEL = 100  # noise level of the lower image, in steps
_OBJECTIVE = step_lib.Objective(
  noise_level=(_LABEL / 1000, _LABEL / 1000), text_drop=0.5
)
_NULL_TEXT = np.random.default_rng(9).normal(size=(5, 24)).astype(np.float32)


@pytest.fixture(scope='module', params=_UNETS)
def networks(request, tmp_path_factory):
  """(torch's model, our stage, our parameters), written by diffusers."""
  folder = tmp_path_factory.mktemp('cascade') / request.param
  torch.manual_seed(0)
  model = diffusers.UNet2DConditionModel(**_UNETS[request.param])
  with torch.no_grad():
    for parameter in model.parameters():
      if parameter.ndim == 1:  # Else gains are one and biases zero.
        parameter.add_(torch.randn_like(parameter) * 0.1)
  model.save_pretrained(folder / 'unet')
  scheduler = diffusers.DDPMScheduler(**_SCHEDULER)
  scheduler.save_pretrained(folder / 'scheduler')
  if request.param != 'stage_1':
    scheduler.save_pretrained(folder / 'image_noising_scheduler')
  stage = pretrained.load_stage(folder, request.param)
  init = functools.partial(cascade.init_stage, stage)
  shapes = jax.eval_shape(init, jax.random.key(0))
  return model, stage, diffusers_lib.read_params(folder / 'unet', shapes)


def _batch(stage, seed):
  """Photos whose whitest and blackest pixels are exactly 1 and −1."""
  draw = np.random.default_rng(seed)
  normal = lambda *shape: draw.normal(size=shape).astype(np.float32)
  image = np.clip(normal(_COUNT, _SIZE, _SIZE, 3), -1, 1)
  text = normal(_COUNT, 5, 24)
  if not stage.is_super_resolution:
    return step_lib.Batch(image, text)
  low = np.clip(normal(_COUNT, 4, 4, 3), -1, 1)
  corner = np.array([[0, 8], [3, 5], [8, 0]], np.int32)
  return step_lib.Batch(image, text, low, corner)


def _draws(stage, root, stream):
  """What the step draws for the photos ('instance') or the class images."""
  key = rng.key(root, f'{stage.name}/{stream}', 0)
  shape = (_COUNT, _SIZE, _SIZE, 3)
  normal = lambda name: jax.random.normal(rng.key(key, name), shape)
  return {
    't': jax.random.randint(rng.key(key, 't'), (_COUNT,), 0, 1000),
    'eps': normal('eps'),
    'lowres': normal('lowres'),
    'drop': jax.random.bernoulli(rng.key(key, 'drop'), 0.5, (_COUNT,)),
  }


# --- The reference -----------------------------------------------------------


def _scheduler():
  """diffusers' scheduler in float64.

  Its alphas, multiplied up in float32, are off by up to 1e-3: sigma at t = 0,
  where 1 − alpha² cancels, and alpha at the end.
  """
  scheduler = diffusers.DDPMScheduler(**_SCHEDULER)
  scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas.double(), 0)
  return scheduler


def _add_noise(scheduler, image, eps, t):
  return scheduler.add_noise(image.double(), eps.double(), t).float()


def _tensor(array):
  """An array as a tensor; images with their channels first."""
  tensor = torch.tensor(np.asarray(array))
  return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _conditioning(scheduler, batch, noise):
  """The lower image as IFSuperResolutionPipeline prepares it, cropped."""
  up = torch.nn.functional.interpolate(
    _tensor(batch.low), size=16, mode='bilinear', align_corners=True
  )
  crops = [
    image[:, y : y + _SIZE, x : x + _SIZE]
    for image, (y, x) in zip(up, batch.corner.tolist(), strict=True)
  ]
  level = torch.full((_COUNT,), _LABEL)
  return _add_noise(scheduler, torch.stack(crops), noise, level), level


def _reference_half(model, scheduler, batch, draws):
  """(mse, vlb) of the photos or of the class images."""
  t, eps = _tensor(draws['t']).long(), _tensor(draws['eps'])
  image, text = _tensor(batch.image), _tensor(batch.text)
  drop = _tensor(draws['drop'])
  text = torch.where(drop[:, None, None], torch.tensor(_NULL_TEXT), text)
  x_t = _add_noise(scheduler, image, eps, t)
  seen, level = x_t, None
  if batch.low is not None:
    low, level = _conditioning(scheduler, batch, _tensor(draws['lowres']))
    seen = torch.cat([x_t, low], dim=1)
  output = model(seen, t, text, class_labels=level).sample
  eps_hat, logit = output.chunk(2, dim=1)
  mse = (eps_hat - eps).square().mean()
  vlb = _variational(scheduler, image, x_t, t, eps_hat.detach(), logit)
  return mse, vlb.mean()


def _variational(scheduler, x0, x_t, t, eps_hat, logit):
  """The bound's term in bits per dimension (Improved DDPM, eq. 4–6, 15)."""
  beta, alpha_bar = scheduler.betas.double(), scheduler.alphas_cumprod
  before = torch.cat([torch.ones(1).double(), alpha_bar[:-1]])
  smallest = beta * (1 - before) / (1 - alpha_bar)  # beta tilde, eq. 10
  smallest[0] = smallest[1]
  at = lambda values: values[t].reshape(-1, 1, 1, 1)
  from_x0 = at(beta * before.sqrt() / (1 - alpha_bar))
  from_x_t = at((1 - before) * (1 - beta).sqrt() / (1 - alpha_bar))
  x0_hat = (x_t - at((1 - alpha_bar).sqrt()) * eps_hat) / at(alpha_bar.sqrt())
  mean = from_x0 * x0_hat + from_x_t * x_t
  frac = (logit + 1) / 2
  log_var = frac * at(beta.log()) + (1 - frac) * at(smallest.log())
  normal = torch.distributions.Normal
  true = normal(from_x0 * x0 + from_x_t * x_t, at(smallest.sqrt()))
  found = normal(mean, (0.5 * log_var).exp())
  kl = torch.distributions.kl_divergence(true, found)
  nll = -_log_likelihood(found, x0)
  return torch.where(t.reshape(-1, 1, 1, 1) == 0, nll, kl) / math.log(2)


def _log_likelihood(normal, x):
  """Of 256 levels in [−1, 1]; the outermost two hold the tails."""
  above = torch.where(x > 0.999, 1.0, normal.cdf(x + 1 / 255))
  below = torch.where(x < -0.999, 0.0, normal.cdf(x - 1 / 255))
  return (above - below).clamp(min=1e-12).log()


# --- The comparison ----------------------------------------------------------


def _step(stage, params, photos, class_images, root):
  """(gradients, metrics) of our step; the optimizer keeps the gradient."""
  tx = optax.with_extra_args_support(optax.trace(decay=0.0))
  state = state_lib.create(jax.tree.map(jnp.asarray, params), tx, ema=False)
  mesh = sharding.make_mesh()
  shardings = sharding.shard_tree(state, mesh)
  update = step_lib.make_prior_preservation_step(
    step_lib.compile_programs(stage, _OBJECTIVE, tx, 0.0, mesh, shardings)
  )
  weight = np.float32(_PRIOR_WEIGHT)
  state, metrics = update(
    jax.device_put(state, shardings),
    *(photos, class_images, weight, _NULL_TEXT, root),
  )
  return state.opt_state.trace, metrics


def test_losses_and_gradients_equal_torch(networks):
  model, stage, params = networks
  root = jax.random.key(_SEEDS[stage.name])
  batches = {'instance': _batch(stage, 1), 'prior': _batch(stage, 2)}
  draws = {stream: _draws(stage, root, stream) for stream in batches}
  times = np.concatenate([d['t'] for d in draws.values()])
  dropped = np.concatenate([d['drop'] for d in draws.values()])
  assert 0 in times
  assert 0 < dropped.sum() < len(dropped)
  scheduler = _scheduler()
  total, expected = 0.0, {}
  for stream, weight in (('instance', 1), ('prior', _PRIOR_WEIGHT)):
    mse, vlb = _reference_half(model, scheduler, batches[stream], draws[stream])
    total = total + weight * (mse + vlb)
    expected |= {f'{stream}_loss': mse.item(), f'{stream}_vlb': vlb.item()}
  model.zero_grad()
  total.backward()
  grads, metrics = _step(
    stage, params, batches['instance'], batches['prior'], root
  )
  for name, value in expected.items():
    np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)
  _assert_gradients(model, grads)


def _assert_gradients(model, grads):
  """Within 1e-4 of each tensor's largest value."""
  theirs = {name: p.grad.numpy() for name, p in model.named_parameters()}
  flat = flax.traverse_util.flatten_dict(grads, sep='/')
  ours = {
    names.to_name(path): names.to_torch(path, np.asarray(grad))
    for path, grad in flat.items()
  }
  assert ours.keys() == theirs.keys()
  # Keys may all move alike, so their bias has no gradient but rounding.
  largest = max(np.abs(g).max() for g in theirs.values())
  for name, expected in theirs.items():
    scale = max(np.abs(expected).max(), 1e-3 * largest)
    error = np.abs(ours[name] - expected).max() / scale
    assert error <= 1e-4, f'{name}: {error:.2g}'
