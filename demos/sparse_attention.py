"""Attention that looks only at the keys that matter, as an op of its own with a derivative of its own.

`@ds.custom_op` makes a function one node of the graph, like any built-in op: stepped, shape-checked, differentiated.
`ds.testing.check_op` holds its derivative to differences before it is trusted.
Run it alone, or step it: `dsviz run demos/sparse_attention.py`. Data: the Zen of Python, letter by letter.
"""

import codecs
import contextlib
import io

import numpy as np

import dsviz as ds

with contextlib.redirect_stdout(io.StringIO()):
    import this

KEEP = 6


def weights_of(query, key):
    """Softmax over the best `KEEP` keys of each query, 0 for the others."""
    scores = query @ key.mT / key.shape[-1] ** 0.5
    least = ds.topk(scores, KEEP, -1)[0][..., -1:]
    return ds.softmax(ds.where(scores >= least, scores, -1e9), -1)


@ds.custom_op(shape=lambda query, key, value: (*query[:-1], value[-1]))
def sparse_attention(query, key, value):
    """Each query mixes the values of the keys it scores highest."""
    return weights_of(query, key) @ value


def derivative(grad, query, key, value):
    weights = weights_of(query, key)
    to_weights = grad @ value.mT
    to_scores = weights * (to_weights - (to_weights * weights).sum(-1, keepdim=True)) / key.shape[-1] ** 0.5
    return to_scores @ key, to_scores.mT @ query, weights.mT @ grad


ds.register_derivative(sparse_attention, grad_fn=derivative)
checked = ds.testing.check_op(sparse_attention, [(ds.randn(2, 8, 4), ds.randn(2, 8, 4), ds.randn(2, 8, 3))])
print(f"the derivative is that of differences on {checked} sample")

text = codecs.decode(this.s, "rot13")
letters = sorted(set(text))
ids = np.array([letters.index(letter) for letter in text])


class Reader(ds.Module):
    def __init__(self, width=24):
        self.embed = ds.Embedding(len(letters), width)
        self.query, self.key, self.value = (ds.Linear(width, width) for _ in range(3))
        self.head = ds.Linear(2 * width, len(letters))

    def forward(self, ids):
        x = self.embed(ids)
        mixed = sparse_attention(self.query(x[:, -1:]), self.key(x), self.value(x))
        return self.head(ds.cat([x[:, -1], mixed[:, 0]], 1))


ds.manual_seed(0)
rng = np.random.default_rng(0)
net = Reader()
optimizer = ds.optim.Adam(net.parameters(), lr=1e-2)
for step in range(120):
    starts = rng.integers(0, len(ids) - 13, 32)
    windows = np.stack([ids[s : s + 13] for s in starts])
    loss = ds.cross_entropy(net(windows[:, :-1]), windows[:, -1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 40 == 39:
        print(f"step {step + 1:3d}: loss {loss.item():.3f}")
