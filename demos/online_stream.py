"""Learning from a stream whose rules change: new classes appear, the network grows, and memory does not.

Clicks arrive in small batches. At first only the digits 0 to 4 are asked for; later the others come in, one by one,
and `update_rules` gives the network an output for each. Nothing is kept of a batch once its block is over.
Run it alone, or step it: `dsviz run demos/online_stream.py`. Data: scikit-learn's handwritten digits.
"""

import gc

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


def data_stream(batches):
    digits = load_digits()
    x, y = (digits.data / 16).astype(np.float32), digits.target
    rng = np.random.default_rng(0)
    for number in range(batches):
        known = min(10, 5 + number // 80)  # what people ask for drifts
        among = np.flatnonzero(y < known)
        chosen = rng.choice(among, 16)
        yield x[chosen], y[chosen].astype(np.int64)


class OnlineModel(ds.Module):
    def __init__(self, classes):
        self.body = ds.Sequential(ds.Linear(64, 48), ds.ReLU())
        self.head = ds.Linear(48, classes)
        self.seen = classes
        self.right = 0.5

    def forward(self, batch):
        x, y = batch
        self.seen = max(self.seen, int(y.max()) + 1)
        if self.seen > self.head.out_features:  # a class nobody saw before: it has no output yet
            self.update_rules()
        scores = self.head(self.body(x))
        self.right = 0.95 * self.right + 0.05 * float((scores.argmax(1).numpy() == y).mean())
        return ds.cross_entropy(scores, y)

    def update_rules(self):
        if self.seen > self.head.out_features:
            self.head.out_features = self.seen
            print(f"  the network grows to {self.seen} classes")


ds.manual_seed(0)
model = OnlineModel(5)
optimizer = ds.optim.Adam(model.parameters(), lr=3e-3)

for number, batch in enumerate(data_stream(480)):
    with ds.stream_graph(window=200) as graph:
        loss = model(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.update_rules()
    if number % 80 == 79:
        gc.collect()
        tensors = sum(issubclass(type(thing), ds.Tensor) for thing in gc.get_objects())
        print(
            f"batch {number + 1}: right {model.right:.0%}, {len(graph.nodes)} nodes in the window, "
            f"{graph.dropped} let go, {tensors} tensors alive"
        )
