"""The seed's network, grown into a digit classifier: a branch is taken on some batches and not on others.

Run it alone (`python demos/dynamic_net.py`) or step it in the browser (`dsviz run demos/dynamic_net.py`).
Data: the 1,797 handwritten digits that scikit-learn ships.
"""

import numpy as np
from sklearn.datasets import load_digits

import dsviz as ds


class DynamicNet(ds.Module):
    def __init__(self):
        self.layer1 = ds.Linear(64, 128)
        self.refine = ds.Linear(128, 128)
        self.head = ds.Linear(128, 10)

    def forward(self, x, flag):
        x = ds.relu(self.layer1(x))
        if flag:  # only a batch that was hard gets the second layer and the dropout
            x = x + ds.relu(self.refine(x))
            x = ds.dropout(x, 0.2, training=self.training)
        return self.head(x)


def batches(x, y, size, rng):
    order = rng.permutation(len(x))
    for start in range(0, len(x) - size + 1, size):
        chosen = order[start : start + size]
        yield x[chosen], y[chosen]


digits = load_digits()
x = (digits.data / 16).astype(np.float32)
y = digits.target.astype(np.int64)
train_x, train_y, test_x, test_y = x[:1500], y[:1500], x[1500:], y[1500:]

ds.manual_seed(0)
rng = np.random.default_rng(0)
net = DynamicNet()
optimizer = ds.optim.Adam(net.parameters(), lr=2e-3)
last_loss = 0.0

for epoch in range(4):
    hard = 0
    for images, labels in batches(train_x, train_y, 50, rng):
        flag = last_loss > 0.25
        hard += flag
        with ds.trace():
            loss = ds.cross_entropy(net(images, flag), labels)
            optimizer.zero_grad()
            ds.backward(loss)
        optimizer.step()
        last_loss = loss.item()
    net.eval()
    with ds.no_grad():
        right = (net(test_x, False).argmax(dim=1).numpy() == test_y).mean()
    net.train()
    print(
        f"epoch {epoch + 1}: loss {last_loss:.3f}, branch taken on {hard} of 30 batches, test accuracy {right:.1%}"
    )
