"""A session and its model, told the same by Hypothesis: they have to agree after every step.

`tests/benchmarks/session_model.py` does the same for as long as one likes.
"""

from hypothesis import HealthCheck, Phase, settings
from session_model import SessionModel

SessionModel.TestCase.settings = settings(
    max_examples=4,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # each step is a process's: making a failure smaller would take minutes
    suppress_health_check=list(HealthCheck),
)
TestSessionModel = SessionModel.TestCase
