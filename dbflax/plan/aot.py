"""The process in which a step is compiled ahead of time for a TPU slice.

  python -m dbflax.plan.aot < request     (`compiled.elsewhere` makes it)

A pickled (config, step, folder) comes in; json goes out, as the last line.
"""

import json
import pickle
import sys

from dbflax import sharding
from dbflax.plan import compiled, hardware, planner


def main() -> None:
  config, name, folder = pickle.load(sys.stdin.buffer)
  topology = hardware.parse(config.plan.topology)
  devices = compiled.devices(topology)
  mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp, devices)
  flat = sharding.make_mesh(1, topology.size, devices)
  step = planner.step_of(config, name, (mesh, flat))
  found = compiled.measure(step, folder, topology.name, compiled.TPU_OPTIONS)
  print(json.dumps(found))


if __name__ == '__main__':
  main()
