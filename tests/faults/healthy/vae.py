import numpy as np
import dsviz as ds

ds.manual_seed(0)
enc, dec = ds.Linear(12, 8), ds.Linear(4, 12)
opt = ds.optim.Adam([{"params": enc.parameters()}, {"params": dec.parameters(), "lr": 2e-3}], lr=1e-3)
rng = np.random.default_rng(0)
for _ in range(8):
    x = ds.tensor((rng.random((16, 12)) > 0.5).astype(np.float32))
    mu, logvar = enc(x).chunk(2, dim=1)
    z = mu + ds.exp(0.5 * logvar) * ds.randn(16, 4)
    rec = ds.nn.functional.binary_cross_entropy_with_logits(dec(z), x, reduction="sum") / 16
    kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=1).mean()
    loss = rec + kl
    opt.zero_grad()
    loss.backward()
    opt.step()
