"""Attention whose gradients are fast on a CPU, too.

    out = softmax(q kᵀ / √D) v

XLA's CPU backend divides by the softmax's denominator in a pass of its own over
all queries and keys, for which it first writes that denominator once for every
key; its gradients take more such passes. Here the result is divided, which has
fewer channels than there are keys, and of the gradients' sums over keys one is
taken over channels: with errors dP of the weights P and dO of the result O,
sum over keys of P dP = sum over channels of O dO (Dao et al., FlashAttention,
appendix B.2).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Heads = Float[Array, 'B N H D']  # N: queries Q, or keys and values K
Weights = Float[Array, 'B H Q K']
Total = Float[Array, 'B H Q 1']


def attend(q: Heads, k: Heads, v: Heads) -> Heads:
  """Softmax attention; the softmax is in float32 whatever the type is."""
  return _attend(q, k, v) if q.dtype == jnp.float32 else _plain(q, k, v)


def _plain(q, k, v) -> Heads:
  logits = jnp.einsum('bqhd,bkhd->bhqk', q, k) * q.shape[-1] ** -0.5
  weights = jax.nn.softmax(logits.astype(jnp.float32)).astype(q.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', weights, v)


@jax.custom_vjp
def _attend(q: Heads, k: Heads, v: Heads) -> Heads:
  return _forward(q, k, v)[0]


def _forward(q, k, v):
  """The result, and what the gradients need."""
  q, k, v = _turn(q * q.shape[-1] ** -0.5, k, v)
  logits = jnp.einsum('bhqd,bhkd->bhqk', q, k)
  weights, total = lax.platform_dependent(
    logits, cpu=_exponentials, default=_softmax
  )
  out = jnp.einsum('bhqk,bhkd->bhqd', weights, v) / total
  return _turn(out)[0], (q, k, v, out, weights, total)


def _backward(kept, grad: Heads):
  q, k, v, out, weights, total = kept
  (grad,) = _turn(grad)
  mean = (out * grad).sum(-1, keepdims=True)
  grad /= total
  errors = weights * (jnp.einsum('bhqd,bhkd->bhqk', grad, v) - mean / total)
  return _turn(
    jnp.einsum('bhqk,bhkd->bhqd', errors, k) * q.shape[-1] ** -0.5,
    _sum_over_queries(errors, q),
    _sum_over_queries(weights, grad),
  )


_attend.defvjp(_forward, _backward)


def _sum_over_queries(
  weights: Weights, x: Float[Array, 'B H Q D']
) -> Float[Array, 'B H K D']:
  """weightsᵀ x as (xᵀ weights)ᵀ: `x` is the smaller one to turn."""
  turned = jnp.einsum('bhdq,bhqk->bhdk', x.swapaxes(2, 3), weights)
  return turned.swapaxes(2, 3)


def _turn(*arrays):
  """[B N H D] ↔ [B H N D], in which a CPU multiplies heads faster."""
  return tuple(x.transpose(0, 2, 1, 3) for x in arrays)


def _exponentials(logits) -> tuple[Weights, Total]:
  """Weights, and what they are still to be divided by."""
  weights = jnp.exp(logits - logits.max(-1, keepdims=True))
  return weights, weights.sum(-1, keepdims=True)


def _softmax(logits) -> tuple[Weights, Total]:
  return jax.nn.softmax(logits), jnp.ones((*logits.shape[:-1], 1))
