"""Memory: large buffers used again, never while anybody can see them; the report of what is alive."""

from __future__ import annotations

import gc
import mmap
import os
import platform
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import pool as pools
from engine.memory import Change
from engine.pool import LARGE, Lease, pool

SIDE = 256  # a float32 matrix of this side is large
BYTES = SIDE * SIDE * 4


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    gc.collect()
    pool.clear()
    yield
    pool.clear()


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def test_a_buffer_nobody_sees_is_used_again_and_aligned() -> None:
    assert BYTES >= LARGE
    first = pool.empty((SIDE, SIDE), np.float32)
    at, before = address(first), pool.counts()
    assert at % 64 == 0
    del first
    again = pool.empty((SIDE, SIDE), np.float32)
    assert address(again) == at
    after = pool.counts()
    assert (after.reused - before.reused, after.allocated - before.allocated) == (1, 0)


VIEWS: dict[str, Any] = {
    "slice": lambda a: a[3:5],
    "transpose": lambda a: a.T,
    "view of a view": lambda a: a[1:].reshape(-1)[10:].view(np.int32),
    "broadcast": lambda a: np.broadcast_to(a[0], (4, SIDE)),
    "as array": lambda a: np.asarray(a),
    "memoryview": lambda a: memoryview(a)[2:4],
    "from the buffer": lambda a: np.frombuffer(memoryview(a), np.float32),
    "flat iterator": lambda a: a.flat,
    "nditer": lambda a: np.nditer(a),
}


@pytest.mark.parametrize("how", list(VIEWS))
def test_no_buffer_is_handed_out_while_a_view_of_it_lives(how: str) -> None:
    array = pool.empty((SIDE, SIDE), np.float32)
    at = address(array)
    view = VIEWS[how](array)
    del array
    others = [pool.empty((SIDE, SIDE), np.float32) for _ in range(4)]
    assert at not in [address(o) for o in others]
    del view
    gc.collect()
    assert address(pool.empty((SIDE, SIDE), np.float32)) == at


def test_what_numpy_gave_stays_as_it_was() -> None:
    """A person's array from .numpy(), of a value and of a gradient, is not written to by later steps."""
    w = ds.tensor(np.ones((SIDE, SIDE), np.float32), requires_grad=True)
    kept = []
    for i in range(4):
        y = (w * float(i + 1) + 1.0).tanh()
        y.sum().backward()
        assert w.grad is not None
        kept.append(
            (
                y.detach().numpy()[::7],
                w.grad.numpy(),
                np.array(y.detach().numpy()[::7]),
                w.grad.numpy().copy(),
            )
        )
        w.grad = None
        del y
    for value, gradient, value_then, gradient_then in kept:
        np.testing.assert_array_equal(value, value_then)
        np.testing.assert_array_equal(gradient, gradient_then)


def test_an_exported_tensor_outlives_its_names() -> None:
    torch = pytest.importorskip("torch")
    value = (ds.ones(SIDE, SIDE) * 3.0).numpy()
    shared = torch.from_numpy(value)
    del value
    for _ in range(3):
        ds.ones(SIDE, SIDE) * 5.0
    assert float(shared.min()) == float(shared.max()) == 3.0


class Net(ds.Module):
    """Wide enough for the pool; with a loop, so that its graph is no chain."""

    def __init__(self) -> None:
        self.inner = ds.nn.Linear(SIDE, SIDE)
        self.norm = ds.nn.LayerNorm(SIDE)
        self.attn = ds.nn.MultiheadAttention(SIDE, 4, batch_first=True)
        self.out = ds.nn.Linear(SIDE, 4)

    def forward(self, x: Any) -> Any:
        for _ in range(3):
            x = x + ds.relu(self.inner(self.norm(x)))
        x = x + self.attn(x, x, x, need_weights=False)[0]
        return self.out(x)


def train(turns: int) -> tuple[list[float], list[Any]]:
    ds.manual_seed(0)
    net = Net()
    adam = ds.optim.Adam(net.parameters(), lr=1e-3)
    x = np.random.default_rng(0).standard_normal((4, 64, SIDE)).astype(np.float32)
    losses = []
    for _ in range(turns):
        loss = (net(ds.tensor(x)) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, [p.array.copy() for p in net.parameters()]


def test_on_and_off_are_the_same_bit_by_bit() -> None:
    with_pool, weights = train(4)
    assert pool.counts().reused > 20
    before = pool.counts()
    with ds.graph_config(memory_optimization=False):
        without, others = train(4)
    after = pool.counts()
    assert (after.allocated, after.reused) == (before.allocated, before.reused)
    assert with_pool == without
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def test_watched_and_unwatched_are_the_same_bit_by_bit() -> None:
    alone, weights = train(3)
    with ds.bus.subscribe(lambda kind, node: None):
        watched, others = train(3)
    assert alone == watched
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_steady_loop_asks_the_allocator_for_little_and_does_not_grow() -> None:
    net = Net()
    sgd = ds.optim.SGD(net.parameters(), lr=1e-3)
    x = ds.randn(4, 64, SIDE)
    seen = []
    for _ in range(12):
        before = pool.counts()
        loss = (net(x) ** 2).mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        del loss
        gc.collect()
        after = pool.counts()
        seen.append(
            (after.allocated - before.allocated, after.reused - before.reused, after.live, after.peak)
        )
    allocated, reused, live, peak = zip(*seen[-4:], strict=True)
    assert sum(allocated) <= 0.3 * sum(reused), seen
    assert len(set(live)) == 1
    assert len(set(peak)) == 1
    counts = pool.counts()
    assert counts.live + counts.parked <= pools.limit(counts.peak)


def test_parked_memory_is_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "STALE", 100)
    gc.collect()  # what earlier tests of this process left in cycles goes now, not in the middle
    before = pool.counts().live  # and this is what they still hold
    big = [pool.empty((SIDE, SIDE), np.float32) for _ in range(8)]
    del big
    assert pool.counts().parked == 8 * BYTES
    other = pool.empty((2 * SIDE, 4 * SIDE), np.float32)  # of another size: room is made for it
    counts = pool.counts()
    assert counts.live - before + counts.parked <= 8 * BYTES + pools.limit(counts.peak) - counts.peak
    for _ in range(2 * pools.SWEEP):
        pool.empty((SIDE, SIDE + 16), np.float32)
    assert pool.counts().parked <= 2 * BYTES  # nobody asked for the old size any more
    del other
    pool.clear()
    assert pool.counts().parked == 0


def test_threads_and_finalisers_share_the_pool() -> None:
    failed: list[BaseException] = []
    before = pool.counts().live  # what earlier tests of this process still hold

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            for _ in range(60):
                array = pool.empty((SIDE, int(rng.integers(SIDE, SIDE + 3))), np.float32)
                array[...] = seed
                loop = [array[5:]]
                loop.append(loop)  # only the collector finds this
                del array
                assert (loop[0] == seed).all()
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    gc.collect()
    assert pool.counts().live <= before


def test_small_and_foreign_types_stay_with_numpy() -> None:
    assert pool.empty((4,), np.float32).base is None
    assert pool.empty((LARGE,), object).base is None
    assert isinstance(pool.empty((LARGE,), np.bool_).base, Lease)
    assert pool.empty((0, LARGE), np.float32).shape == (0, LARGE)


def test_the_bus_tells_what_was_used_again() -> None:
    events: list[Change] = []
    x = ds.ones(SIDE, SIDE)
    with ds.bus.subscribe(lambda kind, changes: events.extend(changes), "buffer"):
        for _ in range(5):
            x * 2.0
        x * 2.0
    kinds = [what for what, buffer, _ in events if buffer.nbytes == BYTES]
    assert kinds.count("reused") >= 4
    assert kinds.count("allocated") <= 2  # x itself, and the first result


def test_the_report_accounts_for_every_buffer() -> None:
    before = ds.memory_report().live
    w = ds.nn.Parameter(ds.ones(SIDE, SIDE))
    adam = ds.optim.Adam([w])
    x = ds.ones(8, SIDE)
    out = ds.tanh(x @ w)
    live = ds.memory_report().live
    grown = {name: live[name] - before[name] for name in live}
    assert grown["parameters"] == BYTES
    assert grown["inputs"] == 0  # x is kept for the gradient of w
    assert grown["saved"] == 2 * x.nbytes  # x, and the result of tanh
    assert grown["gradients"] == grown["optimizer"] == 0
    out.sum().backward()
    adam.step()
    live = ds.memory_report().live
    grown = {name: live[name] - before[name] for name in live}
    assert grown["gradients"] == BYTES
    assert grown["optimizer"] == 2 * BYTES
    assert grown["saved"] == 0
    assert grown["inputs"] == grown["activations"] == x.nbytes


def test_a_block_is_followed_to_its_peak() -> None:
    with ds.memory_report() as report:
        start = report.peak
        x = ds.ones(SIDE, SIDE)
        y = x * 2.0
        z = y + x
        del y
        z = z * 3.0
    assert start is not None
    assert report.peak is not None
    assert report.peak_by_category is not None
    assert report.peak - start == 3 * BYTES
    assert sum(report.peak_by_category.values()) == report.peak
    assert report.events["released"] >= 1
    assert report.events["allocated"] + report.events["reused"] >= 3
    assert report.live["activations"] >= z.nbytes
    assert "peak" in repr(report)
    assert "activations" in repr(report)


def test_what_was_alive_before_the_block_may_die_in_it() -> None:
    x = ds.ones(SIDE, SIDE)
    with ds.memory_report() as report:
        del x
        y = ds.ones(SIDE, SIDE) + 1.0
    assert y is not None
    assert report.events["released"] >= 1
    assert all(n >= 0 for n in report.live.values())


def test_a_gradient_somebody_holds_is_not_written_over() -> None:
    """The gradient of relu may take the place of what comes in, but not of what a hook or the caller keeps."""
    x = ds.tensor(np.random.default_rng(0).standard_normal((SIDE, SIDE)), requires_grad=True)
    seed = ds.tensor(np.random.default_rng(1).standard_normal((SIDE, SIDE)))
    given = seed.numpy().copy()
    held: list[tuple[Any, Any]] = []
    y = ds.relu(x * 1.0)
    z = ds.relu(ds.relu(y) + y)
    for value in (y, z):
        value.register_hook(lambda g: held.append((g.numpy(), g.numpy().copy())))
    y.retain_grad()
    z.backward(seed, retain_graph=True)
    (again,) = ds.grad(z, y, seed)
    np.testing.assert_array_equal(seed.numpy(), given)
    assert len(held) == 4
    for seen, then in held:
        np.testing.assert_array_equal(seen, then)
    positive = x.detach().numpy() > 0
    np.testing.assert_allclose(again.numpy(), given * (1 + positive) * positive, rtol=1e-12)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * given * positive, rtol=1e-12)


def test_a_gradient_a_persons_function_keeps_is_not_added_to() -> None:
    """The sum of two gradients may take the place of one of them, but not of what somebody else has."""
    kept: list[tuple[Any, Any]] = []

    class Keeps(ds.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 3.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            made = g * 3.0
            kept.append((made.numpy(), made.numpy().copy()))
            return made

    x = ds.tensor(np.random.default_rng(0).standard_normal((SIDE, SIDE)), requires_grad=True)
    y = x * 1.0
    (ds.relu(Keeps.apply(y)) + Keeps.apply(y) + ds.relu(y) + y).backward(ds.ones(SIDE, SIDE))
    assert len(kept) == 2
    for seen, then in kept:
        np.testing.assert_array_equal(seen, then)
    positive = x.detach().numpy() > 0
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 4 + 4 * positive, rtol=1e-6)


@pytest.mark.skipif(
    not hasattr(mmap, "MADV_NOHUGEPAGE") or not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="needs Linux with huge pages",
)
def test_large_buffers_come_in_small_pages() -> None:
    """Huge pages take long to get, and are taken whole where a part is used."""
    array = pools.Pool().empty((1 << 23,), np.uint8)
    middle = array.__array_interface__["data"][0] + (1 << 22)
    flags = inside = ""
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        first = line.split(" ", 1)[0]
        if "-" in first and not first.endswith(":"):
            start, end = (int(n, 16) for n in first.split("-"))
            inside = line if start <= middle < end else ""
        elif inside and line.startswith("VmFlags:"):
            flags = line
    assert "nh" in flags.split()


def test_pythons_count_of_memory_has_the_buffers_in_it() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        array = pool.empty((8 * SIDE, SIDE), np.float32)
        assert tracemalloc.get_traced_memory()[0] - before >= 8 * BYTES
        del array
        pool.clear()
        assert tracemalloc.get_traced_memory()[0] - before < BYTES
    finally:
        tracemalloc.stop()


def test_what_is_wanted_for_a_while_takes_a_larger_buffer() -> None:
    large = pool.empty((2 * SIDE, SIDE), np.float32)
    where = address(large)
    del large
    brief = pool.empty((SIDE, SIDE), np.float32, brief=True)
    assert address(brief) == where
    assert brief.shape == (SIDE, SIDE)
    del brief
    assert address(pool.empty((2 * SIDE, SIDE), np.float32)) == where
    assert address(pool.empty((SIDE, SIDE), np.float32)) != where  # for longer, only one of its size


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_results_of_numpy_are_not_asked_of_the_system_in_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource")
    for name in [n for n in os.environ if n.startswith("MALLOC_") or n == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)
    pools.settle_heap.cache_clear()
    assert pools.settle_heap()
    x = np.zeros(1 << 20)
    turns, pages = 8, x.nbytes // mmap.PAGESIZE

    def turn() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(turns):
            np.add(x, 1.0)
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt) - before

    turn()
    assert turn() < pages  # and not `turns` times as many


def test_who_told_the_c_library_how_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    pools.settle_heap.cache_clear()
    try:
        assert not pools.settle_heap()
    finally:
        pools.settle_heap.cache_clear()
