"""Where programs that listen are found: a private folder of this user, with one record a program.

A record says at which address the program's door is and holds the secret that opens it. Only this user may read
it, so only this user may attach. What a killed program left there is swept away by whoever looks next.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from typing import Any

import msgspec

ENDING = ".json"
_LARGEST = 64 << 10  # bytes of a record; a larger file is none


class NoDoorError(ValueError):
    """There is no program to attach to, or no place to be found at; the text is a sentence for the person."""


class Record(msgspec.Struct):
    """A program that listens."""

    pid: int
    address: str  # path of a Unix socket, or 127.0.0.1:PORT
    secret: str  # 32 bytes in hexadecimal
    script: str  # its full path, "" where the program is no script
    interactive: bool = False  # a person types it: a notebook, `python -i`

    @property
    def name(self) -> str:
        """What a person calls it."""
        return os.path.basename(self.script) or ("a notebook" if self.interactive else "a program")


def folders() -> list[str]:
    """Where records may be, the preferred folder first. They need not be there."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    places = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        places.append(os.path.join(runtime, "dsviz"))
    shared = tempfile.gettempdir() if sys.platform == "win32" else "/tmp"  # TMPDIR differs between shells
    return [*places, os.path.join(shared, f"dsviz-{user}")]


def folder() -> str:
    """The folder for new records, made where there is none. Raises NoDoorError where it cannot be trusted."""
    place = folders()[0]
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)
    except OSError as error:
        raise NoDoorError(f"The folder {place} cannot be made ({error.strerror}), so nobody could find this program.") from None  # fmt: skip
    if not _private(place):
        raise NoDoorError(
            f"{place} belongs to somebody else or is open to others, so it is not trusted. Remove it, and try again."
        )
    return place


def _private(place: str) -> bool:
    try:
        found = os.lstat(place)
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


def keep(record: Record, place: str) -> str:
    """Write `record` into the folder `place`; gives the file."""
    path = os.path.join(place, f"{record.pid}{ENDING}")
    made = f"{path}.new"
    for old in (path, made):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(old)  # of an earlier process with this number
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(record))
    os.rename(made, path)  # whoever looks finds a whole record or none
    return path


def listening() -> list[Record]:
    """The programs of this user that listen, by number. Records of those that are gone are removed."""
    found: dict[int, Record] = {}
    for place in folders():
        if not _private(place):
            continue
        for name in os.listdir(place):
            if name.endswith(ENDING) and name[: -len(ENDING)].isdigit():
                path = os.path.join(place, name)
                record = _read(path)
                if record is None or not alive(record.pid):
                    _sweep(path, record, place)
                else:
                    found[record.pid] = record
    return [found[pid] for pid in sorted(found)]


def _read(path: str) -> Record | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _sweep(path: str, record: Record | None, place: str) -> None:
    left = [path]
    if record is not None and os.path.dirname(record.address) == place:
        left.append(record.address)  # a socket at a place of the person's own choice is replaced, not removed
    for each in left:
        with contextlib.suppress(OSError):
            os.unlink(each)


def alive(pid: int) -> bool:
    """Whether process `pid` runs; one that has ended and waits to be collected does not."""
    if sys.platform == "win32":
        return True  # signal 0 would end it there; connecting tells
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return not os.path.isdir("/proc/self")


def find(target: str) -> Record:
    """The program a person names by its process number or its address. Raises NoDoorError with a sentence."""
    there = listening()
    if target.isascii() and target.isdigit():
        for record in there:
            if record.pid == int(target):
                return record
        raise NoDoorError(f"{_why_not(int(target))} {listed(there)}")
    address = address_of(target)
    for record in there:
        if record.address == address:
            return record
    raise NoDoorError(f"No program of yours listens at {target}. {listed(there)}")


def address_of(text: Any) -> str:
    """The address a person means: a port, `127.0.0.1:PORT`, or the path of a socket. Raises NoDoorError.

    >>> address_of(5678), address_of("localhost:5678"), address_of("/run/me.sock")
    ('127.0.0.1:5678', '127.0.0.1:5678', '/run/me.sock')
    """
    if isinstance(text, int) and not isinstance(text, bool):
        text = f":{text}"
    if isinstance(text, str | os.PathLike):
        name = str(os.fspath(text))
        if os.sep in name:
            return os.path.abspath(name)
        host, colon, port = name.rpartition(":")
        if colon and port.isascii() and port.isdigit() and int(port) <= 65535:
            if host in ("", "127.0.0.1", "localhost"):
                return f"127.0.0.1:{int(port)}"
            raise NoDoorError(
                f"{name!r} is not an address of this machine. Only programs of this machine can be attached to: "
                "use a port such as 127.0.0.1:5678, or the path of a socket."
            )
    raise NoDoorError(
        f"{text!r} is no address: a port of this machine such as 127.0.0.1:5678, or the path of a socket "
        "such as ./train.sock, was expected."
    )


def _why_not(pid: int) -> str:
    if not alive(pid):
        return f"There is no process {pid}."
    owner = _owner(pid)
    if owner is not None and hasattr(os, "getuid") and owner != os.getuid():
        return f"Process {pid} belongs to another user; only its own user may attach to it."
    return f"Process {pid} does not listen: its program has to call ds.listen() first."


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def listed(there: list[Record]) -> str:
    """What a person may choose from, in a sentence."""
    if not there:
        return "No program listens now."
    names = ", ".join(f"{record.pid} ({record.name})" for record in there[:20])
    return f"Listening now: {names}."
