"""A Transformer that is rebuilt while it trains: its heads change, and a new block joins without a jump in the loss.

It reads the Zen of Python letter by letter. At step 40 it goes from 2 to 4 heads; at step 80 a second block is added
whose last layer starts at zero, so that the function stays what it was. The optimizer follows by itself.
Run it alone, or step it: `dsviz run demos/live_heads.py`.
"""

import codecs
import contextlib
import io

import numpy as np

import dsviz as ds

with contextlib.redirect_stdout(io.StringIO()):
    import this

text = codecs.decode(this.s, "rot13")
letters = sorted(set(text))
ids = np.array([letters.index(letter) for letter in text])
LENGTH, WIDTH = 32, 32


class Block(ds.Module):
    def __init__(self, heads):
        self.attn = ds.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.norm1, self.norm2 = ds.LayerNorm(WIDTH), ds.LayerNorm(WIDTH)
        self.mlp = ds.Sequential(ds.Linear(WIDTH, 64), ds.GELU(), ds.Linear(64, WIDTH))

    def forward(self, x, mask):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Reader(ds.Module):
    def __init__(self):
        self.embed = ds.Embedding(len(letters), WIDTH)
        self.place = ds.Embedding(LENGTH, WIDTH)
        self.blocks = ds.ModuleList([Block(heads=2)])
        self.head = ds.Linear(WIDTH, len(letters))
        self.mask = np.triu(np.ones((LENGTH, LENGTH), bool), 1)  # nobody looks ahead

    def forward(self, ids):
        x = self.embed(ids) + self.place(np.arange(LENGTH))
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(x)


ds.manual_seed(0)
rng = np.random.default_rng(0)
net = Reader()
optimizer = ds.optim.Adam(net.parameters(), lr=1e-2)

for step in range(120):
    if step == 40:
        net.blocks[0].attn.num_heads = 4
        print("two heads become four")
    if step == 80:
        block = Block(heads=4)
        for layer in (block.attn.out_proj, block.mlp[2]):  # adds nothing yet
            ds.nn.init.zeros_(layer.weight)
            ds.nn.init.zeros_(layer.bias)
        net.blocks.append(block)
        print("a second block joins, and changes nothing yet")
    starts = rng.integers(0, len(ids) - LENGTH - 1, 16)
    windows = np.stack([ids[s : s + LENGTH + 1] for s in starts])
    loss = ds.cross_entropy(net(windows[:, :-1]).reshape(-1, len(letters)), windows[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9 or step in (39, 40, 79, 80):
        print(f"step {step + 1:3d}: loss {loss.item():.3f}, {len(optimizer.state)} parameters with a state")
