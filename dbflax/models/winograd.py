"""3×3 convolutions of fewer products (Lavin and Gray, arXiv 1509.09308).

Winograd's F(4×4, 3×3): the 4×4 pixels that come out of a tile of 6×6 take 36
products instead of 144, in between small matrices,

    y = A [(G k Gᵀ) ⊙ (B x Bᵀ)] Aᵀ    (⊙: a sum over channels for each of 36)

They are of polynomials' values at 0, ±1/√2, ±√2 and ∞; with these, errors are
three times those of a plain convolution in float32, and half of what the usual
0, ±1, ±2 and ∞ make.

Every step is a product of matrices, for which a CPU has a fast library.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dbflax import fusion

Image = Float[Array, 'B H W C']
Kernel = Float[Array, '3 3 C D']

_OUT, _IN = 4, 6  # pixels of a tile's side
_POINTS = np.array([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)])
# Pixels of a batch from which on the kernel's part is worth its while.
_ENOUGH_PIXELS = 512
# A pixel's products go by channels in × out, what the small matrices take of it
# by in + out: from this ratio on it pays, which is 48 × 48 channels.
_ENOUGH_PRODUCTS = 24


def _matrices():
  """(A [4, 6], B [6, 6], G [6, 3]), by Lagrange's interpolation; ∞ is last."""
  others = [np.delete(_POINTS, i) for i in range(_IN - 1)]
  scales = [np.prod(p - o) for p, o in zip(_POINTS, others, strict=True)]
  values = lambda count: np.vander(_POINTS, count, increasing=True)
  last = lambda count: np.eye(count)[-1:]
  rows = [[*np.poly(o)[::-1], 0] for o in others] + [np.poly(_POINTS)[::-1]]
  g = np.concatenate([values(3) / np.array(scales)[:, None], last(3)])
  a = np.concatenate([values(_OUT), last(_OUT)]).T
  return (np.asarray(m, np.float32) for m in (a, rows, g))


_A, _B, _G = _matrices()
_GG = np.kron(_G, _G)  # of both axes


def suits(pixels: tuple[int, int, int], channels: tuple[int, int]) -> bool:
  """Whether a CPU is faster so; pixels are [B, H, W], channels in and out."""
  _, height, width = pixels
  return (
    height % _OUT == width % _OUT == 0
    and math.prod(pixels) >= _ENOUGH_PIXELS
    and math.prod(channels) >= _ENOUGH_PRODUCTS * sum(channels)
  )


def conv3x3(x: Image, kernel: Kernel) -> Float[Array, 'B H W D']:
  """`x` convolved, padded by one on every side; H and W are multiples of 4."""
  # Else XLA makes four times all kernels of a network first, and keeps them.
  tiles, kernel = fusion.apart((_of_tiles(x), kernel))
  products = tiles @ _of_kernel(kernel)
  return _assembled(products, x.shape[:3])


def kernel_gradient(x: Image, grad: Float[Array, 'B H W D']) -> Kernel:
  """Of the kernel, by as few products."""
  x, grad = _of_tiles(x), _taken_apart(grad)
  taps = jnp.einsum('knc,knd->kcd', x, grad)
  _, c, d = taps.shape
  kernel = _GG.T @ taps.reshape(_IN * _IN, -1)
  return kernel.reshape(3, 3, c, d).swapaxes(0, 1)


def _of_kernel(kernel: Kernel) -> Float[Array, '36 C D']:
  """G k Gᵀ; the 36 are column by column."""
  _, _, c, d = kernel.shape
  taps = kernel.swapaxes(0, 1).reshape(9, -1)
  return (_GG @ taps).reshape(_IN * _IN, c, d)


def _of_tiles(x: Image) -> Float[Array, '36 N C']:
  """B x Bᵀ of the N tiles."""
  b, h, w, c = x.shape
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  x = fusion.apart(x)  # Else all that x is made of would be, for each tile.
  rows = _tiles(x).reshape(b * h // _OUT, _IN, -1)
  rows = jnp.einsum('ij,njp->inp', _B, rows).reshape(-1, w + 2, c)
  both = _tiles(rows).reshape(-1, _IN, c)
  return jnp.einsum('ij,njc->inc', _B, both).reshape(_IN * _IN, -1, c)


def _tiles(
  x: Float[Array, 'M 4*n+2 *rest'],
) -> Float[Array, 'M n 6 *rest']:
  """Two of a tile's six pixels are the first of the next one."""
  count = x.shape[1] // _OUT
  own = x[:, : _OUT * count].reshape(-1, count, _OUT, *x.shape[2:])
  following = [x[:, first::_OUT][:, :, None] for first in (_OUT, _OUT + 1)]
  return jnp.concatenate([own, *following], axis=2)


def _assembled(
  products: Float[Array, '36 N D'], pixels: tuple[int, int, int]
) -> Float[Array, 'B H W D']:
  """The picture of A m Aᵀ."""
  b, h, w = pixels
  columns = (_A @ products.reshape(_IN, -1)).reshape(_OUT, _IN, -1)
  both = jnp.einsum('ij,cjn->cin', _A, columns)
  both = both.reshape(_OUT, _OUT, b, h // _OUT, w // _OUT, -1)
  return both.transpose(2, 3, 1, 4, 0, 5).reshape(b, h, w, -1)


def _taken_apart(picture: Float[Array, 'B H W D']) -> Float[Array, '36 N D']:
  """`_assembled`, transposed: Aᵀ y A."""
  b, h, w, d = picture.shape
  both = picture.reshape(b, h // _OUT, _OUT, w // _OUT, _OUT, d)
  both = both.transpose(4, 2, 0, 1, 3, 5).reshape(_OUT, _OUT, -1)
  columns = jnp.einsum('ji,cjn->cin', _A, both).reshape(_OUT, -1)
  return (_A.T @ columns).reshape(_IN * _IN, -1, d)
