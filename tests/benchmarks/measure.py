"""What the benchmark scripts share: a run of dsviz with a browser on it, and medians with their spread."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
DEMOS = ROOT / "demos"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """`median (p5 to p95)` of `values`."""
    ordered = sorted(values)
    low, high = ordered[int(0.05 * len(ordered))], ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def machine() -> str:
    """One line that names this machine."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}"


def processes() -> dict[int, str]:
    """The processes below this one: what each is, by its number."""
    parents: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    found = {}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above != os.getpid() or pid == above:
            continue
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"__dsviz_bootstrap__" in command:
                found[pid] = "program"
            elif b"dsviz" in command.split(b"\0"):
                found[pid] = "server"
            else:  # Chromium shows surfaces of its own by renderers, too
                page = b"--type=renderer" in command and b"--top-chrome-webui" not in command
                found[pid] = "page" if page else "browser"
    return found


def process(what: str) -> int:
    """The number of the process below this one that is "server", "program" or "page"; of several pages the largest."""
    pages = {
        pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        for pid, kind in processes().items()
        if kind == what
    }
    return max(pages, key=pages.__getitem__)


def cpu_seconds() -> dict[str, float]:
    """CPU seconds used so far by the processes below this one: they hold on a busy machine, too."""
    used = {"server": 0.0, "program": 0.0, "page": 0.0, "browser": 0.0}
    for pid, what in processes().items():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used[what] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def memory() -> dict[str, float]:
    """Resident MB of the processes below this one; of several pages the largest."""
    size = {"server": 0.0, "program": 0.0, "page": 0.0, "browser": 0.0}
    for pid, what in processes().items():
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            size[what] = max(size[what], pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return size


@contextlib.contextmanager
def dsviz_run(script: Path, *options: str) -> Iterator[str]:
    """`dsviz run` of `script` without a browser of its own; gives the address with its token."""
    command = [sys.executable, "-m", "dsviz", "run", "--no-browser", "--port", "0", *options, str(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        if match is None:
            raise SystemExit(f"dsviz run printed no address: {line!r}")
        yield match.group()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)  # a large program on a busy machine takes its time


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium: the system's, else Playwright's own."""
    system = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=system, args=QUIET)
        try:
            yield chromium
        finally:
            chromium.close()


def opened(chromium: Browser, address: str) -> Page:
    """The page of `address`, once its program is paused."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    expect(page.locator("#run-state")).to_have_text("paused", timeout=30_000)
    return page
