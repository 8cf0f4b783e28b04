"""The configuration: from a YAML file, for a block, and what it says of a mistake.

Run it alone, or step it: `dsviz run demos/configuration.py`. Data: scikit-learn's iris measurements.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

import dsviz as ds

CONFIG = """\
graph_config:
  memory_optimization: true  # park released buffers and use them again
  trace_level: 2             # 0 off, 1 operations, 2 operations and tensors
  jit_threshold: 50
"""

iris = load_iris()
x = ((iris.data - iris.data.mean(0)) / iris.data.std(0)).astype(np.float32)
y = iris.target.astype(np.int64)
ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 16), ds.Tanh(), ds.Linear(16, 3))

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    with ds.load_config(path) as config:
        print(config)
        with ds.trace() as graph:
            ds.backward(ds.cross_entropy(net(x), y))
for node in graph.nodes:
    seen = graph.statistics[node.id]
    print(f"  {node.label:16} {list(node.shape)!s:12} mean {seen['mean']:+.4f}, std {seen['std']:.4f}")

with ds.graph_config(trace_level=0), ds.trace() as graph:
    net(x)
print(f"at level 0 a trace holds {len(graph.nodes)} nodes")

try:
    ds.graph_config(trace_levl=2)
except ds.ConfigError as error:
    print(error)
