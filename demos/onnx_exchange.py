"""A model goes out as an ONNX file with a free batch, is run by onnxruntime, and comes back to be stepped.

    dsviz run demos/onnx_exchange.py
    python demos/onnx_exchange.py digits.onnx            keeps the file; then step its nodes, one line each:
    dsviz run digits.onnx

Data: scikit-learn's handwritten digits. Needs `pip install "dsviz[onnx]"`.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits

import dsviz as ds

digits = load_digits()
x, y = (digits.images / 16).astype(np.float32)[:, None], digits.target.astype(np.int64)

ds.manual_seed(0)
net = ds.Sequential(
    ds.Conv2d(1, 12, 3, padding=1), ds.BatchNorm2d(12), ds.ReLU(), ds.MaxPool2d(2),
    ds.Flatten(), ds.Linear(192, 10), ds.Softmax(dim=1),
)  # fmt: skip
optimizer = ds.optim.Adam(net.parameters(), lr=3e-3)
for start in range(0, 1500, 50):
    loss = ds.nll_loss(ds.log(net(x[start : start + 50])), y[start : start + 50])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
net.eval()

path = Path(sys.argv[1] if sys.argv[1:] else Path(tempfile.mkdtemp()) / "digits.onnx")
ds.onnx.export(net, path, (x[:4],), dynamic_axes=True)
print(f"exported: {path.stat().st_size:,} bytes")

with ds.no_grad():
    ours = net(x[1500:]).numpy()
elsewhere = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(theirs,) = elsewhere.run(None, {elsewhere.get_inputs()[0].name: x[1500:]})
print(f"onnxruntime differs by at most {np.abs(ours - theirs).max():.1e} on {len(theirs)} images")

back = ds.onnx.load(path)
with ds.no_grad(), ds.trace() as graph:
    again = back(x[1500:]).numpy()
print(
    f"read back: differs by at most {np.abs(ours - again).max():.1e}, right on {(again.argmax(1) == y[1500:]).mean():.1%}"
)
print("its nodes:", ", ".join(call.path.partition(".")[2] for call in graph.modules[1:]))

# What was read is a module like any other: it is trained on.
first = ds.nll_loss(ds.log(back(x[:200])), y[:200])
optimizer = ds.optim.SGD(back.parameters(), lr=0.1)
for _ in range(3):
    loss = ds.nll_loss(ds.log(back(x[:200])), y[:200])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"trained on: loss {first.item():.4f} to {loss.item():.4f}")
