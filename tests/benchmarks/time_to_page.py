"""From the command typed (installed already) to a page that is paused at entry and can be stepped."""

from __future__ import annotations

import statistics
import time

from measure import DEMOS, browser, cpu_seconds, dsviz_run, machine, opened, spread
from playwright.sync_api import expect

ROUNDS = 7


def main() -> None:
    printed, usable, costs = [], [], []
    with browser() as chromium:
        for _ in range(ROUNDS):
            before = cpu_seconds()
            start = time.perf_counter()
            with dsviz_run(DEMOS / "dynamic_net.py") as address:
                printed.append(time.perf_counter() - start)
                page = opened(chromium, address)
                expect(page.locator("#btn-next")).to_be_enabled()
                usable.append(time.perf_counter() - start)
                after = cpu_seconds()
                costs.append({what: after[what] - before[what] for what in after})
                page.close()
    print(machine())
    print(f"command to address printed, {ROUNDS} runs: {spread(printed, 's')}")
    print(f"command to page usable,     {ROUNDS} runs: {spread(usable, 's')}")
    spent = ", ".join(f"{what} {statistics.median(c[what] for c in costs):.2f} s" for what in costs[0])
    print(f"CPU until then, medians: {spent}")
    print("goal: page usable <= 3 s")


if __name__ == "__main__":
    main()
