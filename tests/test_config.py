"""The configuration: it nests, belongs to its thread or task, comes from a file, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import engine as ds
from engine.config import DEFAULT, KEYS, ConfigError, current


def test_blocks_nest_and_restore_even_when_one_raises() -> None:
    with ds.graph_config(jit_threshold=10) as outer:
        assert (outer.jit_threshold, outer.trace_level) == (10, 1)
        inner = []
        with contextlib.suppress(KeyError), ds.graph_config(trace_level=2, jit_threshold=7):
            inner += [current().trace_level, current().jit_threshold]
            raise KeyError
        assert inner == [2, 7]
        assert current() == outer
    assert current() == DEFAULT


def test_one_object_may_be_entered_again_inside_itself() -> None:
    config = ds.graph_config(jit_threshold=3)
    with config, ds.graph_config(jit_threshold=4), config:
        assert current().jit_threshold == 3
    assert current() == DEFAULT


def test_each_thread_has_its_own() -> None:
    inside, done = threading.Event(), threading.Event()

    def other() -> int:
        with ds.graph_config(jit_threshold=99):
            inside.set()
            assert done.wait(60)
            return current().jit_threshold

    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(other)
        assert inside.wait(60)
        assert current() == DEFAULT
        done.set()
        assert theirs.result() == 99


def test_each_task_has_its_own() -> None:
    async def task(threshold: int) -> int:
        with ds.graph_config(jit_threshold=threshold):
            for _ in range(3):
                await asyncio.sleep(0)
            return current().jit_threshold

    async def both() -> list[int]:
        return list(await asyncio.gather(task(11), task(22)))

    assert asyncio.run(both()) == [11, 22]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"trace_levle": 1}, "no key 'trace_levle'; did you mean 'trace_level'"),
        ({"zzz": 1}, "There are: memory_optimization, trace_level"),
        ({"trace_level": 3}, r"trace_level takes 0 \(off\), 1 \(operations\) or 2 .*, got 3"),
        ({"trace_level": True}, r"got True \(bool\)"),
        ({"trace_level": "2"}, r"got '2' \(str\)"),
        ({"jit_threshold": 0}, "a whole number, 1 or more"),
        ({"jit_threshold": 2.5}, r"got 2.5 \(float\)"),
        ({"memory_optimization": "yes"}, "true or false"),
        ({"amp": 1}, "true or false"),
        ({"keep_fp32": 1.5}, "from 0 to 1"),
        ({"keep_fp32": float("nan")}, "from 0 to 1"),
        ({"loss_scaling": -1}, 'a number above 0, or "dynamic"'),
        ({"loss_scaling": "static"}, 'a number above 0, or "dynamic"'),
    ],
)
def test_what_is_wrong_is_named(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ds.graph_config(**keys)
    assert current() == DEFAULT


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_of_the_manual(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "graph_config:\n  memory_optimization: true  # reuse\n  trace_level: 2\n  jit_threshold: 50\n",
    )
    with ds.load_config(path) as config:
        assert (config.memory_optimization, config.trace_level, config.jit_threshold) == (True, 2, 50)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "graph_config:\n  trace_levl: 2\n",
            "config.yaml: graph_config has no key 'trace_levl'; did you mean",
        ),
        ("graph_config:\n  amp: 7\n", "config.yaml: graph_config: amp takes true or false, got 7"),
        ("graph_config: [1\n", "is not YAML: .*line 2"),
        ("trace_level: 2\n", "has to hold `graph_config:`"),
        ("graph_config: {}\nother: 1\n", "has 'other' beside"),
        ("graph_config: 3\n", "takes keys with values, got 3"),
        ("graph_config: {1: 2}\n", "takes keys with values"),
        ("", "has to hold"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ds.load_config(written(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        ds.load_config(tmp_path / "none.yaml")


def test_the_trace_level_is_what_a_trace_records() -> None:
    counts = []
    for level in (0, 1, 2):
        with ds.graph_config(trace_level=level), ds.trace() as graph:
            x = ds.ones(3, requires_grad=True)
            (x * 2).sum().backward()
        counts.append((len(graph.nodes), len(graph.statistics), len(graph.values)))
        assert x.grad is not None
        assert x.grad.tolist() == [2.0] * 3
    assert counts == [(0, 0, 0), (4, 0, 0), (4, 4, 4)]


def test_a_trace_has_a_level_and_a_budget_of_its_own() -> None:
    with ds.trace(level=2, budget=20) as graph:
        y = ds.ones(4) * 2
        y + 1
    first, second = graph.nodes
    assert graph.statistics[second.id] == {"min": 3.0, "max": 3.0, "mean": 3.0, "std": 0.0, "not_finite": 0.0}
    assert list(graph.values) == [first.id]
    with pytest.raises(ConfigError, match="trace: trace_level takes"):
        ds.trace(level=5)


def test_every_key_says_what_it_is_for() -> None:
    assert all(key.doc and key.allowed for key in KEYS.values())


def test_a_key_that_stands_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("graph_config:\n  trace_level: 1\n  amp: true\n  trace_level: 2\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"twice\.yaml is not YAML: the key 'trace_level' stands there twice .*line 4"
    ):
        ds.load_config(path)
    path.write_text("graph_config:\n  trace_level: &level 1\n  jit_threshold: *level\n", encoding="utf-8")
    with ds.load_config(path):
        pass
