"""The gradients of an LSTM's gates, by the chain rule: how much each gate was to blame, step by step.

The cell is written from its equations, so every gate is a node of its own; its gradient is kept and printed.
Run it alone, or step it: `dsviz run demos/lstm_gates.py`. Data: Python's own list of keywords, as words to tell apart
from words that are not.
"""

import builtins
import keyword

import numpy as np

import dsviz as ds

words = [(word, 1) for word in keyword.kwlist] + [(word, 0) for word in dir(builtins) if word.islower()]
GATES = ("input", "forget", "cell", "output")


class Cell(ds.Module):
    def __init__(self, inputs, width):
        self.width = width
        self.joint = ds.Linear(inputs + width, 4 * width)

    def forward(self, x, h, c):
        i, f, g, o = ds.chunk(self.joint(ds.cat([x, h], dim=1)), 4, dim=1)
        i, f, g, o = ds.sigmoid(i), ds.sigmoid(f), ds.tanh(g), ds.sigmoid(o)
        c = f * c + i * g  # what is kept, and what is new
        return o * ds.tanh(c), c, (i, f, g, o)


class Judge(ds.Module):
    def __init__(self, width=24):
        self.embed = ds.Embedding(128, 12)
        self.cell = Cell(12, width)
        self.head = ds.Linear(width, 1)

    def forward(self, word):
        letters = self.embed(np.array([min(ord(letter), 127) for letter in word]))
        h = c = ds.zeros(1, self.cell.width)
        gates = []
        for t in range(len(word)):  # as many turns as the word has letters
            h, c, gate = self.cell(letters[t : t + 1], h, c)
            gates.append(gate)
        return self.head(h)[0, 0], gates


ds.manual_seed(0)
rng = np.random.default_rng(0)
net = Judge()
optimizer = ds.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(3):
    total = 0.0
    for at in rng.permutation(len(words)):
        word, is_keyword = words[at]
        score, gates = net(word)
        loss = ds.binary_cross_entropy_with_logits(score, ds.tensor(float(is_keyword)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(words):.3f}")

score, gates = net("lambda")
for turn in gates:
    for gate in turn:
        gate.retain_grad()
ds.binary_cross_entropy_with_logits(score, ds.tensor(1.0)).backward()
print("gradient norms of the gates, letter by letter")
print("       " + "".join(f"{name:>10}" for name in GATES))
for letter, turn in zip("lambda", gates, strict=True):
    print(f"  {letter}    " + "".join(f"{float(np.linalg.norm(gate.grad.numpy())):10.1e}" for gate in turn))
