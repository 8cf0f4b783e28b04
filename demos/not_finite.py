"""A loss that becomes infinite: log of a probability that is exactly 0.

Alone, the program prints a few losses, then nan for ever. Under `dsviz run demos/not_finite.py`, add the breakpoint
"NaN or Inf" and press Continue: it stops at the first node that made a value that is not finite.
Data: the 1,797 handwritten digits that scikit-learn ships, their pixels left at 0 to 16 by mistake.
"""

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


class Classifier(ds.Module):
    def __init__(self, hidden=64):
        self.first = ds.Linear(64, hidden)
        self.head = ds.Linear(hidden, 10)

    def forward(self, x):
        return self.head(ds.relu(self.first(x)))


digits = load_digits()
x = digits.data.astype(np.float32)  # not divided by 16: the scores become large
y = np.eye(10, dtype=np.float32)[digits.target]

ds.manual_seed(0)
net = Classifier()
optimizer = ds.optim.SGD(net.parameters(), lr=2.0)

for start in range(0, 640, 64):
    images, wanted = x[start : start + 64], ds.tensor(y[start : start + 64])
    p = ds.softmax(net(images), dim=1)
    loss = -ds.mean(wanted * ds.log(p))  # where p is exactly 0 this is 0 * -inf
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"loss {loss.item():.4f}")
