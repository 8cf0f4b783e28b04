"""Segmentation with feature maps to look at: a small U-Net finds the ink of digits on a noisy ground.

Stop it anywhere and choose a node: its channels are shown as pictures.
Run it alone, or step it: `dsviz run demos/segmentation.py`. Data: scikit-learn's handwritten digits.
"""

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


class UNet(ds.Module):
    def __init__(self, width=8):
        self.down1 = ds.Conv2d(1, width, 3, padding=1)
        self.down2 = ds.Conv2d(width, 2 * width, 3, padding=1)
        self.up = ds.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join = ds.Conv2d(2 * width, width, 3, padding=1)
        self.out = ds.Conv2d(width, 1, 1)
        self.pool = ds.MaxPool2d(2)

    def forward(self, x):
        fine = ds.relu(self.down1(x))
        coarse = ds.relu(self.down2(self.pool(fine)))
        joined = ds.cat([fine, self.up(coarse)], dim=1)
        return self.out(ds.relu(self.join(joined)))


digits = load_digits().images.astype(np.float32) / 16
rng = np.random.default_rng(0)
ink = (digits > 0.5).astype(np.float32)[:, None]
noisy = (digits + rng.normal(0, 0.35, digits.shape)).astype(np.float32)[:, None]

ds.manual_seed(0)
net = UNet()
optimizer = ds.optim.Adam(net.parameters(), lr=5e-3)
for step in range(60):
    chosen = rng.integers(0, 1500, 32)
    loss = ds.binary_cross_entropy_with_logits(net(noisy[chosen]), ink[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 19:
        print(f"step {step + 1}: loss {loss.item():.3f}")

with ds.no_grad():
    found = net(noisy[1500:]).numpy() > 0
truth = ink[1500:] > 0
print(f"overlap of found and true ink: {(found & truth).sum() / (found | truth).sum():.2f}")
for row_found, row_true in zip(found[0, 0], truth[0, 0], strict=True):
    print("".join(" #"[int(a)] for a in row_true), " ", "".join(" #"[int(a)] for a in row_found))
