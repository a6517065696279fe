"""The device mesh and one ordered table of how parameters lie on it.

Mesh axes: 'data' (replicas) and 'fsdp' (parameters and optimizer state are
split, batches too). The first rule whose pattern matches the end of a
parameter's path wins; a path that no rule matches raises. Where the axis does
not divide the dimension that the rule names, it takes the largest other one
that it does divide: conv_out has six channels, and Adafactor's sums over rows
and columns (v_row, v_col) have a dimension less than their kernel. Where there
is none, the tensor is replicated, as all biases and scales are: 0.5 to 1.2 % of
the embedded stages' numbers, less than 0.1 % of DeepFloyd IF's.

There is no 'tensor' axis: 'fsdp' serves as one where it would pay, that is with
fewer examples than devices. The batch then lies on every device (`put_batch`),
each has a part of every kernel's channels, and the compiler splits the work so:
the gradient of 4 images of the embedded base is 14.6 GFLOP on one device, and
with fsdp = 8 it is 1.9 GFLOP on each.
"""

import re

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dbflax import beside, errors

AXES = ('data', 'fsdp')
_TYPES = (AxisType.Auto,) * len(AXES)
AnyMesh = Mesh | AbstractMesh
RULES = (
  (r'(conv_in|conv1|conv2|conv_out)/kernel$', P(None, None, None, 'fsdp')),
  # The rank of a LoRA is too small to split; B is split as a kernel is.
  (r'lora_A/kernel$', P('fsdp', None)),
  (r'kernel$', P(None, 'fsdp')),
  # By features: a token is then looked up without a word to other devices.
  (r'embedding$', P(None, 'fsdp')),
  (r'(bias|scale)$', P()),
  (r'(step|count|ns_coeffs)$', P()),
)


def make_mesh(data: int = -1, fsdp: int = 1, devices=None) -> Mesh:
  """A mesh of all devices; -1 takes what the other axis leaves."""
  devices = jax.devices() if devices is None else devices
  shape = mesh_shape(len(devices), data, fsdp)
  # Explicit axes, JAX's default, break sharded convolutions.
  return jax.make_mesh(shape, AXES, axis_types=_TYPES, devices=devices)


def abstract_mesh(devices: int, data: int = -1, fsdp: int = 1) -> AbstractMesh:
  """The mesh that `devices` devices would make; none has to be there."""
  shape = mesh_shape(devices, data, fsdp)
  return AbstractMesh(shape, AXES, axis_types=_TYPES)


def has_room(mesh: AnyMesh) -> bool:
  """Whether two programs on it go at once (`beside.call`).

  Never on one whose devices are not this process's, as a plan's may be.
  """
  is_here = isinstance(mesh, Mesh) and mesh.devices.flat[0] in jax.devices()
  return is_here and beside.has_room()


def is_of_cpus(mesh: AnyMesh) -> bool:
  """Not if nothing is known of its devices, as in a plan."""
  return isinstance(mesh, Mesh) and mesh.devices.flat[0].platform == 'cpu'


def mesh_shape(devices: int, data: int, fsdp: int) -> tuple[int, int]:
  """(data, fsdp) without the -1.

  Raises:
    UserError: they do not make up the devices.
  """
  data = devices // fsdp if data == -1 else data
  if data * fsdp != devices:
    raise errors.UserError(
      f'mesh.data × mesh.fsdp = {data} × {fsdp} is not the {devices} devices '
      'here; set mesh.data=-1 and an fsdp that divides them.'
    )
  return data, fsdp


def spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> P:
  """The partition of one tensor by the table."""
  for pattern, rule in RULES:
    if re.search(pattern, path):
      return _fit(rule, shape, mesh)
  raise ValueError(f'no sharding rule matches {path!r} {shape}; add one.')


def _fit(rule: P, shape: tuple[int, ...], mesh: Mesh) -> P:
  """The rule's axis on its dimension, or on the largest that it divides."""
  named = [n for n, axis in enumerate(rule) if axis]
  if not named:
    return P()
  [first] = named
  axis = rule[first]
  others = sorted(range(len(shape)), key=lambda n: shape[n], reverse=True)
  for n in (first, *others):
    if n < len(shape) and shape[n] % mesh.shape[axis] == 0:
      return P(*(axis if n == m else None for m in range(len(shape))))
  return P(*(None for _ in shape))


def shard_tree(tree, mesh: Mesh):
  """A tree of NamedShardings for parameters, optimizer state or both.

  Optimizer moments end in their parameter's path, so they lie as it lies.
  """

  def one(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return NamedSharding(mesh, spec(name, leaf.shape, mesh))

  return jax.tree_util.tree_map_with_path(one, tree)


def as_key(shardings) -> tuple:
  """A tree of shardings to look something up by; `from_key` undoes it."""
  leaves, structure = jax.tree.flatten(shardings)
  return structure, tuple(leaves)


def from_key(key: tuple):
  return jax.tree.unflatten(*key)


def batch(mesh: Mesh) -> NamedSharding:
  """Examples are split over all devices."""
  return NamedSharding(mesh, P(AXES))


def batch_of(size: int, mesh: Mesh) -> NamedSharding:
  """How `size` examples lie: split, or replicated if that is uneven."""
  return batch(mesh) if size % mesh.size == 0 else replicated(mesh)


def replicated(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, P())


def put_batch(tree, mesh: Mesh):
  """Arrays [B, …] onto the mesh; replicated where B does not divide."""
  return jax.tree.map(lambda a: _put(a, batch_of(a.shape[0], mesh)), tree)


def put(tree, shardings):
  """A tree of arrays to where its tree of shardings says.

  What lies on one host alone, such as numpy's arrays, is taken to be equal on
  all hosts, each of which has it.
  """
  return jax.tree.map(_put, tree, shardings)


def _put(array, where: NamedSharding) -> jax.Array:
  is_global = isinstance(array, jax.Array) and not array.is_fully_addressable
  if is_global or where.is_fully_addressable:
    return jax.device_put(array, where)
  if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
    data = _put(jax.random.key_data(array), where)
    return jax.random.wrap_key_data(data)
  # `device_put` would compare the hosts' values, each time.
  host = np.asarray(array)
  return jax.make_array_from_callback(host.shape, where, lambda i: host[i])


def microbatches(tree, count: int, mesh: Mesh):
  """Arrays [B, …] as [count, B / count, …], inside a jitted function.

  A microbatch is every count-th example, not a run of them: so each device has
  its part of each, and no example moves.
  """

  def split(array):
    parts = array.reshape(-1, count, *array.shape[1:]).swapaxes(0, 1)
    if parts.shape[1] % mesh.size:
      return parts
    whole = NamedSharding(mesh, P(None, AXES))
    return jax.lax.with_sharding_constraint(parts, whole)

  return jax.tree.map(split, tree)
