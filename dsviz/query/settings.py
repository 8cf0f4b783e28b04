"""The configuration in force and the results used again, as lines for a person, and a typed change of a key."""

from __future__ import annotations

from typing import Any

from dsviz.terminal import bytes_text, total_text


def config_sentences(rows: list[dict[str, Any]]) -> list[str]:
    """One line a key; those that are not as usual are marked."""
    return [
        f"{'*' if row['value'] != row['default'] else ' '} {row['key']:<20} {row['value']!s:<8}  {row['doc']} ({row['allowed']})"
        for row in rows
    ]


def change(text: str) -> dict[str, Any]:
    """`amp=true keep_fp32=0.2` as keys and values. Raises ValueError with a sentence.

    >>> change("amp=true keep_fp32=0.2 loss_scaling=dynamic")
    {'amp': True, 'keep_fp32': 0.2, 'loss_scaling': 'dynamic'}
    """
    keys: dict[str, Any] = {}
    for word in text.split():
        key, equals, typed = word.partition("=")
        if not equals or not key or not typed:
            raise ValueError(f"a change is KEY=VALUE, such as amp=true, not {word[:60]!r}.")
        keys[key] = value(typed)
    return keys


def value(text: str) -> Any:
    """What a typed value means, as in the YAML of a configuration file.

    >>> value("true"), value("0.2"), value("dynamic")
    (True, 0.2, 'dynamic')
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text
    small = not isinstance(found, int) or abs(found) < 1 << 63
    return found if isinstance(found, bool | int | float | str) and small else text


def reuse_sentences(rows: list[dict[str, Any]]) -> list[str]:
    """One line a switched-off module."""
    if not rows:
        return ["no module is switched off; module.trace_(False, reuse=True) does it"]
    lines = []
    for row in rows:
        total = row["hits"] + row["misses"]
        used = (
            f"{row['hits']} of {total} results used again"
            if row["reuse"]
            else "computed without a trace each time"
        )
        saved = f", {bytes_text(row['bytes'])} and {total_text(row['ns'])} saved" if row["hits"] else ""
        lines.append(f"{row['path'] or '(not called since tracing began)'}: {used}{saved}")
    return lines
