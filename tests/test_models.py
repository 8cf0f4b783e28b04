"""Whole models, trained in PyTorch and here with the same weights and batches: the losses are equal step by step.

Each model's class is one text that runs on both (`tests/models.py`): porting is a change of imports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from models import zoo

import dsviz as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

OURS = zoo(ds, ds.nn, ds.nn.functional)
THEIRS = zoo(torch, torch.nn, torch.nn.functional)


class Side:
    """One of the two frameworks, with what tests need under one name."""

    def __init__(self, lib: Any, models: Any) -> None:
        self.lib, self.nn, self.F, self.models = lib, lib.nn, lib.nn.functional, models

    def tensor(self, array: Any) -> Any:
        return torch.tensor(array) if self.lib is torch else ds.tensor(array)


HERE, THERE = Side(ds, OURS), Side(torch, THEIRS)


def pair(name: str, *args: Any) -> tuple[Any, Any]:
    """The model in both frameworks, in float64, with PyTorch's first weights."""
    torch.manual_seed(0)
    arguments = [
        [getattr(side.models, a) if isinstance(a, str) else a for a in args] for side in (HERE, THERE)
    ]
    ours = getattr(OURS, name)(*arguments[0]).double()
    theirs = getattr(THEIRS, name)(*arguments[1]).double()
    state = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict(state)
    return ours, theirs


def same_weights(ours: Any, theirs: Any, tolerance: float = 1e-8) -> None:
    back = {key: torch.tensor(np.array(value.array)) for key, value in ours.state_dict().items()}
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            back[key].numpy(), value.numpy(), rtol=tolerance, atol=tolerance, err_msg=key
        )
    theirs.load_state_dict(back)  # and the way back


rng = np.random.default_rng(0)
X = rng.standard_normal((6, 12))
IMAGES = rng.standard_normal((4, 3, 32, 32))
GREY = rng.standard_normal((2, 1, 8, 8))
IDS = rng.integers(1, 11, (4, 8))
PADDED = np.where(np.arange(8) < np.array([8, 3, 5, 1])[:, None], IDS, 0)
SMALL = rng.integers(0, 9, (3, 5))
TREES = [((1, 2), (3, (4, 5))), (6, (7, 8)), 3, (((1, 1), 2), 0)]


def classify(s: Side, net: Any, step: int) -> Any:
    return s.F.cross_entropy(net(s.tensor(X)), s.tensor(np.arange(6) % 4))


def see(s: Side, net: Any, step: int) -> Any:
    return s.F.cross_entropy(net(s.tensor(IMAGES)), s.tensor(np.arange(4)), label_smoothing=0.1)


def speak(s: Side, net: Any, step: int) -> Any:
    out, h, c = net(s.tensor(PADDED), s.tensor(np.array([8, 3, 5, 1])))
    loss = s.F.cross_entropy(out[:, :-1].reshape(-1, 11), s.tensor(PADDED[:, 1:]).reshape(-1), ignore_index=0)
    return loss + 0.01 * (h**2).mean() + 0.01 * c.abs().mean()


def attend(s: Side, net: Any, step: int) -> Any:
    out = net(s.tensor(PADDED))
    return s.F.cross_entropy(out.transpose(1, 2), s.tensor(np.roll(PADDED, -1, 1)), ignore_index=0)


def segment(s: Side, net: Any, step: int) -> Any:
    return s.F.binary_cross_entropy_with_logits(
        net(s.tensor(GREY)), s.tensor((GREY > 0.3).astype(np.float64))
    )


def trees(s: Side, net: Any, step: int) -> Any:
    return s.F.nll_loss(s.F.log_softmax(net(TREES), dim=1), s.tensor(np.array([0, 1, 1, 0])))


def translate(s: Side, net: Any, step: int) -> Any:
    out = net(s.tensor(SMALL), s.tensor(SMALL[:, :4]))
    return s.F.cross_entropy(out.flatten(0, 1), s.tensor(SMALL[:, 1:]).flatten())


def imagine(s: Side, net: Any, step: int) -> Any:
    noise = np.random.default_rng(step).standard_normal((6, 3))
    return net(s.tensor((X > 0).astype(np.float64)), s.tensor(noise))


def write(s: Side, net: Any, step: int) -> Any:
    out = net(s.tensor(IDS))
    return s.F.cross_entropy(out[:, :-1].reshape(-1, 11), s.tensor(IDS[:, 1:]).reshape(-1))


def route(s: Side, net: Any, step: int) -> Any:
    return s.F.smooth_l1_loss(net(s.tensor(X.reshape(12, 6))), s.tensor(X.reshape(12, 6) ** 2))


def sgd(lib: Any, parameters: Any) -> Any:
    return lib.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)


def adam(lib: Any, parameters: Any) -> Any:
    return lib.optim.Adam(parameters, lr=3e-3, weight_decay=1e-2)


def adamw(lib: Any, parameters: Any) -> Any:
    return lib.optim.AdamW(parameters, lr=3e-3, amsgrad=True)


def rmsprop(lib: Any, parameters: Any) -> Any:
    return lib.optim.RMSprop(parameters, lr=1e-3, momentum=0.5, centered=True)


def adagrad(lib: Any, parameters: Any) -> Any:
    return lib.optim.Adagrad(parameters, lr=1e-2)


RUNS: dict[str, Any] = {
    "mlp": (("MLP",), classify, adam, 10),
    "resnet18": (("ResNet", "BasicBlock", [2, 2, 2, 2]), see, sgd, 3),
    "resnet50": (("ResNet", "Bottleneck", [3, 4, 6, 3]), see, sgd, 1),
    "lstm language model": (("LanguageModel",), speak, adamw, 4),
    "transformer encoder": (("Encoder",), attend, adamw, 5),
    "unet": (("UNet",), segment, rmsprop, 4),
    "tree network": (("TreeNet",), trees, adagrad, 5),
    "gru with attention": (("Seq2Seq",), translate, adam, 4),
    "vae": (("VAE",), imagine, adam, 5),
    "gpt": (("GPT",), write, adamw, 5),
    "mixture of experts": (("MoE",), route, sgd, 5),
}


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_equal_step_by_step(name: str) -> None:
    build, loss_of, optimizer_of, steps = RUNS[name]
    nets = pair(*build)
    losses: list[list[float]] = [[], []]
    for losses_, net, side in zip(losses, nets, (HERE, THERE), strict=True):
        optimizer = optimizer_of(side.lib, net.parameters())
        schedule = side.lib.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        for step in range(steps):
            loss = loss_of(side, net, step)
            optimizer.zero_grad()
            loss.backward()
            side.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses_.append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-7)
    same_weights(*nets, tolerance=1e-6)


def test_two_optimizers_and_a_gradient_penalty() -> None:
    """A step of WGAN-GP: second order through convolutions, two networks, two optimizers."""
    makers, judges = pair("Generator"), pair("Critic")
    real = rng.standard_normal((3, 1, 8, 8))
    losses: list[list[float]] = [[], []]
    for losses_, make, judge, s in zip(losses, makers, judges, (HERE, THERE), strict=True):
        first, second = adam(s.lib, make.parameters()), adam(s.lib, judge.parameters())
        for step in range(3):
            z = s.tensor(np.random.default_rng(step).standard_normal((3, 4)))
            fake = make(z)
            mixed = (0.3 * s.tensor(real) + 0.7 * fake.detach()).requires_grad_(True)
            grad = s.lib.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)[0]
            penalty = ((grad.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
            loss = judge(fake.detach()).mean() - judge(s.tensor(real)).mean() + 10 * penalty
            second.zero_grad()
            loss.backward()
            second.step()
            first.zero_grad()
            wanted = -judge(fake).mean()
            wanted.backward()
            first.step()
            losses_ += [loss.item(), penalty.item(), wanted.item()]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    same_weights(*makers, tolerance=1e-6)
    same_weights(*judges, tolerance=1e-6)


def test_gradients_gather_over_small_batches() -> None:
    ours, theirs = pair("MLP")
    for side, net in ((HERE, ours), (THERE, theirs)):
        optimizer = sgd(side.lib, net.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            for part in np.split(X, 3):
                (side.F.mse_loss(net(side.tensor(part)), side.tensor(part[:, :4])) / 3).backward()
            optimizer.step()
    same_weights(ours, theirs)


def test_learning_to_learn() -> None:
    """MAML's inner step: a gradient of what a gradient step gives."""
    losses = []
    for s, net in zip((HERE, THERE), pair("MLP"), strict=True):
        x, y = s.tensor(X), s.tensor(X[:, :4])
        weight, bias = net.head.weight, net.head.bias
        hidden = net.body(x)
        for _ in range(2):
            inner = s.F.mse_loss(s.F.linear(hidden, weight, bias), y)
            to_weight, to_bias = s.lib.autograd.grad(inner, (weight, bias), create_graph=True)
            weight, bias = weight - 0.1 * to_weight, bias - 0.1 * to_bias
        outer = s.F.l1_loss(s.F.linear(hidden, weight, bias), y)
        outer.backward()
        losses.append([outer.item(), *[float(p.grad.norm()) for p in net.parameters()]])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-8)


def test_evaluation_after_training_is_the_same() -> None:
    """Running statistics of batch normalisation, dropout that is off."""
    ours, theirs = pair("ResNet", "BasicBlock", [1, 1, 1, 1])
    for side, net in ((HERE, ours), (THERE, theirs)):
        optimizer = sgd(side.lib, net.parameters())
        for step in range(2):
            see(side, net, step).backward()
            optimizer.step()
        net.eval()
    with ds.no_grad(), torch.no_grad():
        found, expected = ours(ds.tensor(IMAGES)), theirs(torch.tensor(IMAGES))
    np.testing.assert_allclose(found.array, expected.numpy(), rtol=1e-6)
