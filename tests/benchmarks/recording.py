"""How fast events go into a recording and come back, how many bytes each takes, how long opening takes."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from measure import machine  # noqa: E402
from recordings import META, run  # noqa: E402

from dsviz import events  # noqa: E402
from dsviz.recording import Recording  # noqa: E402

NODES = 500_000
BATCH = 100  # events that arrive together


def main() -> None:
    some = run(NODES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.dsviz"
        start = time.perf_counter()
        writer = Recording.create(path, META)
        for first in range(0, len(some), BATCH):
            writer.extend(some[first : first + BATCH])
        writer.close()
        written = time.perf_counter() - start
        size = path.stat().st_size

        start = time.perf_counter()
        with Recording.open(path) as recording:
            opened = time.perf_counter() - start
            start = time.perf_counter()
            count = sum(len(batch) for _, batch in recording.batches())
            read = time.perf_counter() - start
            start = time.perf_counter()
            for node in range(1, NODES, NODES // 200):
                assert recording.node(node) is not None
            found = (time.perf_counter() - start) / 200
            assert recording.damage == []
    assert count == len(some)
    on_the_wire = sum(len(events.encoder.encode(event)) for event in some[:10_000]) / 10_000
    print(machine())
    print(f"written: {count / written:,.0f} events/s ({count:,} events, arriving {BATCH} at a time)")
    print(
        f"read:    {count / read:,.0f} events/s; opened in {opened * 1e3:.0f} ms; a node {found * 1e6:.0f} us"
    )
    print(f"size:    {size / count:.1f} bytes an event ({on_the_wire:.1f} on the wire)")


if __name__ == "__main__":
    main()
