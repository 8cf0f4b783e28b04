"""One thing that is wrong: what, where, why we think so, and what to try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

SEVERITIES = ("error", "warning")


@dataclass
class Place:
    """A step on the way to a finding: a line of the person's, and what happened there."""

    file: str
    line: int
    note: str


def at(place: tuple[str, int], note: str) -> Place:
    """A file and line with what happened there."""
    return Place(place[0], place[1], note)


@dataclass
class Finding:
    """What a detector tells. `weight` orders findings of one severity: the surest and gravest first."""

    kind: str
    severity: str
    file: str
    line: int
    message: str
    chain: list[Place] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    suggestion: str = ""
    weight: float = 0.5

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the order's weight."""
        made = asdict(self)
        del made["weight"]
        return made


def at_each(first: Finding, places: list[Place]) -> Iterator[Finding]:
    """The finding, and once more at each further place where it may be mended, each a little less likely."""
    told = {(first.file, first.line)}
    yield first
    for place in places:
        if place.file and (place.file, place.line) not in told:
            told.add((place.file, place.line))
            message = f"{place.note[:1].upper()}{place.note[1:]}: {first.message}"
            yield replace(
                first,
                file=place.file,
                line=place.line,
                message=message,
                weight=first.weight - 0.001 * len(told),
            )


def ranked(findings: list[Finding]) -> list[Finding]:
    """Gravest first; of one kind at one line only the first."""
    order = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), -f.weight))
    seen: set[tuple[str, str, int]] = set()
    kept = []
    for finding in order:
        key = (finding.kind, finding.file, finding.line)
        if key not in seen:
            seen.add(key)
            kept.append(finding)
    return kept
