"""Convolutions whose kernels get their gradients fast on a CPU, too.

The gradient of tap (i, j) of a 3×3 kernel is one matrix product,

    dW[i, j] = sum over b, y, x of  X[b, y, x]^T dY[b, y + 1 - i, x + 1 - j]

with dY zero outside. XLA's CPU backend makes one convolution of all nine, with
dY as its window. From some thousands of pixels on, one product is faster, of
some rows of the picture at a time, in which each pixel has its nine neighbours
beside it: on one core 2.1 times for 2 × 256 × 256 of 16 channels. On GPUs
and TPUs the convolution stays.

A 1×1 convolution has one product, X^T dY. JAX states it as the transpose of
dY^T X, for which that backend turns dY. In the loop that turns it, against the
order of memory, it also computes what dY is the sum of: along the residual
blocks of a U-Net of 29 M parameters, of as many as 66 arrays.

In a picture enlarged twice four neighbours are one pixel, so that several of
the nine taps meet the same one. Four pixels with a corner in common meet a 2×2
window of the small picture, each with sums of its taps. So on a CPU the small
picture is convolved, by a 2×2 kernel of 4 D channels, and the four laid out:
16 products of C × D for a window instead of 36.

That backend has no fast convolution of at most 16 channels, as are at the ends
of a U-Net. It has one for pixels side by side taken as one of more channels. So
several are made at once, by a wider kernel, which is zero where a pixel that
goes in is no neighbour of the one that comes out. What goes in stays as it is:
if it were taken together, too, XLA would make it in that shape, norm and
activation before it included, one number at a time instead of eight.

Of many channels, in and out, a convolution and both of its gradients are done
with a quarter of the products on a CPU (`winograd`).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from dbflax.models import winograd

Image = Float[Array, 'B H W C']
Kernel = Float[Array, '3 3 C D']

_AXES = ('NHWC', 'HWIO', 'NHWC')
# Pixels of a batch from which on there are products; below, at 2 × 32 × 32,
# the convolution is faster.
_MANY_PIXELS = 4096
# Numbers gathered at a time: half a megabyte, of two of a core's cache.
_GATHERED = 2**17
# Pixels of a batch of small pictures from which on taps are summed; at 2 × 8 ×
# 8 of 256 channels the sums and their gradient take longer than they save.
_ENOUGH_PIXELS = 512
# Of a convolution of which several pixels are made at once: the most channels,
# in or out, and how many come out of those pixels together, at most.
_FEW_CHANNELS = 16
_TOGETHER = 32
_MOST_PIXELS = 4


def conv3x3(x: Image, kernel: Kernel) -> Float[Array, 'B H W D']:
  """`x` convolved, padded as torch pads it: by one on every side."""
  return _conv3x3(x, kernel)


def conv3x3_up(x: Image, kernel: Kernel) -> Float[Array, 'B 2H 2W D']:
  """`conv3x3` of `nearest_up(x)`."""
  return _conv3x3_up(x, kernel)


def nearest_up(x: Image) -> Float[Array, 'B 2H 2W C']:
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
  return x.reshape(b, 2 * h, 2 * w, c)


def conv1x1(
  x: Float[Array, 'B *pixels C'], kernel: Float[Array, 'C D']
) -> Float[Array, 'B *pixels D']:
  """A matrix product, which is faster than the convolution that it is."""
  return _conv1x1(x, kernel)


def _differentiable(forward, input_gradient, kernel_gradient):
  """`forward(x, kernel)` with these gradients, of those that are asked for."""
  function = jax.custom_vjp(forward)

  def keep(x, kernel):
    kept = (
      x.value if kernel.perturbed else None,
      kernel.value if x.perturbed else None,
    )
    return forward(x.value, kernel.value), kept

  def backward(kept, grad):
    x, kernel = kept
    return (
      None if kernel is None else input_gradient(kernel, grad),
      None if x is None else kernel_gradient(x, grad),
    )

  function.defvjp(keep, backward, symbolic_zeros=True)
  return function


def _by_pixels(x: Image, least: int, on_cpu, otherwise):
  """`on_cpu` is for float32 and that many pixels, and for CPUs."""
  if x.dtype != jnp.float32 or x.size // x.shape[-1] < least:
    return otherwise
  return functools.partial(
    lax.platform_dependent, cpu=on_cpu, default=otherwise
  )


def _transpose(linear, argument, grad):
  """The gradient of that argument, which is given as an array or its shape."""
  return jax.linear_transpose(linear, argument)(grad)[0]


def _convolve(x: Image, kernel: Float[Array, 'k l C D'], stride=(1, 1)):
  """Padded by one, whatever k is: of 2×2 kernels H + 1 by W + 1 pixels."""
  return lax.conv_general_dilated(
    x, kernel, stride, ((1, 1), (1, 1)), dimension_numbers=_AXES
  )


def _same(x: Image, kernel: Kernel) -> Float[Array, 'B H W D']:
  """Of as many pixels as x."""
  *_, c, d = kernel.shape
  if winograd.suits(x.shape[:3], (c, d)):
    return _by_pixels(x, 0, winograd.conv3x3, _convolve)(x, kernel)
  count = min(_TOGETHER // d, _MOST_PIXELS)
  if max(c, d) > _FEW_CHANNELS or x.shape[2] % count:
    return _convolve(x, kernel)
  together = functools.partial(_together, count)
  return _by_pixels(x, _MANY_PIXELS, together, _convolve)(x, kernel)


def _together(count: int, x: Image, kernel: Kernel):
  """`count` pixels of a row at once, each with its part of a wider kernel."""
  before, after, taps = np.ogrid[: count + 2, :count, :3]
  meets = (before - after == taps).astype(kernel.dtype)
  kernel = jnp.einsum('yxcd,kjx->ykcjd', kernel, meets)
  kernel = kernel.reshape(*kernel.shape[:3], -1)
  together = _convolve(x, kernel, stride=(1, count))
  return together.reshape(*x.shape[:3], -1)


def _input_gradient(kernel: Kernel, grad: Float[Array, 'B H W D']) -> Image:
  return _same(grad, kernel[::-1, ::-1].swapaxes(2, 3))


def _kernel_gradient(x: Image, grad: Float[Array, 'B H W D']) -> Kernel:
  least, on_cpu = _MANY_PIXELS, functools.partial(_as_products, 3)
  if winograd.suits(x.shape[:3], (x.shape[-1], grad.shape[-1])):
    least, on_cpu = 0, winograd.kernel_gradient
  return _by_pixels(x, least, on_cpu, _as_convolution)(x, grad)


def _as_convolution(x: Image, grad: Float[Array, 'B H W D']) -> Kernel:
  kernel = jax.ShapeDtypeStruct((3, 3, x.shape[-1], grad.shape[-1]), x.dtype)
  return _transpose(lambda kernel: _convolve(x, kernel), kernel, grad)


def _as_products(size: int, x: Image, grad) -> Float[Array, 'k k C D']:
  """One product of all taps, `size` squared, around each pixel of one of two.

  It is the one with more channels, so that the other's are gathered: there are
  as many copies of them as taps.
  """
  pad = lambda a, by: jnp.pad(a, ((0, 0), (by, by), (by, by), (0, 0)))
  if x.shape[-1] <= grad.shape[-1]:
    return _products(size, pad(x, 1), grad)
  # Around a pixel of x, what it has a part in lies in reverse.
  flipped = _products(size, pad(grad, size - 2), x)
  return flipped[::-1, ::-1].swapaxes(2, 3)


def _products(
  size: int,
  around: Float[Array, 'B H+k-1 W+k-1 A'],
  pixels: Float[Array, 'B H W P'],
) -> Float[Array, 'k k A P']:
  """[i, j]: sum over b, y, x of around[b, y + i, x + j]^T pixels[b, y, x].

  In blocks of whole rows, whose neighbours fit into a core's cache.
  """
  b, h, w, _ = pixels.shape
  channels = around.shape[-1]
  rows = _GATHERED // (size * size * channels * w)
  rows = min(max(rows, 1), h)
  blocks = -(-h // rows)
  more = ((0, 0), (0, blocks * rows - h), (0, 0), (0, 0))
  around, pixels = jnp.pad(around, more), jnp.pad(pixels, more)

  def add(total, block):
    image, row, of_block = block
    start = (image, row, np.uint32(0), np.uint32(0))
    part = (1, rows + size - 1, w + size - 1, channels)
    near = lax.dynamic_slice(around, start, part)[0]
    taps = [(i, j) for i in range(size) for j in range(size)]
    gathered = [near[i : i + rows, j : j + w] for i, j in taps]
    gathered = _rows(jnp.concatenate(gathered, axis=-1))
    # What comes first is turned; it is the smaller one.
    return total + of_block.T @ gathered, None

  # Known beforehand, and never negative, which would ask for more operations.
  images, first = np.divmod(np.arange(b * blocks, dtype=np.uint32), blocks)
  placed = images, first * rows, pixels.reshape(b * blocks, rows * w, -1)
  total = jnp.zeros((pixels.shape[-1], size * size * channels))
  total, _ = lax.scan(add, total, placed)
  return total.T.reshape(size, size, channels, -1)


def _up(x: Image, kernel: Kernel) -> Float[Array, 'B 2H 2W D']:
  return _by_pixels(x, _ENOUGH_PIXELS, _of_windows, _of_enlarged)(x, kernel)


def _of_enlarged(x: Image, kernel: Kernel):
  return _convolve(nearest_up(x), kernel)


def _of_windows(x: Image, kernel: Kernel):
  return _laid_out(_convolve(x, _sums(kernel)))


def _up_input_gradient(kernel: Kernel, grad: Float[Array, 'B 2H 2W D']):
  b, h, w, _ = grad.shape
  x = jax.ShapeDtypeStruct((b, h // 2, w // 2, kernel.shape[2]), grad.dtype)
  return _transpose(lambda x: _up(x, kernel), x, grad)


def _up_kernel_gradient(x: Image, grad: Float[Array, 'B 2H 2W D']) -> Kernel:
  return _by_pixels(
    x,
    _ENOUGH_PIXELS,
    _window_products,
    lambda x, grad: _kernel_gradient(nearest_up(x), grad),
  )(x, grad)


def _window_products(x: Image, grad: Float[Array, 'B 2H 2W D']) -> Kernel:
  b, h, w, c = x.shape
  channels = grad.shape[-1]
  like = lambda *shape: jax.ShapeDtypeStruct(shape, grad.dtype)
  windows = like(b, h + 1, w + 1, 4 * channels)
  sums = _as_products(2, x, _transpose(_laid_out, windows, grad))
  return _transpose(_sums, like(3, 3, c, channels), sums)


def _sums(kernel: Kernel) -> Float[Array, '2 2 C 4D']:
  """What the four pixels around the corner of a 2×2 window make of it."""
  rows = _sums_of_rows(kernel)  # [2 2 3 C D]: window, pixel, columns' taps
  both = _sums_of_rows(rows.transpose(2, 0, 1, 3, 4))  # [2 2 2 2 C D]
  windows = both.transpose(2, 0, 4, 3, 1, 5)
  return windows.reshape(2, 2, kernel.shape[2], -1)


def _sums_of_rows(taps: Float[Array, '3 *any']) -> Float[Array, '2 2 *any']:
  """[row of the window, pixel, …].

  The pixels at the edge of two rows are the lower half of the first, whose taps
  meet both halves of the first and then the second, and the upper half of the
  second, whose taps meet the first and then both halves of the second.
  """
  first, middle, last = taps
  return jnp.stack(
    [
      jnp.stack([first + middle, first]),
      jnp.stack([last, middle + last]),
    ]
  )


def _laid_out(
  windows: Float[Array, 'B H+1 W+1 4D'],
) -> Float[Array, 'B 2H 2W D']:
  """Four pixels of every window; at the edges, some are of the padding."""
  b, h, w, channels = windows.shape
  pixels = windows.reshape(b, h, w, 2, 2, channels // 4)
  pixels = pixels.transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, -1)
  return pixels[:, 1:-1, 1:-1]


_conv3x3 = _differentiable(_same, _input_gradient, _kernel_gradient)
_conv3x3_up = _differentiable(_up, _up_input_gradient, _up_kernel_gradient)
_conv1x1 = _differentiable(
  lambda x, kernel: x @ kernel,
  lambda kernel, grad: grad @ kernel.T,
  lambda x, grad: _rows(x).T @ _rows(grad),
)


def _rows(x: Float[Array, 'B *pixels C']) -> Float[Array, 'N C']:
  return x.reshape(-1, x.shape[-1])
