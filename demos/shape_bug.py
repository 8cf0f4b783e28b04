"""A network with a mistake on a branch that is rarely taken: one Linear has the wrong size.

Alone, the program dies at the first long review with a ShapeMismatchError that names the lines which chose the two
sizes. Under `dsviz run demos/shape_bug.py` it pauses just before that: press Continue, then look.
Data: Python's own `this` module, read as short and long "reviews".
"""

import codecs
import contextlib
import io

import numpy as np

import dsviz as ds

with contextlib.redirect_stdout(io.StringIO()):
    import this

verses = codecs.decode(this.s, "rot13").splitlines()[2:]
words = sorted({word for verse in verses for word in verse.split()})
number = {word: i for i, word in enumerate(words)}


class Reviews(ds.Module):
    def __init__(self, words, hidden=128):
        self.embed = ds.Embedding(words, hidden)
        self.mix = ds.Linear(hidden, hidden)
        self.long = ds.Linear(2 * hidden, 64)
        self.head = ds.Linear(hidden, 2)  # the long way gives 64 features: this layer does not take them

    def forward(self, ids):
        x = self.embed(ids)
        first = ds.tanh(self.mix(x)).mean(dim=0, keepdim=True)
        if len(ids) > 12:  # rarely
            last = x[-1:]
            first = ds.relu(self.long(ds.cat([first, last], dim=1)))
        return self.head(first)


ds.manual_seed(0)
net = Reviews(len(words))
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)

for verse in verses:
    ids = np.array([number[word] for word in verse.split()])
    label = np.array([int("better" in verse)])
    loss = ds.cross_entropy(net(ids), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{len(ids):2d} words: loss {loss.item():.3f}")
