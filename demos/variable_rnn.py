"""An LSTM cell in an ordinary Python loop, over lines of different length.

It learns to guess the next character of Python's own standard library source (`textwrap.py`): every line is a
sequence of its own length, so every iteration builds a graph of its own size.
Run it alone, or step it: `dsviz run demos/variable_rnn.py`.
"""

import textwrap
from pathlib import Path

import numpy as np

import dsviz as ds

text = Path(textwrap.__file__).read_text(encoding="utf-8")
lines = [line.strip() for line in text.splitlines() if 12 <= len(line.strip()) <= 60]
letters = sorted({letter for line in lines for letter in line})
number = {letter: i for i, letter in enumerate(letters)}


class NextLetter(ds.Module):
    def __init__(self, letters, width=64):
        self.width = width
        self.embed = ds.Embedding(letters, 24)
        self.cell = ds.LSTMCell(24, width)
        self.head = ds.Linear(width, letters)

    def forward(self, ids):
        embedded = self.embed(ids)
        h, c = ds.zeros(1, self.width), ds.zeros(1, self.width)
        states = []
        for t in range(len(ids)):
            h, c = self.cell(embedded[t : t + 1], (h, c))
            states.append(h)
        states = ds.cat(states, dim=0)
        return self.head(states)


ds.manual_seed(0)
net = NextLetter(len(letters))
optimizer = ds.optim.Adam(net.parameters(), lr=5e-3)
losses = []

for step, line in enumerate(lines[:120]):
    ids = np.array([number[letter] for letter in line])
    with ds.trace():
        loss = ds.cross_entropy(net(ids[:-1]), ids[1:])
        optimizer.zero_grad()
        loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step % 20 == 19:
        print(
            f"line {step + 1:3d}, {len(ids)} letters: loss of the last 20 lines {np.mean(losses[-20:]):.3f}"
        )
