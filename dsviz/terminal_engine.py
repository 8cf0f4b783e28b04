"""The terminal's commands on what the engine does by itself: config, amp, reuse, parts, jit, drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dsviz.query import drift, jit, partitions, precision, settings
from dsviz.session import Refused

if TYPE_CHECKING:
    from dsviz.session import Session

HELP = """\
config [KEY=VALUE ...]  the configuration in force, or change it from here on
amp            which layer ran in which type, the loss scale, where overflow began
reuse          modules that are switched off: results used again, bytes and time saved
parts          partitions: the part of each node, what is cut, overlap predicted and seen
jit            what is compiled, how often it is used, and why again
drift          how values and structure moved over the iterations"""


def _config(session: Session, rest: str) -> list[str]:
    rows = session.configure(**settings.change(rest)) if rest else session.facts()["config"]
    return settings.config_sentences(rows)


def _amp(session: Session, rest: str) -> list[str]:
    return precision.sentences(precision.precision(session.store), _facts(session, "amp"))


def _facts(session: Session, name: str) -> dict[str, Any] | None:
    """What the paused program says, None where it has ended or the moment is past: the graph tells the rest."""
    try:
        found: dict[str, Any] = session.facts()[name]
    except Refused:
        return None
    return found


def _reuse(session: Session, rest: str) -> list[str]:
    return settings.reuse_sentences(session.facts()["reuse"])


def _parts(session: Session, rest: str) -> list[str]:
    store = session.store
    return partitions.sentences(store, partitions.partitions(store, session.facts()["partitions"]))


def _jit(session: Session, rest: str) -> list[str]:
    return jit.sentences(session.facts()["jit"])


def _drift(session: Session, rest: str) -> list[str]:
    return drift.sentences(drift.drift(session.store))


COMMANDS: dict[str, Callable[[Session, str], list[str]]] = {
    "config": _config, "amp": _amp, "reuse": _reuse, "parts": _parts, "jit": _jit, "drift": _drift,
}  # fmt: skip
