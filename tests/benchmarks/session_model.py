"""The session beside its model for longer than the tests do: `python tests/benchmarks/session_model.py [EXAMPLES] [STEPS]`.

Each run draws other orders of verbs. A disagreement is printed with the steps that led to it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from session_model import SessionModel


def main(words: list[str]) -> int:
    """Run so many examples of so many steps each."""
    examples, steps = (int(word) for word in (words + ["40", "40"][len(words) :])[:2])
    began = time.monotonic()
    run_state_machine_as_test(
        SessionModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(
        f"{examples} sessions of at most {steps} steps agreed with the model, {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
