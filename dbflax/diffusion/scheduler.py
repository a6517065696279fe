"""How a stage is sampled, read from diffusers' `scheduler_config.json`.

`_class_name` says which sampler; every other field of the three classes below
is honoured, or refused where dbflax does not compute its value. All three read
one file, each the fields that it knows: to sample by another one (`using`) is
what diffusers' `OtherScheduler.from_config(pipe.scheduler.config)` does.

Where we differ on purpose:

* DDIM takes the noise from the thresholded x_0, as diffusers does only with
  `use_clipped_model_output`; otherwise the two would not add up to x_t.
* A step leads to the next time of the grid; DDIMScheduler's leads T // n down.
* A step to the clean image adds no noise, whatever the variance.
* The network is told the fractional times of Karras' grid, not whole ones.
"""

import dataclasses
import math
import numbers

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import errors
from dbflax.diffusion import guidance, process
from dbflax.diffusion import sampler as sampler_lib
from dbflax.diffusion import schedule as schedule_lib

Image = Float[Array, 'B H W C']

CLASSES = {
  'DDPMScheduler': 'ancestral',
  'DDIMScheduler': 'ddim',
  'DPMSolverMultistepScheduler': 'dpmpp_2m',
}
_OFF = (False, None)
_BOOL = (False, True)
# Fields and the values that are honoured.
_ALLOWED = {
  '_class_name': tuple(CLASSES),
  'beta_schedule': schedule_lib.KINDS,
  'trained_betas': (None,),
  'rescale_betas_zero_snr': _OFF,
  'prediction_type': process.PREDICTIONS,
  # A missing variance is the smallest, which diffusers also calls its log.
  'variance_type': (
    None,
    'fixed_small',
    'fixed_small_log',
    'fixed_large',
    'learned_range',
  ),
  'thresholding': _BOOL,
  'clip_sample': _BOOL,
  'timestep_spacing': sampler_lib.SPACINGS,
  'set_alpha_to_one': _BOOL,
  'algorithm_type': ('dpmsolver++',),
  'solver_order': (1, 2),
  'solver_type': ('midpoint', 'heun'),
  'lower_order_final': _BOOL,
  'euler_at_final': _BOOL,
  'final_sigmas_type': ('zero', 'sigma_min'),
  'use_karras_sigmas': (*_BOOL, None),
  'use_exponential_sigmas': _OFF,
  'use_beta_sigmas': _OFF,
  'use_lu_lambdas': _OFF,
  'use_flow_sigmas': _OFF,
  'use_dynamic_shifting': _OFF,
}
# Fields that hold a number, and its least and largest value; whole numbers
# are bounded by whole numbers.
_RANGES = {
  'num_train_timesteps': (1, 10**6),
  'steps_offset': (0, 10**6),
  'beta_start': (0.0, 1.0),
  'beta_end': (0.0, 1.0),
  'dynamic_thresholding_ratio': (0.0, 1.0),
  'sample_max_value': (1.0, math.inf),
  'clip_sample_range': (0.0, math.inf),
  'lambda_min_clipped': (-math.inf, 0.0),
}
# Without a meaning as long as the flow's sigmas above are off.
_IRRELEVANT = ('flow_shift', 'time_shift_type')


@dataclasses.dataclass(frozen=True)
class Scheduler:
  """Fields below `sampler` are those of scheduler_config.json.

  A comment says which samplers read a field, if not all of them do.
  """

  schedule: schedule_lib.Schedule
  sampler: str = 'ancestral'
  prediction_type: str = 'epsilon'
  variance_type: str | None = None  # ancestral
  thresholding: bool = False
  dynamic_thresholding_ratio: float = 0.995
  sample_max_value: float = 1.0
  clip_sample: bool = True  # ancestral, ddim
  clip_sample_range: float = 1.0
  timestep_spacing: str | None = None  # None: the default of the sampler
  steps_offset: int = 0
  set_alpha_to_one: bool = True  # ddim
  # dpmpp_2m reads these.
  solver_order: int = 2
  solver_type: str = 'midpoint'
  lower_order_final: bool = True
  euler_at_final: bool = False
  final_sigmas_type: str = 'zero'
  use_karras_sigmas: bool = False
  lambda_min_clipped: float = -math.inf

  def using(self, name: str) -> 'Scheduler':
    """The same, sampled by `name`; 'scheduler' leaves what the file says."""
    return (
      self if name == 'scheduler' else dataclasses.replace(self, sampler=name)
    )

  def times(self, steps: int) -> Float[np.ndarray, ' N+1']:
    """The falling times of `steps` steps, and where the last one leads.

    That is −1, the clean image, or 0, the least noise, if the file says so.

    Raises:
      UserError: if the schedule has not as many times.
    """
    solver = self.sampler == 'dpmpp_2m'
    grid = self._solver_grid(steps) if solver else self._grid(steps)
    times, last = grid[:-1], self.schedule.num_steps - 1
    if times[0] > last or (np.diff(times) >= 0).any():
      raise errors.UserError(
        f'{self.sampler} cannot go through times 0 … {last} of the schedule in '
        f'{steps} steps with steps_offset {self.steps_offset}; take fewer.'
      )
    clean = {
      'ancestral': True,
      'ddim': self.set_alpha_to_one,
      'dpmpp_2m': self.final_sigmas_type == 'zero',
    }[self.sampler]
    return np.append(times, np.float32(-1 if clean else 0))

  def _grid(self, steps: int) -> np.ndarray:
    spacing = self.timestep_spacing or 'leading'
    total = self.schedule.num_steps
    return sampler_lib.grid(steps, total, spacing, self.steps_offset)

  def _solver_grid(self, steps: int) -> np.ndarray:
    """DPM-Solver's: 'leading' and 'linspace' end one step before time 0."""
    if self.use_karras_sigmas:
      return sampler_lib.karras(steps, self.schedule)
    spacing = self.timestep_spacing or 'linspace'
    total = self.schedule.num_steps
    lam = 0.5 * self.schedule.log_snr(np.arange(total, dtype=np.float32))
    used = int(np.sum(np.asarray(lam) >= self.lambda_min_clipped))
    if spacing == 'trailing':
      return sampler_lib.grid(steps, total, spacing, used=used)
    grid = sampler_lib.grid(steps + 1, total, spacing, self.steps_offset, used)
    return np.delete(grid, steps)

  def denoised(
    self,
    output: Float[Array, 'B H W 2C'],
    x_t: Image,
    t: Float[Array, ' B'],
  ) -> sampler_lib.Denoised:
    """What a network's output means, thresholded; [B, H, W, C] or 2C."""
    c = x_t.shape[-1]
    x0 = process.to_x0(
      self.schedule, self.prediction_type, output[..., :c], x_t, t
    )
    logit = {
      'learned_range': output[..., c:],
      'fixed_large': jnp.ones_like(x0),
    }.get(self.variance_type)
    return sampler_lib.Denoised(self._threshold(x0), logit)

  def _threshold(self, x0: Image) -> Image:
    if self.thresholding:
      return guidance.dynamic_threshold(
        x0, self.dynamic_thresholding_ratio, self.sample_max_value
      )
    # Only dynamic thresholding is known to diffusers' DPM-Solver.
    if self.clip_sample and self.sampler != 'dpmpp_2m':
      return jnp.clip(x0, -self.clip_sample_range, self.clip_sample_range)
    return x0

  def run(
    self,
    denoise: sampler_lib.Denoiser,
    x: Image,
    noise: sampler_lib.Noise,
    times: Float[np.ndarray, ' N+1'],
  ) -> Image:
    """x_T → x_0 along `times`."""
    options = {}
    if self.sampler == 'dpmpp_2m':
      few = self.lower_order_final and len(times) - 1 < 15
      options = {
        'order': self.solver_order,
        'solver_type': self.solver_type,
        'first_order_end': self.euler_at_final or few,
      }
    method = sampler_lib.SAMPLERS[self.sampler]
    return method(self.schedule, denoise, x, noise, times, **options)


def from_config(config: dict) -> Scheduler:
  """The scheduler of a `scheduler_config.json`; without a class, DDPM's.

  Raises:
    UserError: for a field, or the value of one, that is not computed here.
  """
  _check(config)
  if config.get('beta_schedule') == 'cosine' and config.get(
    'use_karras_sigmas'
  ):
    raise errors.UserError(
      'scheduler_config.json: use_karras_sigmas is True, but beta_schedule '
      "'cosine' ends at alpha 0, which has no largest sigma; turn it off."
    )
  own = {field.name for field in dataclasses.fields(Scheduler)}
  return Scheduler(
    schedule_lib.from_config(config),
    CLASSES[config.get('_class_name', 'DDPMScheduler')],
    **{name: value for name, value in config.items() if name in own},
  )


def _check(config: dict) -> None:
  """Raises UserError for the first field that is not computed as it says."""
  for field, value in config.items():
    if field in _ALLOWED:
      computed = value in _ALLOWED[field]
      known = ' or '.join(map(repr, _ALLOWED[field]))
    elif field in _RANGES:
      low, high = _RANGES[field]
      whole = isinstance(low, int)
      kind = numbers.Integral if whole else numbers.Real
      computed = isinstance(value, kind) and low <= value <= high
      known = f'{"whole numbers" if whole else "numbers"} in {low} … {high}'
    elif field.startswith('_') or field in _IRRELEVANT:
      continue
    else:
      raise errors.UserError(
        f'scheduler_config.json: {field} is {value!r}, but no field of '
        f'{", ".join(CLASSES)}; remove it if it has no meaning.'
      )
    if not computed:
      raise errors.UserError(
        f'scheduler_config.json: {field} is {value!r}; dbflax computes {known}.'
      )
