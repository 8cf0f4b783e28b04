"""What the JIT did, as plain data: for the program, the debugger and the terminal."""

from __future__ import annotations

import sys
from typing import Any


def report() -> dict[str, Any]:
    """The compiler, and the regions that ran, the most used last. Read as `ds.jit_report()`.

    `compiler` is its path, None where there is none, and `refused` says why nothing is compiled, on the CPU and on a GPU.
    Each region has `file` and `line` of its first op, `ops`, `shape`, `dtype`, `device` ("cpu" or "cuda"), `state` ("counting", "compiling", "compiled" or
    "plain"), `runs`, `hits` (runs by its kernel) and `misses`, `cached` (the kernel came from the disk), `reason`
    (what is different from the region before it at the same place) and `error` (why it stays plain).
    """
    module = sys.modules.get("engine.jit.plan")  # not loaded: no op was ever large enough
    if module is None:
        return {"compiler": None, "refused": "", "compiled": 0, "hits": 0, "misses": 0, "regions": []}
    from engine.native.compiler import compiler

    plans = module.plans.all()
    return {
        "compiler": compiler(),
        "refused": "; ".join(why for why in (module.plans.refused, module.plans.refused_far) if why),
        "compiled": sum(plan.state == module.READY for plan in plans),
        "hits": sum(plan.hits for plan in plans),
        "misses": sum(plan.misses for plan in plans),
        "regions": [
            {
                "file": plan.place.filename,
                "line": plan.place.line,
                "ops": [step.op.name for step in plan.steps],
                "shape": list(plan.domain),
                "dtype": str(plan.dtype),
                "device": "cuda" if plan.far else "cpu",
                "state": plan.state,
                "runs": plan.runs,
                "hits": plan.hits,
                "misses": plan.misses,
                "cached": plan.cached,
                "reason": plan.reason,
                "error": plan.error,
            }
            for plan in sorted(plans, key=lambda plan: plan.runs)
        ],
    }
