"""What the page would ask the server for, taken from a recording: its moments, and answers for each."""

from __future__ import annotations

import base64
import os
import time
from typing import Any

import numpy as np

from dsviz.events import CATEGORIES
from dsviz.opened import Opened
from dsviz.playback import Playback
from dsviz.query import engine, events, iterations, marks, memory, parameters, source
from dsviz.query import node as nodes
from dsviz.query.dot import dot
from dsviz.recording.replay import NotKeptError
from dsviz.session import Refused, Session
from dsviz.stop import PAUSED
from dsviz.store import GraphStore
from dsviz.web.pages import Page

MOMENTS = 40  # stops of the run, the latest
NODES = 4_000  # nodes that are described
HISTORY = 60  # turns of a place in a description
LOOKS = 6_000_000  # characters of pictures of values
ARRAYS, LARGEST = 6_000_000, 1 << 18  # bytes of values that can be sliced, of all and of one
PATIENCE = 20.0  # seconds that values may take to be recomputed
CHANGES = 60_000  # changes of the live bytes, for "what was alive then"
COMPARED = 400  # iterations that can be compared
EVENTS = 1_000

Json = dict[str, Any]


def content(path: str) -> Json:
    """Everything a page of the recording `path` shows, as plain JSON values.

    `moments` are the run's end and the stops before it, oldest first, each with the messages that draw it. Raises
    RecordingError where the file is no recording.
    """
    with Opened(path) as session:
        moments = _moments(session)
        _go(session, "present")
        store = session.store
        with store.lock:
            bound = _bound(moments)
            answer: Json = {
                "name": os.path.basename(path),
                "moments": moments,
                "sources": {str(file): source.source(store, file) for file in store.files},
                "lines": {str(file): source.lines(store, file) for file in store.files},
                "nodes": {str(node): _described(store, node) for node in bound},
                "memory": {axis: memory.timeline(store, axis) for axis in ("time", "events")},
                "log": _log(store),
                "categories": list(CATEGORIES),
                "iterations": iterations.iterations(store),
                "structures": _structures(store),
                "events": events.rows(store, 0, EVENTS),
                "parameters": parameters.parameters(store),
                "marks": marks.marks(store),
                "engine": {view: engine.engine(store, view, _untold) for view in engine.VIEWS},
                "dot": dot(store),
            }
    _standing(path, moments[-1])
    _values(path, bound, moments, answer)
    return answer


def _untold() -> Json:
    raise LookupError("A recording does not hold what only the program could tell.")


def _moments(session: Session) -> list[Json]:
    found = [_moment(session)]
    latest = found[0]
    while len(found) <= MOMENTS and _go(session, "reverse_continue"):
        earlier = _moment(session)
        if (earlier["node"], earlier["text"]) == (latest["node"], latest["text"]):
            break  # the beginning
        if (
            not earlier["node"] or earlier["node"] != latest["node"]
        ):  # else: the beginning, where it stood anyway
            found.append(earlier)
        latest = earlier
    return found[::-1]


def _standing(path: str, end: Json) -> None:
    """The end of a run that was saved while it stood still: where it stands, with the reason."""
    with Playback(path) as whole:
        now = whole.stop
    state = next(message for message in end["messages"] if message["t"] == "state")
    if now.state != PAUSED or state["state"] == PAUSED:
        return
    slots = (row for message in end["messages"] if message["t"] == "slots" for row in message["items"])
    slot = next((row[0] for row in slots if row[2] == now.node), None)
    state.update(
        state=PAUSED, stop={**now.as_dict(), "slot": slot, "past": True}, message=f"{now.text}.", next=""
    )
    end.update(node=now.node, text=now.text)


def _go(session: Session, verb: str) -> bool:
    try:
        session.send(verb)
    except Refused:
        return verb == "present"
    return True


def _moment(session: Session) -> Json:
    page = Page(session)
    try:
        messages = page.read()
    finally:
        page.close()
    now = session.stop_now
    node = now.node if now is not None and session.state == PAUSED else 0
    moment: Json = {"node": node, "text": now.text if now is not None else "", "messages": messages}
    if node:
        store = session.store
        with store.lock:
            moment["pending"] = _described(store, node)
    return moment


def _bound(moments: list[Json]) -> list[int]:
    """The nodes that some moment shows, those of the latest first."""
    found: dict[int, None] = {}
    for moment in reversed(moments):
        for message in moment["messages"]:
            if message["t"] == "slots":
                found.update({int(row[2]): None for row in message["items"] if row[2]})
    return list(found)[:NODES]


def _described(store: GraphStore, node: int) -> Json:
    told = nodes.describe(store, node)
    if told.get("history"):
        told["history"] = told["history"][-HISTORY:]
    return told


def _log(store: GraphStore) -> Json | None:
    """Every change of the live bytes with the owners of its buffers; None where there are too many for a file."""
    log = store.memory
    if len(log.time) > CHANGES or log.dropped:
        return None
    return {
        "time": list(log.time),
        "step": list(log.step),
        "buffer": list(log.buffer),
        "delta": list(log.delta),
        "category": list(log.category),
        "node": list(log.node),
        "owners": {str(node): memory.owner(store, node) for node in set(log.node)},
    }


def _structures(store: GraphStore) -> Json:
    """Which places each iteration used, and what they are called: enough to compare any two."""
    kept = list(store.iterations)[-COMPARED:]
    used = sorted({slot for record in kept for slot in record.slots})
    return {
        "slots": {str(record.index): sorted(record.slots) for record in kept},
        "items": {str(slot): iterations.item(store, slot) for slot in used},
    }


def _values(path: str, bound: list[int], moments: list[Json], answer: Json) -> None:
    """Pictures and statistics of values, as far as they are kept or can be made again in a while."""
    deadline = time.monotonic() + PATIENCE
    looks: Json = {}
    arrays: Json = {}
    answer.update(looks=looks, arrays=arrays)
    left = ARRAYS
    room = LOOKS
    first = [int(i["node"]) for m in moments for i in m.get("pending", {}).get("inputs", ()) if i.get("node")]
    with Playback(path) as whole:
        for node in dict.fromkeys([*first, *bound]):
            if time.monotonic() > deadline or room <= 0:
                return
            try:
                known = whole.known(node)
                look = whole.look(node)
                inspected = whole.inspect(node)
            except NotKeptError:
                continue
            room -= 7 * sum(len(row) for rows in (look.get("maps") or [look["rows"]]) for row in rows)
            looks[str(node)] = nodes.plain(look)
            packed = _packed(known.array, min(LARGEST, left))
            if packed is not None:
                arrays[str(node)] = packed
                left -= len(packed["data"]) * 3 // 4
            told = answer["nodes"].get(str(node))
            if told is not None and not told.get("statistics"):
                told["value"] = {"summary": nodes.plain(inspected["summary"])}


def _packed(array: Any, most: int) -> Json | None:
    """The numbers of an array in a type that a browser reads; None where they are no numbers, or more than `most` bytes."""
    if array.dtype.kind not in "fiub":
        return None
    kind = "u1" if array.dtype.itemsize == 1 and array.dtype.kind in "ub" else "f4" if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else "f8"  # fmt: skip
    if array.size * int(kind[1]) > most:
        return None
    data = np.ascontiguousarray(array, dtype=f"<{kind}").tobytes()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "kind": kind, "data": base64.b64encode(data).decode()}  # fmt: skip
