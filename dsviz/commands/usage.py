"""What all commands share: how a mistake is told, options before SCRIPT, and whether a script can be run."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Collection
from typing import NoReturn

from dsviz import shadow


class UsageError(Exception):
    """The command cannot be carried out; the text is the sentence for the person."""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Tell the mistake as `UsageError` does, instead of ending the process."""
        raise UsageError(f"{message}. See {self.prog} --help.")


def split(words: list[str], with_value: Collection[str]) -> tuple[list[str], list[str]]:
    """Our options, and the script with its own arguments (which argparse must not look at)."""
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[:at], words[at + 1 :]
        if not word.startswith("-") or word == "-":
            break
        at += 2 if word in with_value else 1
    return words[:at], words[at:]


def port(text: str) -> int:
    """A port number from what was typed, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def every(text: str) -> int:
    """Every how many iterations, from what was typed, for argparse."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of iterations; give 1 or more")
    return int(text)


def named_recording(name: str) -> bool:
    """Whether a file is a recording by its name. What a stranger sends under such a name is opened, never run."""
    return name.lower().endswith(".dsviz")


def check_script(name: str) -> str:
    """The absolute path of a script that can be run. Raises UsageError with the reason where it cannot."""
    if not name:
        raise UsageError("the script's name is empty. Name a Python file.")
    path = os.path.abspath(name)
    if name == "-":
        raise UsageError(
            "a script cannot come from standard input, which belongs to the script. Save it in a file."
        )
    if os.path.isdir(path):
        inner = os.path.join(name, "__main__.py")
        hint = f": dsviz run {inner}" if os.path.exists(inner) else "."
        raise UsageError(f"{name} is a folder, but a Python script was expected. Name a file in it{hint}")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except FileNotFoundError:
        raise UsageError(
            f"there is no file {path}. Check the name, or give the script's full path."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}). Give a Python script you may read."
        ) from None
    if named_recording(name):
        raise UsageError(
            f"{path} is a recording by its name, and is not run as a script. See it with dsviz open {name}."
        )
    _check_source(source, path)
    hidden = shadow.hiding(os.path.dirname(os.path.realpath(path)))
    if hidden:
        raise UsageError(hidden)
    return path


def _check_source(source: bytes, path: str) -> None:
    if b"\0" in source:
        raise UsageError(f"{path} is not a Python script: it holds binary data. Give the .py file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the script's own run shows its warnings
            compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UsageError(_syntax_error(error, path)) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise UsageError(f"{path} is not a Python script that can be compiled: {error}.") from None


def _syntax_error(error: SyntaxError, path: str) -> str:
    if not error.lineno:  # undecodable source has a message but no place
        return f"{path} is not a Python script: {error.msg}. Mend it, or give the right file."
    text = (error.text or "").rstrip("\n").expandtabs(1)
    shown = text.lstrip()
    column = (error.offset or 1) - 1 - (len(text) - len(shown))
    where = f"\n    {shown}\n    {' ' * max(column, 0)}^" if shown else ""
    return (
        f"{path}, line {error.lineno}: {error.msg}. "
        f"Mend the line and run again, or give another file if this is no Python script.{where}"
    )
