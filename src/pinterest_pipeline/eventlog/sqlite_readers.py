"""Connections that only read: each serves one thread at a time, and waits for no writer."""

import bisect
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.base import Headers, StoredRecord
from pinterest_pipeline.eventlog.sqlite_file import LAST_OFFSET, OFFSET_BITS, connect, translated

_HEADERS: Final = msgspec.msgpack.Decoder(Headers)
_Row: TypeAlias = tuple[int, int, bytes | None, bytes | None, bytes | None]


class Readers:
    """The reading connections of one instance; as many as threads read at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile; raises the pipeline's errors."""
        if self._closed:
            raise Unavailable(f"the event log {self._path} is closed")
        try:
            with self._borrowed() as reader:
                yield reader
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection as `one`, that sees one state of the file however often it is asked."""
        with self.one() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("COMMIT")

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = connect(self._path)
        try:
            yield reader
        finally:
            self._idle.append(reader)
            if self._closed:
                self._close_idle()

    def close(self) -> None:
        """Close what is idle now, and the rest once it is given back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def records(
    reader: sqlite3.Connection,
    partition_id: int,
    number: int,
    offset: int,
    max_records: int,
    max_bytes: int,
) -> list[StoredRecord]:
    """Records of a partition from `offset` on, until they are `max_records` or have `max_bytes`."""
    first = partition_id << OFFSET_BITS
    rows = reader.execute(
        "SELECT position, timestamp, key, value, headers FROM records"
        " WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?",
        (first + min(max(offset, 0), LAST_OFFSET), first + LAST_OFFSET, max_records),
    )
    with closing(rows):
        return _some(rows, number, max_bytes)


def _some(rows: Iterable[_Row], number: int, max_bytes: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    size = 0
    for position, timestamp, key, value, packed in rows:
        headers = _HEADERS.decode(packed) if packed else ()
        found.append(StoredRecord(number, position & LAST_OFFSET, timestamp, key, value, headers))
        size += len(key or b"") + len(value or b"") + len(packed or b"")
        if size >= max_bytes:
            break
    return found


def offset_at(
    reader: sqlite3.Connection, partition_id: int, end: int, timestamp: int, beginning: int = 0
) -> int:
    """The first offset from `beginning` to `end` whose timestamp is not before this one, else `end`.

    Timestamps never decrease, so a search by halves finds it; the reader must see one state of the file.
    """
    first = partition_id << OFFSET_BITS

    def timestamp_of(offset: int) -> int:
        row = reader.execute("SELECT timestamp FROM records WHERE position = ?", (first | offset,)).fetchone()
        return int(row[0])

    offsets = range(beginning, end)
    return beginning + bisect.bisect_left(offsets, timestamp, key=timestamp_of)
