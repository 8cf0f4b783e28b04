"""A SQLite file from anywhere, opened so that nothing in it can act, and read row by checked row."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dsviz.recording import format
from dsviz.recording.format import NewerRecordingError, RecordingError

# What SQLite and Python's sqlite3 raise on a damaged file (ValueError: an error text that is no UTF-8).
FAULTS = (sqlite3.Error, OSError, ValueError, MemoryError)

UNMATCHED = "a record does not match its checksum"
_MAGIC = b"SQLite format 3\0"
_SETTINGS = ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "temp_store=MEMORY")
_HEADER = 100
_WRITE_VERSION, _WITH_LOG = 18, 2


class Row(NamedTuple):
    """A record whose checksum is right."""

    number: int
    record: bytes


class Missing(NamedTuple):
    """Rows that should be there (`last` None: to an unknown end) and are not, or are damaged."""

    first: int
    last: int | None
    reason: str


class Header(NamedTuple):
    """What the first bytes of the file say."""

    closed: bool  # by its writer, so that no log beside it is needed
    cut: int  # bytes that are missing at its end


class Database:
    """Read-only access to a recording's tables. Raises RecordingError where the file is not a recording."""

    def __init__(self, path: str) -> None:
        self.header = _check_header(path)
        self._lock = threading.RLock()
        try:
            self._db = _connect(path, self.header)
        except FAULTS as error:
            raise RecordingError(f"{path} cannot be opened: {error}.") from None
        try:
            _check_schema(self._db, path)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def rows(self, table: str, expected: int | None = None) -> Iterator[Row | Missing]:
        """Every row of a record table in order, with what is missing in its place.

        `expected` is how many rows there should be, where that is known. Row numbers are 1, 2, 3...: a
        number is believed only under a right checksum, and a scan that comes back to a row it has seen
        (a tree bent into a ring) ends there.
        """
        following, reason, whole = 1, "", True
        for item in self._scan(table, ""):
            if isinstance(item, str):
                reason, whole = item, False
                break
            number, record = item
            if record is None:
                reason = reason or UNMATCHED
                continue
            if number < following:
                reason, whole = "rows come twice", False
                break
            if number > following:
                yield Missing(following, number - 1, reason or "rows are missing")
                reason = ""
            yield Row(number, record)
            following = number + 1
        if not whole:
            tail, reason_at_end = self._tail(table, following)
            for row in tail:
                if row.number > following:
                    yield Missing(following, row.number - 1, reason)
                yield row
                following = row.number + 1
            reason = reason_at_end if tail else reason
        if expected is not None and following <= expected:
            yield Missing(following, expected, reason or "rows are missing")
        elif reason:
            yield Missing(following, None, reason)

    def record(self, table: str, number: int) -> bytes | None:
        """One record, None where it is missing or damaged."""
        for item in self._scan(table, f"WHERE number = {int(number)}"):
            if not isinstance(item, str) and item[0] == number:
                return item[1]
        return None

    def bulk(self, table: str, number: int, size: int) -> bytes | None:
        """A row of a bulk table; None where it is not there or not of this size."""
        query = f"SELECT data FROM {table} WHERE number = ? AND typeof(data) = 'blob' AND length(data) = ?"
        try:
            with self._lock:
                row = self._db.execute(query, (number, size)).fetchone()
        except FAULTS:
            return None
        return bytes(row[0]) if row and len(row[0]) == size else None

    def _tail(self, table: str, above: int) -> tuple[list[Row], str]:
        """Rows that a scan from the other end reaches before the damage; what is wrong after them."""
        tail: list[Row] = []
        reason = ""
        for item in self._scan(table, "ORDER BY number DESC"):
            if isinstance(item, str):
                break
            number, record = item
            if record is None:
                reason = reason if tail else UNMATCHED
                continue
            if number < above or (tail and number >= tail[-1].number):
                break
            tail.append(Row(number, record))
        return tail[::-1], reason

    def _scan(self, table: str, rest: str) -> Iterator[tuple[int, bytes | None] | str]:
        """Row numbers with their records (None: wrong type, size, checksum); a reason where it ends early."""
        largest = format.LARGEST_SOURCE if table == "sources" else format.LARGEST_RECORD
        query = (
            f"SELECT number, CASE WHEN typeof(record) = 'blob' AND length(record) <= {largest}"
            f" THEN record END, CASE WHEN typeof(crc) = 'integer' THEN crc END FROM {table} {rest}"
        )
        try:
            with self._lock:
                cursor = self._db.execute(query)
            for _ in range(format.MOST_ROWS[table]):
                with self._lock:
                    row: tuple[Any, Any, Any] | None = cursor.fetchone()
                if row is None:
                    return
                number, record, crc = row
                whole = isinstance(record, bytes) and crc == format.seal(table, number, record)
                yield number, record if whole else None
            if cursor.fetchone() is not None:
                yield f"more than {format.MOST_ROWS[table]} rows"
        except FAULTS as error:
            yield f"the file is damaged ({error})"


def _check_header(path: str) -> Header:
    """Refuse what is no recording, or one for another version, before SQLite reads a byte of it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RecordingError(f"{path} is not a file.")
        with open(path, "rb") as file:
            header = file.read(_HEADER)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} cannot be opened: {error}.") from None
    application, version = 0, 0
    if len(header) == _HEADER and header.startswith(_MAGIC):
        (version,) = struct.unpack_from(">I", header, 60)
        (application,) = struct.unpack_from(">I", header, 68)
    if application != format.APPLICATION_ID:
        raise RecordingError(f"{path} is not a dsviz recording, or its beginning is damaged.")
    if version > format.FORMAT:
        raise NewerRecordingError(
            f"{path} has recording format {version}; this dsviz reads up to {format.FORMAT}: "
            "install a newer dsviz to open it."
        )
    if version < format.OLDEST:
        raise RecordingError(f"{path} has recording format {version}, which no dsviz writes.")
    page, pages = struct.unpack_from(">H", header, 16)[0], struct.unpack_from(">I", header, 28)[0]
    return Header(header[_WRITE_VERSION] != _WITH_LOG, max(0, page * pages - size))


def _connect(path: str, header: Header) -> sqlite3.Connection:
    wal = path + "-wal"
    # A recording whose writer was killed, or still writes, has its last rows in the log beside it.
    # Without one nobody writes: immutable, so that neither a journal nor a lock beside it is looked at.
    alive = os.path.exists(wal) and os.path.getsize(wal) > 0
    uri = Path(os.path.abspath(path)).as_uri() + ("?mode=ro" if alive else "?mode=ro&immutable=1")
    db = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        db.text_factory = bytes
        if sys.version_info >= (3, 11):
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, format.LARGEST_VALUE + (1 << 20))
            db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            db.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0)
        if header.cut and not alive:
            # SQLite refuses a file with fewer pages than it should have, but for this setting. It allows
            # nothing else here: the file is read only and its schema is compared before it is used.
            db.execute("PRAGMA writable_schema=ON").fetchall()
        elif sys.version_info >= (3, 12):
            db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        for setting in _SETTINGS:
            db.execute(f"PRAGMA {setting}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def _check_schema(db: sqlite3.Connection, path: str) -> None:
    """Refuse a file with any table, index, view, trigger or column more or less than ours."""
    ours = {(b"table", name.encode(), name.encode(), sql.encode()) for name, sql in format.SCHEMA.items()}
    try:
        found = db.execute(
            "SELECT type, name, tbl_name, CASE WHEN length(sql) < 1000 THEN sql END"
            " FROM sqlite_master LIMIT ?",
            (len(ours) + 1,),
        ).fetchall()
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except FAULTS as error:
        raise RecordingError(f"{path} is damaged: {error}.") from None
    if set(found) != ours or len(found) != len(ours) or not format.OLDEST <= version <= format.FORMAT:
        raise RecordingError(f"{path} is not a dsviz recording, or its list of tables is damaged.")
