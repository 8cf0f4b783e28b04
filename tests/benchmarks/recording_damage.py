"""Cut a small recording at every byte and flip every bit of it: what each reads as. Takes minutes.

With an argument such as 3/8 only that part of the places.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from recordings import write  # noqa: E402
from test_recording_damage import outcome  # noqa: E402


def main() -> None:
    part, parts = map(int, (sys.argv[1:] or ["1/1"])[0].split("/"))
    with tempfile.TemporaryDirectory() as folder:
        path, damaged = Path(folder) / "run.dsviz", Path(folder) / "damaged.dsviz"
        expected = write(path)
        data = path.read_bytes()
        print(f"{len(data):,} bytes, {len(expected)} events, part {part} of {parts}")
        slowest = 0.0
        for what, size in (("cut at every byte", len(data)), ("every bit flipped", len(data) * 8)):
            outcomes: Counter[str] = Counter()
            for place in range(part - 1, size, parts):
                if what.startswith("cut"):
                    changed = data[:place]
                else:
                    changed = bytearray(data)
                    changed[place // 8] ^= 1 << place % 8
                damaged.write_bytes(changed)
                start = time.perf_counter()
                try:
                    outcomes[outcome(damaged, expected)] += 1
                except Exception as error:  # noqa: BLE001  whatever it raises is what we look for
                    outcomes["WRONG"] += 1
                    print(f"{what}, place {place}: {type(error).__name__}: {error}")
                slowest = max(slowest, time.perf_counter() - start)
            print(f"{what}: {dict(outcomes)}", flush=True)
        print(f"slowest to read: {slowest * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
