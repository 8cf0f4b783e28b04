"""Models written once, for two frameworks: `Zoo(lib)` gives the classes on `torch`, or on this engine.

The text of each class is what a person would write for PyTorch; that it runs on both is the point.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def zoo(lib: Any, nn: Any, F: Any) -> SimpleNamespace:
    """Every model as a class on `lib` (torch or the engine), its `nn` and its `nn.functional`."""

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh())
            self.head = nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.body(x))

    class BasicBlock(nn.Module):
        expansion = 1

        def __init__(self, inner, width, stride=1):
            super().__init__()
            self.conv1 = nn.Conv2d(inner, width, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.shortcut = nn.Sequential()
            if stride != 1 or inner != width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inner, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
                )

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += self.shortcut(x)
            return F.relu(out)

    class Bottleneck(nn.Module):
        expansion = 4

        def __init__(self, inner, width, stride=1):
            super().__init__()
            outer = width * 4
            self.conv1 = nn.Conv2d(inner, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, outer, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outer)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or inner != outer:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inner, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer)
                )

        def forward(self, x):
            identity = x if self.downsample is None else self.downsample(x)
            x = self.relu(self.bn1(self.conv1(x)))
            x = self.relu(self.bn2(self.conv2(x)))
            x = self.bn3(self.conv3(x))
            return self.relu(x + identity)

    class ResNet(nn.Module):
        def __init__(self, block, layers, width=4, classes=5):
            super().__init__()
            self.inner = width
            self.stem = nn.Sequential(
                nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                nn.MaxPool2d(3, stride=2, padding=1),
            )  # fmt: skip
            self.layers = nn.ModuleList(
                [self._layer(block, width * 2**i, n, 1 if i == 0 else 2) for i, n in enumerate(layers)]
            )
            self.fc = nn.Linear(width * 8 * block.expansion, classes)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(m, nn.BatchNorm2d):
                    nn.init.constant_(m.weight, 1)
                    nn.init.constant_(m.bias, 0)

        def _layer(self, block, width, count, stride):
            blocks = []
            for i in range(count):
                blocks.append(block(self.inner, width, stride if i == 0 else 1))
                self.inner = width * block.expansion
            return nn.Sequential(*blocks)

        def forward(self, x):
            x = self.stem(x)
            for layer in self.layers:
                x = layer(x)
            x = F.adaptive_avg_pool2d(x, (1, 1))
            return self.fc(lib.flatten(x, 1))

    class LanguageModel(nn.Module):
        """Sequences of different length, packed."""

        def __init__(self, letters=11, width=8, hidden=12):
            super().__init__()
            self.embed = nn.Embedding(letters, width, padding_idx=0)
            self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True)
            self.head = nn.Linear(hidden, letters)

        def forward(self, ids, lengths):
            x = self.embed(ids)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, (h, c) = self.lstm(packed)
            out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
            return self.head(out), h, c

    class Encoder(nn.Module):
        def __init__(self, letters=11, width=16):
            super().__init__()
            self.embed = nn.Embedding(letters, width)
            self.place = nn.Parameter(lib.zeros(1, 9, width))
            layer = nn.TransformerEncoderLayer(width, 4, 32, dropout=0.0, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(
                layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False
            )
            self.head = nn.Linear(width, letters, bias=False)

        def forward(self, ids):
            n = ids.shape[1]
            mask = lib.triu(lib.ones(n, n, dtype=lib.bool), diagonal=1)
            x = self.embed(ids) + self.place[:, :n]
            x = self.encoder(x, mask=mask, src_key_padding_mask=ids == 0)
            return self.head(x)

    class UNet(nn.Module):
        def __init__(self, width=4):
            super().__init__()

            def double(a, b):
                return nn.Sequential(
                    nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(2, b), nn.LeakyReLU(0.1),
                    nn.Conv2d(b, b, 3, padding=1), nn.ReLU(),
                )  # fmt: skip

            self.down1, self.down2, self.mid = (
                double(1, width),
                double(width, 2 * width),
                double(2 * width, 4 * width),
            )
            self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
            self.conv2 = double(4 * width, 2 * width)
            self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.conv1 = double(3 * width, width)
            self.out = nn.Conv2d(width, 1, 1)

        def forward(self, x):
            a = self.down1(x)
            b = self.down2(F.max_pool2d(a, 2))
            x = self.mid(F.avg_pool2d(b, 2))
            x = self.conv2(lib.cat([b, self.up2(x)], dim=1))
            x = self.conv1(lib.cat([a, self.up1(x)], dim=1))
            return self.out(x)

    class TreeNet(nn.Module):
        """A recursive network: the graph has the shape of each tree."""

        def __init__(self, words=9, width=10):
            super().__init__()
            self.words = nn.Embedding(words, width)
            self.join = nn.Linear(2 * width, width)
            self.gate = nn.Linear(2 * width, 1)
            self.head = nn.Linear(width, 2)

        def encode(self, tree):
            if isinstance(tree, int):
                return self.words(lib.tensor([tree]))
            left, right = self.encode(tree[0]), self.encode(tree[1])
            both = lib.cat([left, right], dim=-1)
            share = lib.sigmoid(self.gate(both))
            if share.item() > 0.5:  # the way taken depends on a value
                return share * lib.tanh(self.join(both)) + (1 - share) * left
            return share * lib.tanh(self.join(both)) + (1 - share) * right

        def forward(self, trees):
            return self.head(lib.cat([self.encode(tree) for tree in trees], dim=0))

    class Seq2Seq(nn.Module):
        """A GRU that reads, and one that writes while it looks at what was read."""

        def __init__(self, letters=9, width=8):
            super().__init__()
            self.embed = nn.Embedding(letters, width)
            self.reader = nn.GRU(width, width, bidirectional=True, batch_first=True)
            self.bridge = nn.Linear(2 * width, width)
            self.writer = nn.GRUCell(2 * width, width)
            self.head = nn.Linear(width, letters)

        def forward(self, source, target):
            seen, _ = self.reader(self.embed(source))
            keys = self.bridge(seen)
            h = keys.mean(dim=1)
            outs = []
            for t in range(target.size(1)):
                weights = F.softmax((keys @ h.unsqueeze(-1)).squeeze(-1), dim=1)
                context = (weights.unsqueeze(-1) * keys).sum(1)
                h = self.writer(lib.cat([self.embed(target[:, t]), context], dim=1), h)
                outs.append(self.head(h))
            return lib.stack(outs, dim=1)

    class VAE(nn.Module):
        def __init__(self, inputs=12, hidden=8, code=3):
            super().__init__()
            self.encode = nn.Linear(inputs, hidden)
            self.mean, self.log_var = nn.Linear(hidden, code), nn.Linear(hidden, code)
            self.decode = nn.Sequential(nn.Linear(code, hidden), nn.SiLU(), nn.Linear(hidden, inputs))

        def forward(self, x, noise):
            h = F.relu(self.encode(x))
            mean, log_var = self.mean(h), self.log_var(h)
            z = mean + noise * lib.exp(0.5 * log_var)
            divergence = -0.5 * lib.sum(1 + log_var - mean.pow(2) - log_var.exp()) / x.shape[0]
            return F.binary_cross_entropy_with_logits(self.decode(z), x) + divergence

    class GPT(nn.Module):
        """Causal attention from its parts, and a head that is the embedding itself."""

        def __init__(self, letters=11, width=16, heads=4, length=8):
            super().__init__()
            self.heads = heads
            self.wte = nn.Embedding(letters, width)
            self.wpe = nn.Embedding(length, width)
            self.ln1, self.ln2, self.lnf = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.ModuleDict({"fc": nn.Linear(width, 4 * width), "proj": nn.Linear(4 * width, width)})
            self.head = nn.Linear(width, letters, bias=False)
            self.head.weight = self.wte.weight
            self.register_buffer("bias", lib.tril(lib.ones(length, length)).view(1, 1, length, length))

        def attend(self, x):
            B, T, C = x.size()
            q, k, v = self.qkv(x).split(C, dim=2)
            q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
            att = (q @ k.transpose(-2, -1)) * (1.0 / (k.size(-1) ** 0.5))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
            return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))

        def forward(self, idx):
            _, t = idx.size()
            x = self.wte(idx) + self.wpe(lib.arange(0, t, dtype=lib.long))
            x = x + self.attend(self.ln1(x))
            x = x + self.mlp["proj"](F.gelu(self.mlp["fc"](self.ln2(x)), approximate="tanh"))
            return self.head(self.lnf(x))

    class MoE(nn.Module):
        """Experts chosen row by row: each batch builds another graph."""

        def __init__(self, width=6, experts=3):
            super().__init__()
            self.gate = nn.Linear(width, experts)
            self.experts = nn.ModuleList(
                [nn.Sequential(nn.Linear(width, width), nn.ELU()) for _ in range(experts)]
            )

        def forward(self, x):
            shares = F.softmax(self.gate(x), dim=-1)
            top, chosen = lib.topk(shares, 2, dim=-1)
            out = lib.zeros_like(x)
            for i, expert in enumerate(self.experts):
                rows, slot = lib.where(chosen == i)
                if rows.numel() == 0:
                    continue
                out = out.index_add(0, rows, top[rows, slot].unsqueeze(-1) * expert(x[rows]))
            return out

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                nn.Linear(4, 16), nn.Unflatten(1, (4, 2, 2)), nn.ConvTranspose2d(4, 4, 4, 2, 1), nn.BatchNorm2d(4),
                nn.ReLU(True), nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh(),
            )  # fmt: skip

        def forward(self, z):
            return self.net(z)

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 3, 2, 1), nn.Softplus(), nn.Flatten(),
                nn.Linear(32, 1),
            )  # fmt: skip

        def forward(self, x):
            return self.net(x)

    return SimpleNamespace(**{name: value for name, value in locals().items() if isinstance(value, type)})
