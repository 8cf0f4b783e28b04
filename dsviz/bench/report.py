"""What came of a comparison: plain data, a table, and the verdict with losses shown as losses."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from dsviz.bench.compare import Measured
from dsviz.bench.contestants import CONTESTANTS, EAGER, LAST, OURS
from dsviz.bench.setting import CPU, Setting
from dsviz.bench.workloads import Workload
from dsviz.bench.workloads import found as workload_of


def spread(values: Sequence[float], scale: float) -> str:
    """`median (5th to 95th percentile)`.

    >>> spread([1.0, 2.0, 3.0], 10)
    '20 (10-30)'
    """
    ordered = sorted(v * scale for v in values)
    last = len(ordered) - 1
    low, high = ordered[int(0.05 * last)], ordered[round(0.95 * last)]
    return f"{statistics.median(ordered):.3g} ({low:.3g}-{high:.3g})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the turns of ours divided by theirs; neighbours in time see the same machine."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The greatest difference of two lists of losses, relative to their size."""
    return max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(ours, theirs, strict=True))


def best(found: dict[str, Measured]) -> str | None:
    """The faster of PyTorch's layouts, None where PyTorch was not measured."""
    eager = [name for name in (EAGER, LAST) if name in found]
    return min(eager, key=lambda name: statistics.median(found[name].times)) if eager else None


def goals(workload: Workload, setting: Setting) -> dict[str, float | None]:
    """What is aimed at, by the keys of a summary's ratios; on a GPU only images a second, memory and the first start are."""
    if not setting.gpu:
        return {"time": workload.goal, "peak_rss": workload.memory, "start": workload.start}
    return {"time": 0.79, "reserved": 0.79, "start": 0.71} if workload.part == "image" else {}


def summary(
    name: str, found: dict[str, Measured], without: dict[str, str] | None = None, setting: Setting = CPU
) -> dict[str, Any]:
    """The figures of one workload as plain data; ratios are ours divided by the best of PyTorch's.

    `without` are those that were not measured, and why.
    """
    workload = workload_of(name)
    figures: dict[str, Any] = {
        "name": name, "what": workload.what, "per": workload.part, **setting._asdict(),
        "goals": goals(workload, setting),
    }  # fmt: skip
    for contestant, m in found.items():
        seconds = statistics.median(m.times) / workload.parts
        figures[contestant] = {
            "seconds": seconds,
            "per_second": 1 / seconds if seconds else None,
            "peak_rss_mib": m.peak,
            "allocated_mib": m.allocated,
            "start_to_step_seconds": statistics.median(m.starts),
            "built_to_step_seconds": statistics.median(m.firsts),
        }
        if setting.gpu:
            figures[contestant].update(
                reserved_mib=m.reserved, device_mib=statistics.median(m.device), first_ever_seconds=m.ever
            )
    if without:
        figures["not_measured"] = without
    theirs_name = best(found)
    if OURS in found and theirs_name is not None:
        ours, theirs = found[OURS], found[theirs_name]
        known = ours.allocated is not None and theirs.allocated
        figures["beside"] = theirs_name
        figures["ratio"] = {
            "time": ratio(ours.times, theirs.times),
            "peak_rss": ours.peak / theirs.peak if theirs.peak > 0 else None,
            "allocated": ours.allocated / theirs.allocated if known else None,  # type: ignore[operator]
            "start": ratio(ours.starts, theirs.starts),
            "first_step": ratio(ours.firsts, theirs.firsts),
        }
        if setting.gpu:
            lost = statistics.median(ours.device), statistics.median(theirs.device)
            figures["ratio"]["reserved"] = ours.reserved / theirs.reserved if ours.reserved and theirs.reserved else None  # fmt: skip
            figures["ratio"]["device"] = lost[0] / lost[1] if lost[1] > 0 else None
        figures["losses_apart"] = {
            other: apart(ours.losses, m.losses) for other, m in found.items() if other != OURS
        }
    return figures


COLUMNS = {"time": "time", "peak_rss": "peak memory", "start": "process start to step 1", "first_step": "model built to step 1"}  # fmt: skip
GPU_COLUMNS = {
    "time": "time", "reserved": "memory reserved", "allocated": "memory in use", "device": "memory of the device",
    "start": "process start to step 1", "first_step": "model built to step 1",
}  # fmt: skip


def columns(figures: dict[str, Any]) -> dict[str, str]:
    """The ratios that the verdict and the picture show, with their titles."""
    return GPU_COLUMNS if figures["device"] == "cuda" else COLUMNS


def report(
    name: str, found: dict[str, Measured], without: dict[str, str] | None = None, setting: Setting = CPU
) -> list[str]:
    """The lines of one workload: the figures of each, ratios, and the verdict."""
    workload = workload_of(name)
    figures = summary(name, found, without, setting)
    unit, scale = ("us", 1e6) if workload.part == "node" else ("ms", 1e3)
    images = workload.part == "image"
    memory = ("in use", "reserved", "of the device") if setting.gpu else ("peak RSS", "allocated")
    titles = ("", f"{unit}/{workload.part}", *(("images/s",) if images else ()), *memory, "start to step 1", "built to step 1")  # fmt: skip
    rows = [titles]
    for contestant, m in found.items():
        allocated = "" if m.allocated is None else f"{m.allocated:.2f} MiB"
        used = (f"+{m.peak:.1f} MiB", allocated)
        if setting.gpu:
            used = (allocated, f"{m.reserved:.1f} MiB", f"+{statistics.median(m.device):.0f} MiB")  # type: ignore[assignment]
        faster = (f"{figures[contestant]['per_second']:.3g}",) if images else ()
        rows.append((
            CONTESTANTS[contestant].title, spread(m.times, scale / workload.parts), *faster, *used,
            f"{spread(m.starts, 1e3)} ms", f"{spread(m.firsts, 1e3)} ms",
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
    lines = [f"{name}: {workload.what}"]
    for row in rows:
        cells = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  " + "   ".join(cells).rstrip())
    for contestant, why in (without or {}).items():
        lines.append(f"  {CONTESTANTS[contestant].title}: {why}")
    for contestant, m in found.items():
        if m.ever is not None:
            lines.append(f"  {CONTESTANTS[contestant].title}'s first process, before the measured ones: {m.ever:.1f} s to the end of step 1, with the kernels it had to compile")  # fmt: skip
    return lines + verdict(figures)


def verdict(figures: dict[str, Any]) -> list[str]:
    """In words: by how much ahead or behind, and which goals were reached; nothing where there was nobody to compare with."""
    if "ratio" not in figures:
        return []
    ratios = figures["ratio"]
    beside = CONTESTANTS[figures["beside"]].title
    parts = []
    for key, words in columns(figures).items():
        value, goal = ratios[key], figures["goals"].get(key)
        if value is None:
            continue
        said = "" if goal is None else f" (goal x{goal:g}: {'reached' if value <= goal else 'missed'})"
        parts.append(f"{words} x{value:.2f}{said}")
    apart_by = ", ".join(f"{CONTESTANTS[n].title} {by:.0e}" for n, by in figures["losses_apart"].items())
    time, goal = ratios["time"], figures["goals"].get("time")
    lead = (
        f"{1 / time:.2f} times as fast as {beside}" if time < 1 else f"{time:.2f} times as slow as {beside}"
    )
    reached = "" if goal is None else f"; the goal of x{goal:g} is {'reached' if time <= goal else 'missed'}"
    return [
        f"  beside {beside}: " + "   ".join(parts),
        f"  losses differ from {apart_by} at most",
        f"  {lead}{reached}",
    ]
