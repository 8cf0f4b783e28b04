"""Mixed precision as it ran: which layer computed in which type, the casts between, and where overflow began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsviz.events import PHASES, Op
from dsviz.query.node import where
from dsviz.query.rows import family, label

if TYPE_CHECKING:
    from dsviz.store import GraphStore

LOW = ("float16", "bfloat16")


def precision(store: GraphStore, iteration: int | None = None) -> dict[str, Any]:
    """What is known of one iteration (the latest that ran something) from its nodes alone.

    `layers`: for each module whose products ran, `dtypes` {type: products}, and its first line; `casts` and `cast_bytes`;
    `overflow`: the first node whose result is not finite while all it took is (trace level 2), or None;
    `statistics`: whether values were looked at, without which nothing can be said of overflow.
    """
    with store.lock:
        if iteration is None:
            ran = (r for n, r in store.nodes.items() if n != store.pending)
            iteration = max((r.iteration for r in ran if isinstance(r, Op)), default=None)
        layers: dict[str, dict[str, Any]] = {}
        casts = cast_bytes = 0
        looked = False
        overflow: dict[str, Any] | None = None
        for node, record in store.nodes.items():
            if not isinstance(record, Op) or record.iteration != iteration or node == store.pending:
                continue
            op = store.text(record.op)
            slot = store.structure.slot_of.get(node)
            module = slot.group.module if slot is not None else ""
            if record.phase == 0 and family(op) == "linear":
                row = layers.setdefault(
                    module, {"module": module, "dtypes": {}, "place": where(store, record.frame)}
                )
                dtype = store.text(record.dtype)
                row["dtypes"][dtype] = row["dtypes"].get(dtype, 0) + 1
            elif record.phase == 0 and op == "cast":
                casts += 1
                cast_bytes += record.nbytes
            summary = store.summaries.get(node)
            looked = looked or summary is not None
            if overflow is None and _bad(store, node) and not any(_bad(store, i) for i in record.inputs):
                assert summary is not None
                overflow = {
                    "node": node,
                    "slot": slot.id if slot is not None else None,
                    "op": label(op, slot) if slot is not None else op,
                    "phase": PHASES[record.phase],
                    "module": module,
                    "dtype": store.text(record.dtype),
                    "place": where(store, record.frame),
                    "infs": summary.infs,
                    "nans": summary.nans,
                }
        return {
            "iteration": iteration,
            "layers": list(layers.values()),
            "casts": casts,
            "cast_bytes": cast_bytes,
            "overflow": overflow,
            "statistics": looked,
        }


def _bad(store: GraphStore, node: int) -> bool:
    summary = store.summaries.get(node)
    return summary is not None and bool(summary.infs + summary.nans)


def sentences(view: dict[str, Any], facts: dict[str, Any] | None = None) -> list[str]:
    """The view as lines for a person; `facts` are those of the paused program, where there is one."""
    lines = []
    if facts is not None:
        kind = "dynamic" if facts["dynamic"] else "fixed"
        state = f"on, loss scale {facts['loss_scale']:g} ({kind}), {facts['skipped_steps']} steps left out"
        lines.append(f"mixed precision is {state if facts['on'] else 'off here'}")
        for layer in facts["layers"]:
            name = layer["path"] or layer["name"]
            lines.append(
                f"  measured {name}: stays {layer['dtype']}, relative error {layer['sensitivity']:.2e} in float16"
            )
    if view["iteration"] is None:
        return [*lines, "no op has run yet"]
    lines.append(f"iteration {view['iteration']}: {view['casts']} casts")
    for row in view["layers"]:
        ran = ", ".join(f"{dtype} ×{count}" for dtype, count in row["dtypes"].items())
        lines.append(f"  {row['module'] or '(outside modules)'}  {ran}  {row['place']}".rstrip())
    bad = view["overflow"]
    if bad is not None:
        inside = f" in {bad['module']}" if bad["module"] else ""
        lines.append(
            f"overflow began at {bad['op']}{inside} ({bad['dtype']}, {bad['infs']} Inf, {bad['nans']} NaN)  {bad['place']}"
        )
    elif view["statistics"]:
        lines.append("every value that was looked at is finite")
    else:
        lines.append("whether a value overflowed is known at trace level 2 only")
    return lines
