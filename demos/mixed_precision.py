"""Mixed precision: the same classifier in float32 and in float16 with float32 master weights.

Under `amp` products run in float16 and every cast is a node of the graph; a fifth of the layers, those that float16
hurts most, stay in float32; the loss is scaled, and a step that overflows is left out.
Run it alone, or step it: `dsviz run demos/mixed_precision.py`. Data: scikit-learn's handwritten digits.
"""

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds

digits = load_digits()
x = (digits.data / 16).astype(np.float32)
y = digits.target.astype(np.int64)


def train(**keys):
    ds.manual_seed(0)
    net = ds.Sequential(
        ds.Linear(64, 128),
        ds.ReLU(),
        ds.Linear(128, 128),
        ds.ReLU(),
        ds.Linear(128, 64),
        ds.Tanh(),
        ds.Linear(64, 10),
    )
    optimizer = ds.optim.Adam(net.parameters(), lr=1e-3)
    with ds.graph_config(**keys):
        for _ in range(4):
            for start in range(0, 1500, 50):
                with ds.trace() as graph:
                    loss = ds.cross_entropy(net(x[start : start + 50]), y[start : start + 50])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        report = ds.amp_report()
    layers = [node for node in graph.nodes if node.label in ("linear", "relu", "tanh")]
    with ds.no_grad():
        right = (net(x[1500:]).argmax(1).numpy() == y[1500:]).mean()
    return right, sum(node.nbytes for node in layers), report


plain, plain_bytes, _ = train()
mixed, mixed_bytes, report = train(amp=True, keep_fp32=0.2, loss_scaling=128.0)
print(f"float32: test accuracy {plain:.1%}, {plain_bytes / 1e3:.0f} kB of activations")
print(f"mixed:   test accuracy {mixed:.1%}, {mixed_bytes / 1e3:.0f} kB of activations")
print(f"loss scale {report['loss_scale']}, {report['skipped_steps']} steps left out")
for layer in report["layers"]:
    print(f"  {layer['name']} runs in {layer['dtype']}: float16 is off by {layer['sensitivity']:.1e}")
