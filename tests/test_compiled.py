"""Loops in C: the bits NumPy gives, compiled beside the program, taken from nobody else's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine import random
from engine.dnn import compiled, library, loop
from engine.native import cache, compiler
from engine.pool import compute

F = ds.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of NumPy, for inf - inf
needs_both = pytest.mark.skipif(
    library._opened() is None or compiler.compiler() is None, reason="needs oneDNN and a C compiler"
)
SIDE = 400  # squared, it is worth a loop in C
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The loops of this program, there whatever the machine's cache holds."""
    found = loop.loops.build()
    assert found is not None
    return found


def values(seed: int, *shape: int) -> Any:
    made = np.random.default_rng(seed).standard_normal(shape or (SIDE, SIDE)).astype(np.float32)
    made.reshape(-1)[: len(SPECIAL)] = np.roll(SPECIAL, seed)
    return made


def same(a: Any, b: Any) -> None:
    """Bit by bit, but for which NaN it is."""
    assert a.shape == b.shape
    nan = np.isnan(b)
    assert np.array_equal(np.isnan(a), nan)
    assert np.array_equal(a[~nan].view(np.uint32), b[~nan].view(np.uint32))


@needs_both
@pytest.mark.usefixtures("loops")
def test_sums_and_relu_have_numpys_bits() -> None:
    a, b = values(0), values(1)
    out = np.empty_like(a)
    assert loop.add(a, b, out)
    same(out, a + b)
    same(compute(np.add, a, b), a + b)
    assert loop.relu(a, out)
    same(out, np.maximum(a, 0))
    same(F.relu(ds.Tensor(a)).numpy(), np.maximum(a, 0))
    assert loop.add(a, b, a)
    same(a, values(0) + b)


@needs_both
@pytest.mark.usefixtures("loops")
def test_what_does_not_fit_is_left_to_numpy() -> None:
    a, out = values(0), np.empty((SIDE, SIDE), np.float32)
    for other in (a.T, a[:1], a.astype(np.float64), a[:, :1]):
        assert not loop.add(a, other, out)
        same(compute(np.add, a, other).astype(np.float64), (a + other).astype(np.float64))
    assert not loop.relu(a.astype(np.float16), out)
    assert not loop.relu(a[:10, :10], out[:10, :10])
    with ds.graph_config(cpu_fast=False):
        assert not loop.add(a, a, out)


@needs_both
@pytest.mark.usefixtures("loops")
def test_choices_have_numpys_bits() -> None:
    condition, a, b = values(2) > 0, values(0), values(1)
    everywhere = np.broadcast_to(np.float32(3), a.shape)  # as the gradient of a sum
    for x, y in ((a, b), (a, 0.5), (2, b), (everywhere, b)):
        made = loop.where(condition, x, y)
        same(made, np.where(condition, x, y))
        same(
            ds.where(
                ds.Tensor(condition), *[ds.Tensor(v) if v is a or v is b else v for v in (x, y)]
            ).numpy(),
            made,
        )
    for x, y in ((a.T, b), (a[:1], b), (a.astype(np.float64), b), (1, 2), (np.float32(1), 2)):
        assert loop.where(condition, x, y) is None
    assert loop.where(condition.T, a, b) is None
    assert loop.where(a, a, b) is None


@needs_both
@pytest.mark.usefixtures("loops")
def test_rows_added_where_an_index_says_have_numpys_bits() -> None:
    rng = np.random.default_rng(0)
    rows, out = values(0, 40, 5, 64), values(1, 30, 64)
    index = rng.integers(-30, 30, (40, 5))
    expected = out.copy()
    np.add.at(expected, index, rows)
    assert loop.add_rows(out, index, rows)
    same(out, expected)
    for at, what in (
        (index.astype(np.float32), rows),
        (index, rows[..., ::2]),
        (index + 30, rows),
        (index[:1], rows),
    ):
        assert not loop.add_rows(out, at, what)
    same(out, expected)
    weight = ds.nn.Parameter(ds.Tensor(values(2, 30, 64)))
    F.embedding(ds.tensor(index % 30), weight).backward(ds.Tensor(rows))
    plain = np.zeros((30, 64), np.float32)
    np.add.at(plain, index % 30, rows)
    same(weight.grad.numpy(), plain)


@needs_both
@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("shape", [(1, 1 << 15), (2, 1 << 15), (1024, 65), (4099, 8), (300, 300)])
def test_sums_of_rows_have_numpys_bits(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = values(3, *shape)
    x[:, 0] = -0.0
    made = loop.sum_rows(x)
    for odd in (x[:, ::2], x.T, x.astype(np.float64), x[:3, :5]):
        same(loop.sum_rows(odd).astype(np.float64), odd.sum(0).astype(np.float64))
    monkeypatch.setattr(loop.loops, "ready", lambda: None)
    same(made, loop.sum_rows(x))
    same(made, x.sum(0))


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "dampened": {"momentum": 0.7, "dampening": 0.3},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "decay": {"momentum": 0.9, "weight_decay": 0.01},
    "decay alone": {"weight_decay": 0.01},
    "uphill": {"momentum": 0.9, "maximize": True, "weight_decay": 0.1},
}
ADAMS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "Adam, decay": {"weight_decay": 0.01, "betas": (0.8, 0.95), "eps": 1e-3},
    "Adam, the most": {"amsgrad": True, "maximize": True},
    "Adam, the most and decay": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {},
    "AdamW, uphill": {"maximize": True, "amsgrad": True},
}


@needs_both
@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("name", [*OPTIONS, *ADAMS])
def test_updates_have_numpys_bits(name: str) -> None:
    kind = name.split(",")[0] if name in ADAMS else "SGD"
    options = {**OPTIONS, **ADAMS}[name]

    def trained(fast: bool) -> list[Any]:
        shapes = ((SIDE, SIDE), (9,), (300, 17))
        parameters = [ds.nn.Parameter(ds.Tensor(values(0, *shape))) for shape in shapes]
        optimizer = getattr(ds.optim, kind)(parameters, lr=0.03, **options)
        with ds.graph_config(cpu_fast=fast):
            for turn in range(3):
                for parameter, shape in zip(parameters, shapes, strict=True):
                    parameter.grad = ds.Tensor(values(turn + 1, *shape))
                optimizer.step()
        kept = [np.asarray(v) for s in optimizer.state.values() for v in s.values()]
        return [*(p.numpy(force=True) for p in parameters), *kept]

    assert loop.loops.ready() is not None
    fast, plain = trained(True), trained(False)
    states = 3 + ("amsgrad" in options) if name in ADAMS else int("momentum" in options)
    assert len(fast) == len(plain) == 3 * (1 + states)
    for a, b in zip(fast, plain, strict=True):
        same(a, b.astype(a.dtype))


@needs_both
@pytest.mark.usefixtures("loops")
def test_adam_goes_on_from_states_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One parameter had no gradient at first, another was trained before; what cannot go in one call is not in it."""
    steps: list[int] = []
    update = loop.adam
    monkeypatch.setattr(loop, "adam", lambda *args: steps.append(len(args[0])) or update(*args))

    def trained(fast: bool) -> list[Any]:
        parameters = [ds.nn.Parameter(ds.Tensor(values(i, 60, 50))) for i in range(3)]
        optimizer = ds.optim.Adam(parameters, lr=0.03)
        with ds.graph_config(cpu_fast=fast):
            for turn in range(4):
                for i, parameter in enumerate(parameters):
                    late = i == 2 and turn < 2
                    parameter.grad = (
                        None
                        if late
                        else ds.Tensor(
                            values(turn + i, 60, 50)[:, ::-1] if turn == 3 else values(turn + i, 60, 50)
                        )
                    )
                optimizer.step()
            state = optimizer.state_dict()
            other = ds.optim.Adam(parameters, lr=0.01)
            other.load_state_dict(state)
            other.step()
        return [p.numpy(force=True) for p in parameters]

    for a, b in zip(trained(True), trained(False), strict=True):
        same(a, b)
    assert 2 in steps
    assert 1 in steps


@needs_both
@pytest.mark.usefixtures("loops")
def test_updates_that_do_not_fit_are_left_to_numpy() -> None:
    group = dict(ds.optim.SGD([ds.nn.Parameter(ds.ones(1))]).defaults)
    p, g = values(0, 90, 90), values(1, 90, 90)
    for parameters, gradients, changed in (
        ([p], [g.T], {}),
        ([p], [g.astype(np.float64)], {}),
        ([p], [g[:1]], {}),
        ([p, p], [g, g[::-1]], {}),
        ([p], [g], {"lr": np.float64(0.1)}),  # NumPy then computes in float64
        ([p[:4]], [g[:4]], {}),  # too little to be worth a call
    ):
        velocities = [None] * len(parameters)
        assert not loop.sgd(parameters, gradients, velocities, False, {**group, **changed})
    same(p, values(0, 90, 90))
    assert loop.sgd([p], [g], [None], False, group)
    same(p, values(0, 90, 90) - g * group["lr"])


@needs_both
def test_the_compiler_runs_beside_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ends at once leaves it running; the library then appears whole."""
    program = "from engine.dnn import loop\nassert loop.loops.ready() is None\nprint(loop.loops.name())\n"
    around = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    name = subprocess.check_output([sys.executable, "-c", program], text=True, env=around).strip()
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "dsviz" / "native")
    fresh = compiled.Compiled("loops.c", loop.loops.flags[len(compiled.FLAGS) :], {})
    assert fresh.name() == name
    assert fresh.build() is not None  # whoever is first, both end with the same file
    path, damaged = cache.find(name)
    assert path is not None
    assert not damaged
    assert path.stat().st_mode & 0o077 == 0


@needs_both
def test_two_programs_at_once_end_with_one_whole_library(tmp_path: Path) -> None:
    program = (
        "from engine.dnn import compiled, loop\n"
        "fresh = compiled.Compiled('loops.c', ('-O0',), {'loops_relu': loop.loops._functions['loops_relu']})\n"
        "assert fresh.build() is not None\n"
    )
    around = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    running = [subprocess.Popen([sys.executable, "-c", program], env=around) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert [file.suffix for file in (tmp_path / "dsviz" / "native").iterdir()] in (
        [".so"],
        [".made", ".so"],
        [".so", ".made"],
    )


@needs_both
def test_what_a_compiler_left_is_taken_once_and_only_from_its_owner(folder: Path) -> None:
    fresh = compiled.Compiled("loops.c", ("-DLEFT",), {})
    name = fresh.name()
    assert name is not None
    left = cache.made(name)
    left.write_bytes(b"not a library")
    left.chmod(0o666)
    assert cache.find(name) == (None, False)  # somebody else could have written it
    left.chmod(0o600)
    path, _ = cache.find(name)
    assert path is not None
    assert [file.name for file in folder.iterdir()] == [path.name]
    assert fresh.ready() is None  # its own, but no library: NumPy goes on serving
    assert cache.find(name) == (path, False)
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.find(name) == (None, True)  # a torn one is removed
    assert not list(folder.iterdir())


def test_without_a_compiler_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    fresh = compiled.Compiled("loops.c", ("-DNOBODY",), {})
    assert fresh.name() is None
    assert fresh.ready() is None
    assert fresh.build() is None


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="needs POSIX")
def test_the_folder_is_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    find = cache.folder.__wrapped__
    for named, folder in (
        (str(tmp_path / "named"), "named"),
        ("relative", "home/.cache"),
        ("", "home/.cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert find() == tmp_path / folder / "dsviz" / "native"
        assert not find().stat().st_mode & 0o077
    assert not (tmp_path / "relative").exists()
    (tmp_path / "named" / "dsviz" / "native").chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "named"))
    assert not find().is_relative_to(tmp_path / "named")  # others could have put something there


@needs_both
def test_a_program_that_does_not_compile_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = folder / "broken.c"
    broken.write_text("this is no C")
    fresh = compiled.Compiled("loops.c", (), {})
    fresh.source = broken
    assert fresh.build() is None
    assert os.listdir(folder) == ["broken.c"]


@needs_both
@pytest.mark.usefixtures("loops")
def test_what_a_dropout_leaves_is_drawn_as_numpy_draws_it() -> None:
    last = (1 << 64) - 1
    cases = [
        (0, 0, 0.1),
        (123456789012345678, 7, 0.5),
        (last, (1 << 40) + 3, 0.3),
        (5, 1 << 63, 1.0),
        (5, 9, 1e-9),
    ]
    for n, (seed, counter, p) in enumerate(cases, loop.DRAWN):
        found = loop.kept(seed, counter, (n,), p)
        assert np.array_equal(found, random.uniform(seed, counter, (n,), np.float32) >= p)
    many = (3, 1 << 17)  # by all cores
    assert np.array_equal(loop.kept(1, 2, many, 0.25), random.uniform(1, 2, many, np.float32) >= 0.25)
    for seed, counter, size, p in (
        (0, 0, 10, 0.5),
        (0, last - 5, 9999, 0.5),  # the counter would go on in its next word
        (last + 1, 0, 9999, 0.5),
        (0, 0, 9999, np.float64(0.5)),  # NumPy then compares in float64
    ):
        assert loop.kept(seed, counter, (size,), p) is None

    def dropped(fast: bool) -> list[Any]:
        x = ds.Tensor(values(0))
        x.requires_grad = True
        ds.manual_seed(3)
        with ds.graph_config(cpu_fast=fast):
            out = F.dropout(x, 0.3)
            out.backward(ds.Tensor(values(1)))
        return [out.numpy(force=True), x.grad.numpy()]

    for a, b in zip(dropped(True), dropped(False), strict=True):
        same(a, b)
    a, mask = values(0), values(1) > 0
    for x, kept in ((a.T, mask), (a, mask[:1]), (a, mask.astype("f")), (a[:2, :2], mask[:2, :2])):
        assert not loop.drop(x, kept, 2.0, np.empty_like(x))


@pytest.mark.parametrize(
    ("value", "expected"), [(3e38, True), (-np.inf, True), (np.inf, False), (np.nan, False)]
)
def test_whether_all_is_below_infinity(value: float, expected: bool) -> None:
    for size in (10, loop.ENOUGH + 3):
        for at in (0, size // 2, size - 1):
            x = np.zeros(size, np.float32)
            x[at] = value
            assert loop.below_infinity(x) is expected
