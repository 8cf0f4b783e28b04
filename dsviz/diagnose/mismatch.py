"""Shapes clash: which of the lines that had a say in the two sizes is the one to mend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from dsviz.diagnose.finding import Finding, Place
from dsviz.diagnose.origin import numbers
from dsviz.diagnose.record import Record
from dsviz.why.shape import sources
from engine.errors import Origin, ShapeMismatchError
from engine.location import is_engine_code
from engine.node import Node

MOVES = {"reshape", "cat", "stack", "transpose", "permute", "getitem", "split", "unbind", "expand", "part"}
FOLDS = {"mean", "sum", "amax", "amin", "max", "min", "prod", "logsumexp", "argmax", "std", "var", "norm"}
WALKS = {"getitem", "unbind", "split", "part", "reshape"}
WINDOWS = ("conv", "max_pool", "avg_pool", "unfold")  # ops whose layer chooses the sizes of what they give
REACH = 60


def mismatch(record: Record, error: ShapeMismatchError) -> Iterator[Finding]:
    """The lines that had a say in the sizes that clash, likeliest first; one that was proven right comes later."""
    failed = record.failure.node if record.failure is not None else None
    proven = _proven(record)
    clashes = error.clash if len(error.clash) == len(error.origins) else [(-1, 0)] * len(error.origins)
    sides = [(way, argument) for way, (argument, _) in zip(error.origins, clashes, strict=True) if way]
    chain = [Place(error.filename, error.line, error.sentence)]
    for way, _ in sides:
        chain += [Place(o.filename, o.line, o.note) for o in way]
    suspects: list[tuple[float, Origin]] = []
    for score, node, note in (
        *_spoilers(failed, error), *_eaters(failed, error), *_layers(failed, error), *_deeper(failed, error),
        *_layout(failed, error), *_changed(record, failed),
    ):  # fmt: skip
        suspects.append((score, Origin(node.filename, node.line, note, "")))
    for place, size in _chosen(failed, error):
        suspects.append(
            (
                2.62 if _serves(record, failed, error) else 1.4,
                Origin(*place, f"makes {size}: the layer is told so here", ""),
            )
        )
    taken = {argument: _taken_elsewhere(record, failed, argument) for _, argument in sides}
    for side, (way, argument) in enumerate(sides):
        # What another op took as it is was right; if all were, that tells nothing.
        known = taken[argument] and not all(taken.values())
        for depth, origin in enumerate(way):
            doubt = 2.0 if origin.note.startswith("makes") else 0.0
            if (origin.filename, origin.line) in proven:
                doubt -= 1.5  # it was there in an earlier turn, and was right
            if (origin.filename, origin.line) == (error.filename, error.line):
                doubt -= 0.25
            # The argument that came second (a weight, say) was chosen to fit the first.
            suspects.append((doubt + 0.5 * side - 0.1 * depth - 2.0 * known, origin))
    # The letters of an einsum say which sizes have to agree: they are what is wrong as often.
    suspects.append(
        (3.0 if error.op == "einsum" else 0.0, Origin(error.filename, error.line, "clashes here", ""))
    )
    for node in failed.inputs if failed is not None else ():
        while node is not None and any(i is not None and i.role != "parameter" for i in node.inputs):
            node = next(i for i in node.inputs if i is not None and i.role != "parameter")
        if node is not None and node.op is None and node.role != "parameter" and node.filename:
            suspects.append((-1.0, Origin(node.filename, node.line, "the data come from here", "")))
    told: set[tuple[str, int]] = set()
    weight = 1.0
    for _, origin in sorted(suspects, key=lambda s: -s[0]):
        place = origin.filename, origin.line
        if place in told or not origin.filename:
            continue
        told.add(place)
        if len(told) > 3:
            break
        yield Finding(
            "shape mismatch", "error", *place,
            f"{error.op}{' in ' + error.module if error.module else ''}: {error.sentence} "
            f"This line {'decided one of the sizes' if origin.note.startswith('makes') else 'passes one on'} ({origin.note}).",
            chain, {"expected": [str(n) for n in error.expected], "got": list(error.got)},
            "Make the two sizes one: change the size that this line chooses, or what reaches it.", weight,
        )  # fmt: skip
        weight -= 0.05


def _proven(record: Record) -> set[tuple[str, int]]:
    now = max(record.turns, default=0)
    proven = {seen.place for seen in record.nodes() if seen.phase == 0 and seen.op and seen.iteration < now}
    return proven | {(f.file, f.line) for f in record.parameters.values() if f.used and f.last_used < now}


def _taken_elsewhere(record: Record, failed: Node | None, argument: int) -> bool:
    """Whether an op with weights of its own took the same value as it is."""
    node = failed.inputs[argument] if failed is not None and 0 <= argument < len(failed.inputs) else None
    if node is None or not node.id or node.op is None:
        return False
    return any(
        s.phase == 0 and s.inputs and s.inputs[0] == node.id and s.op in ("linear", "matmul", "conv1d", "conv2d", "conv3d")
        for s in record.nodes()
    )  # fmt: skip


def _sides(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[Node, int, set[int]]]:
    """Each clashing argument: its node, the dimension, and the sizes it was wanted to have."""
    sizes = {}
    for argument, dim in error.clash:
        node = failed.inputs[argument] if failed is not None and argument < len(failed.inputs) else None
        if node is not None and node.shape is not None and -len(node.shape) <= dim < len(node.shape):
            sizes[argument] = (node, dim % len(node.shape), node.shape[dim])
    for argument, (node, dim, _) in sizes.items():
        yield node, dim, {size for other, (_, _, size) in sizes.items() if other != argument}


def _spoilers(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[float, Node, str]]:
    """Ops on the way that only move elements, and took in just the size that is wanted: a flatten that ate the batch."""
    for start, dim, wanted in _sides(failed, error):
        node: Node | None = start
        for _ in range(6):
            if node is None or node.op is None or not (node.op.name in MOVES or _keeps(node)):
                break
            if (
                node.op.name in MOVES
                and node.code is not None
                and wanted & _offered(node, dim if node is start else -1)
            ):
                yield 4.0, node, "makes the wanted size disappear"
            node = next((i for i in node.inputs if i is not None), None)


def _keeps(node: Node) -> bool:
    """Whether an op takes one tensor and gives one of its shape: an activation, say."""
    given = [i for i in node.inputs if i is not None]
    return len(given) == 1 and given[0].shape == node.shape


def _offered(node: Node, dim: int) -> set[int]:
    """The sizes a moving op could have made of its inputs, had it been told otherwise."""
    name = "" if node.op is None else node.op.name
    shapes = [i.shape for i in node.inputs if i is not None and i.shape]
    if name in ("cat", "stack"):
        return {sum(shape[d] for shape in shapes) for d in range(min(map(len, shapes), default=0))}
    made = {math.prod(shape[d:]) for shape in shapes for d in range(len(shape))} - set(node.shape)
    if name in ("transpose", "permute"):
        made |= {size for shape in shapes for size in shape}
    if name == "reshape" and dim == 0 and node.shape and shapes[0][0] != node.shape[0]:
        made.add(shapes[0][0])  # the batch had another size before
    return made


def _eaters(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[float, Node, str]]:
    """Ops on the way that folded or walked along just the dimension whose size is wanted: a mean over the batch."""
    for start, dim, wanted in _sides(failed, error):
        node: Node | None = start
        if dim != 0:
            continue
        for _ in range(REACH):
            if node is None or node.op is None:
                break
            parent = next((i for i in node.inputs if i is not None and i.role != "parameter"), None)
            if parent is None or not parent.shape or not node.shape:
                break
            lost = wanted & set(parent.shape[:2]) - set(node.shape)
            if lost and node.op.name in FOLDS | WALKS:
                call = node.call
                layer = _layer_of(call.module) if call is not None and _ours(type(call.module)) else None
                if layer is not None:
                    yield 3.6, layer, f"the layer goes along the dimension of size {min(lost)}"
                yield 3.5, node, f"goes along the dimension of size {min(lost)}"
                break
            node = parent


def _ours(kind: Any) -> bool:
    """Whether a module's forward is the engine's, not the person's."""
    code = getattr(getattr(kind, "forward", None), "__code__", None)
    return code is not None and is_engine_code(code)


def _layer_of(module: Any) -> Node | None:
    return next((p.node for p in module.parameters()), None)


def _layers(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[float, Node, str]]:
    """Layers on the way that choose sizes by their stride, padding or kernel, nearest first."""
    for side, (start, first, _) in enumerate(_sides(failed, error)):
        node, dim, score = start, first, 2.2 + 0.2 * side
        for _ in range(REACH):
            name = "" if node.op is None else node.op.name
            found = sources(node, dim)
            if name.startswith(WINDOWS) and dim >= 2:
                layer = next((i for i in node.inputs if i is not None and i.role == "parameter"), node)
                keeps = bool(found) and found[0][0].shape[found[0][1]] == node.shape[dim]
                yield (
                    score + 0.4 * (not keeps),
                    layer,
                    f"makes {node.shape[dim]} by its stride, padding and kernel",
                )
                score -= 0.7
            if not found:
                break
            node, dim = found[0]


def _serves(record: Record, failed: Node | None, error: ShapeMismatchError) -> bool:
    """Whether the line that made a clashing weight made others of another shape: a function that builds many layers."""
    lines = {(n.filename, n.line): n.shape for n, _, _ in _sides(failed, error) if n.role == "parameter"}
    return any(
        len(f.shape) == len(shape) and f.shape != shape
        for f in record.parameters.values()
        if (shape := lines.get((f.file, f.line))) is not None
    )


def _chosen(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[tuple[str, int], int]]:
    """Where a weight's clashing size was written down, if its layer was given it by a name: `conv_block(4, 16)`."""
    for start, dim, _ in _sides(failed, error):
        if start.op is None and start.role == "parameter":
            for place in numbers(start.filename, start.line, value=start.shape[dim])[:1]:
                yield place, start.shape[dim]


def _layout(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[float, Node, str]]:
    """Data whose dimensions stand in another order: the size that is wanted is there, elsewhere."""
    if failed is None or failed.op is None or not failed.op.name.startswith("conv"):
        return
    for start, dim, wanted in _sides(failed, error):
        others = {size for d, size in enumerate(start.shape) if d != dim and d > 0}
        if start.op is None and start.role != "parameter" and wanted & others:
            yield 3.2, start, f"has {min(wanted & others)} in another dimension"


def _changed(record: Record, failed: Node | None) -> Iterator[tuple[float, Node, str]]:
    """Ops on the way whose results had more or fewer dimensions in an earlier turn: a squeeze of a batch of one."""
    now = max(record.turns, default=0)
    before = {
        (s.place, s.op): len(s.shape)
        for s in record.nodes()
        if s.phase == 0 and s.op and s.iteration < now and s.shape is not None
    }
    for start in failed.inputs if failed is not None else ():
        node = start
        for _ in range(6):
            if node is None or node.op is None or node.shape is None:
                break
            had = before.get(((node.filename, node.line), node.op.name))
            given = next((i for i in node.inputs if i is not None), None)
            if node.op.name in MOVES and had is not None and had != len(node.shape) and given is not None:
                yield 3.6, node, f"gives {len(node.shape)} dimensions, and gave {had} before"
                break
            node = given


def _deeper(failed: Node | None, error: ShapeMismatchError) -> Iterator[tuple[float, Node, str]]:
    """Layers whose width is a factor of a size that a reshape made of several; the odd one out is likeliest."""
    for start, first, wanted in _sides(failed, error):
        queue, told, folded = [(start, first)], {start}, False
        found: list[tuple[Node, int]] = []
        cut: list[tuple[Node, int]] = []
        for _ in range(REACH):
            if not queue:
                break
            node, dim = queue.pop(0)
            folded = folded or (node.op is not None and node.op.name == "reshape")
            if node.role == "parameter" and folded:
                found.append((node, node.shape[dim]))
            before = sources(node, dim)
            if folded and node.op is not None and node.op.name == "getitem" and not before and node.inputs:
                cut.append((node, node.shape[dim]))
            for parent, d in before:
                if parent not in told:
                    told.add(parent)
                    queue.append((parent, d))
        right = any(size in wanted for _, size in found)
        for node, size in found:
            odd = right and size == start.shape[first]
            yield 2.6 if odd else 1.6, node, f"makes {size}, which is part of it"
        for node, size in cut:
            yield 2.55, node, f"cuts {size} out, which is part of it"
