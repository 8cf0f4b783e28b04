import math
import dsviz as ds
from dsviz import nn
import dsviz.nn.functional as F
ds.manual_seed(1)
class S4D(nn.Module):
    def __init__(self, H=4, N=8):
        super().__init__()
        self.C = nn.Parameter(ds.randn(H, N, dtype=ds.cfloat))
        self.log_dt = nn.Parameter(ds.rand(H) * 2 - 4)
        self.log_A = nn.Parameter(ds.log(0.5 * ds.ones(H, N)))
        self.A_imag = nn.Parameter(math.pi * ds.arange(N).float().repeat(H, 1))
        self.D = nn.Parameter(ds.randn(H))
    def forward(self, u):
        L = u.size(-1)
        dt, A = ds.exp(self.log_dt), -ds.exp(self.log_A) + 1j * self.A_imag
        dtA = A * dt.unsqueeze(-1)
        K = dtA.unsqueeze(-1) * ds.arange(L)
        C = self.C * (ds.exp(dtA) - 1.0) / A
        k = 2 * ds.einsum("hn,hnl->hl", C, ds.exp(K)).real
        y = ds.fft.irfft(ds.fft.rfft(u, n=2 * L) * ds.fft.rfft(k, n=2 * L), n=2 * L)[..., :L]
        return y + u * self.D.unsqueeze(-1)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(1, 4); self.s4 = S4D(); self.dec = nn.Linear(4, 2)
    def forward(self, x):
        h = self.enc(x).transpose(1, 2)
        h = F.gelu(self.s4(h)) + h
        return self.dec(h.mean(-1))
net = Net(); opt = ds.optim.AdamW(net.parameters(), lr=1e-2)
x = ds.randn(16, 32, 1).cumsum(1) * 0.3
t = (x[:, -1, 0] > 0).long()
for step in range(20):
    loss = F.cross_entropy(net(x), t)
    opt.zero_grad(); loss.backward(); opt.step()
print(loss.item())
