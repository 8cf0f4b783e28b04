"""How many faulty programs `dsviz diagnose` names, first or within three, and how often it speaks of a healthy one.

python tests/benchmarks/diagnose_score.py [-v]

Every program of tests/faults and its repaired twin, and the sets of tests/faults/written. With -v those not named first.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from faulty import FAULTS, diagnosed, half, written
from healthy import HEALTHY, START

warnings.simplefilter("ignore")
loud = "-v" in sys.argv[1:]
sets = {"suite": {path.stem: path.read_text(encoding="utf-8") for path in FAULTS}}
sets |= {name: written(name) for name in ("first", "second", "third", "fourth", "fifth", "sixth")}
with tempfile.TemporaryDirectory() as folder:
    for title, programs in sets.items():
        first = three = alarms = 0
        for name, both in programs.items():
            text, culprit = half(both, broken=True)
            lines = [f.line for f in diagnosed(text, Path(folder) / f"{title}_{name}.py")[:3]]
            first += lines[:1] == [culprit]
            three += culprit in lines
            if loud and lines[:1] != [culprit]:
                print(f"  {title}: {name}: line {culprit}, found {lines}")
            text, _ = half(both, broken=False)
            alarms += bool(diagnosed(text, Path(folder) / f"{title}_{name}_repaired.py"))
        print(
            f"{title:8} {len(programs):3} faulty   first {first:3}   within three {three:3}   repaired twins with a finding {alarms}"
        )
    healthy = {name: START + text for name, text in HEALTHY.items()} | written("healthy")
    found = [n for i, n in enumerate(healthy) if diagnosed(healthy[n], Path(folder) / f"healthy_{i}.py")]
    print(f"{'healthy':8} {len(healthy):3}   with a finding {len(found)} {' '.join(found)}")
