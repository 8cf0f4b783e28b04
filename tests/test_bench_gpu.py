"""`dsviz bench --device cuda`: our side of it on the stand-in for CuPy, what is reported, and what is refused."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import strict_cupy

import dsviz as ds
from dsviz.bench import compare as comparing
from dsviz.bench import gpu, worker
from dsviz.bench.chart import chart
from dsviz.bench.compare import Failed, Measured, Worker
from dsviz.bench.contestants import CONTESTANTS, field
from dsviz.bench.report import report, summary
from dsviz.bench.setting import Setting
from dsviz.bench.workloads import BATCH, found
from dsviz.cli import main
from dsviz.commands.bench import chosen
from engine import backend

CUDA = Setting("cuda")


@pytest.fixture
def device_library() -> Iterator[None]:
    """CuPy, or the stand-in for it."""
    if backend.cupy() is not None:
        yield
        return
    with strict_cupy.installed():
        yield


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a precision sets, put back afterwards."""
    for room in (ds.backends.cudnn, ds.backends.cuda.matmul):
        monkeypatch.setattr(room, "allow_tf32", room.allow_tf32)
    monkeypatch.setattr(ds.backends.cudnn, "deterministic", ds.backends.cudnn.deterministic)
    return monkeypatch


def served(patch: pytest.MonkeyPatch, said: Any, workload: str, setting: Setting, *asked: str) -> list[Any]:
    patch.setattr("sys.stdin", io.StringIO("\n".join(asked)))
    worker.main("dsviz", workload, 1, True, time.perf_counter, setting)
    return [json.loads(line) for line in said.readouterr().out.splitlines()]


@pytest.mark.parametrize("workload", ["mlp", "lstm-1"])
def test_a_worker_trains_on_the_gpu(
    workload: str, device_library: None, switches: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = CONTESTANTS["dsviz"].build(workload)
    first, steps, memory, peak = served(switches, capsys, workload, CUDA, "run 2", "gpu", "allocations")
    losses = [first["loss"], *(loss for _, loss in steps)]
    assert losses == pytest.approx([here() for _ in range(3)], rel=1e-5)
    # The parameters alone are so many bytes of float32.
    parameters = {"mlp": 785 * 128 + 129 * 10, "lstm-1": 2 * 4 * 128 * 129}[workload] * 4 / gpu.MIB
    assert parameters < peak < 20 * parameters
    assert parameters < memory["reserved"] < 20 * parameters
    assert memory["device"] > 0


@pytest.mark.parametrize("workload", ["lstm-ops-1", "lstm-cell-1", "gelu", "softmax", "layer-norm"])
def test_workloads_stay_on_the_gpu(workload: str, device_library: None) -> None:
    with ds.device("cuda"):
        step = CONTESTANTS["dsviz"].build(workload)
    assert step() == pytest.approx(CONTESTANTS["dsviz"].build(workload)(), rel=1e-4)


def test_precision_is_set_before_anything_is_made(
    device_library: None, switches: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = served(switches, capsys, "mlp", CUDA, "run 1")
    assert (ds.backends.cudnn.allow_tf32, ds.backends.cuda.matmul.allow_tf32) == (False, False)
    half = served(switches, capsys, "mlp", Setting("cuda", "fp16"), "run 1")
    assert half[0]["loss"] == pytest.approx(full[0]["loss"], rel=1e-2)
    assert half[0]["loss"] != full[0]["loss"]
    gpu.gpu_of("dsviz").set("tf32")
    assert (ds.backends.cudnn.allow_tf32, ds.backends.cuda.matmul.allow_tf32) == (True, True)
    assert not ds.backends.cudnn.deterministic


def test_the_gpu_and_what_computes_are_named(device_library: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: "580.95")
    told = {name: gpu.told(name) for name in ("dsviz", "torch")}
    line = gpu.described(told, "tf32")
    assert told["dsviz"]["device"] in line
    assert "driver 580.95" in line
    assert f"dsviz {ds.__version__} (CuPy 1" in line
    assert line.endswith("TF32")
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        assert told["torch"]["why"].startswith("PyTorch ")
        assert "is no CUDA build" in told["torch"]["why"] or "finds no CUDA device" in told["torch"]["why"]


def measured(*times: float) -> Measured:
    return Measured(list(times), [1.0, 0.5], 10.0, 200.0, [2.0], [0.1], 300.0, (900.0,), None)


def test_a_gpu_has_columns_of_its_own(tmp_path: Path) -> None:
    ours, theirs = measured(0.8), measured(0.4)._replace(reserved=400.0, device=(600.0,))
    both = {"dsviz": ours._replace(ever=9.0), "torch": theirs}
    figures = summary("resnet50-64", both, {"jax": "measured on the CPU only"}, CUDA)
    assert figures["device"] == "cuda"
    assert figures["dsviz"]["per_second"] == pytest.approx(80)
    assert (figures["ratio"]["reserved"], figures["ratio"]["device"]) == (0.75, 1.5)
    said = "\n".join(report("resnet50-64", both, {"jax": "measured on the CPU only"}, CUDA))
    for words in (
        "resnet50-64: ResNet50, batch 64, 224 x 224", "200.00 MiB   300.0 MiB", "+900 MiB", "JAX: measured on",
        "memory reserved x0.75 (goal x0.79: reached)", "memory of the device x1.50",
        "dsviz's first process, before the measured ones: 9.0 s",
        "2.00 times as slow as PyTorch; the goal of x0.79 is missed",
    ):  # fmt: skip
        assert words in said
    assert report("mlp", both, None, CUDA)[-1] == "  2.00 times as slow as PyTorch", "goals are the CPU's"
    assert any("memory reserved" in getattr(mark, "text", "") for mark in chart([figures], "a GPU").marks)


class Fake(Worker):
    """Answers as a worker on a GPU does; PyTorch's ends over its second turn."""

    made: list[tuple[str, str, bool]] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, name: str, workload: str, threads: int, warm: bool = True, clock: str = "wall", setting: Setting = CUDA, wait: bool = True) -> None:  # fmt: skip
        assert setting == Setting("cuda", "tf32")
        self.made.append((name, workload, warm))
        self.name, self.start, self.started, self.runs = name, 0.5, {"first_s": 0.1, "loss": 1.0}, 0

    def ask(self, what: str) -> Any:
        word, _, count = what.partition(" ")
        self.runs += word == "run"
        if self.name == "torch" and self.runs == 3:
            raise Failed("ended with status 1: out of memory", "Traceback\nout of memory")
        answers = {"run": [(0.001, 1.0)] * int(count or 0), "gpu": {"reserved": 30.0, "device": 40.0}}
        return answers.get(word, 20.0)

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_the_command_measures_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = {"why": "", "device": "a GPU", "versions": {"dsviz": "1", "CuPy": "14"}}
    monkeypatch.setattr(gpu, "asked", lambda names: dict.fromkeys(names, told))
    monkeypatch.setattr(comparing, "Worker", Fake)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: ds.__spec__)
    monkeypatch.setattr(Fake, "made", [])
    words = ["bench", "resnet50", "--device", "cuda", "--precision", "tf32", "--batch", "64", "--rounds", "2"]
    more = ["--starts", "1", "--json", str(tmp_path / "all.json"), "--beside", "all", "--verbose"]
    assert main(words + more) == 0
    said = capsys.readouterr()
    assert "a GPU" in said.out
    assert "PyTorch: ended with status 1: out of memory" in said.out
    assert "--- resnet50-64, torch:\nTraceback\nout of memory" in said.err
    document = json.loads((tmp_path / "all.json").read_text())
    (figures,) = document["benchmarks"]
    assert "TF32" in document["where"]
    assert figures["beside"] == "torch-channels-last"
    assert figures["turns"]["dsviz"]["times"] == [0.001, 0.001]
    assert figures["dsviz"] | {"reserved_mib": 30.0, "device_mib": 40.0, "allocated_mib": 20.0} == figures["dsviz"]  # fmt: skip
    assert figures["not_measured"]["jax"] == "measured on the CPU only"
    # What compiles is started once before it is measured.
    ours = [warm for name, _, warm in Fake.made if name == "dsviz"]
    assert ours == [False, False, True]
    assert {workload for _, workload, _ in Fake.made} == {"resnet50-64"}


def test_what_does_not_go_together_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "asked", lambda names: {name: {"why": "there is no usable CUDA device"} for name in names})  # fmt: skip
    for words, why in {
        "mlp --device cuda": "--device cuda: there is no usable CUDA device.",
        "mlp --precision fp16": "--precision fp16 is for a GPU; on the CPU only fp32",
        "mlp --device cuda --processor-time": "--processor-time leaves out the GPU's",
        "mlp --batch 64": "--batch 64 is for resnet50",
        "--json mlp": "has to end in .json, got 'mlp'",
        "mlp --device tpu": "tpu",
    }.items():
        assert main(["bench", *words.split()]) == 2
        assert why in capsys.readouterr().err
    monkeypatch.undo()
    assert gpu.asked(["nobody"]) == {"nobody": {"why": "KeyError: 'nobody'"}}
    assert field("mlp", ("jax",), "cuda")["jax"] in ("not installed", "measured on the CPU only")


def test_a_batch_of_ones_own_is_a_benchmark_of_its_own() -> None:
    assert chosen(["mlp", "resnet50"], 64) == ["mlp", "resnet50-64"]
    assert chosen(["resnet50"], BATCH) == ["resnet50"]
    assert (found("resnet50-64").parts, found("resnet50").parts) == (64, BATCH)
    with pytest.raises(KeyError):
        found("resnet50-many")
