"""Records lie in the file as batches: one row for records that follow each other in a partition.

A row for each record has to be bound, inserted and laid into a page by itself (measured, a request of 100
records: 460 µs as rows, 51 as batches). A batch is small enough to be read for one record of it.
"""

import bisect
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final, TypeAlias

import msgspec

from pinterest_pipeline.eventlog.base import Headers, StoredRecord

OFFSET_BITS: Final = 36
"""A batch's rowid = partition id, then its first offset in the low 36 bits: one integer key, in log order."""

LAST_OFFSET: Final = (1 << OFFSET_BITS) - 1

MOST_RECORDS: Final = 128
_MOST_BYTES: Final = 128 * 2**10

Row: TypeAlias = tuple[int, bytes | None, bytes | None, Headers]
"""Timestamp in milliseconds since 1970, key, value, headers."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Row]).decode


def first_position(partition_id: int) -> int:
    """The position of offset 0 of a partition."""
    return partition_id << OFFSET_BITS


def packed(position: int, rows: Sequence[Row]) -> Iterator[tuple[int, bytes]]:
    """Position and content of the batches of rows that follow each other from `position` on."""
    for start in range(0, len(rows), MOST_RECORDS):
        yield from _fitting(position + start, rows[start : start + MOST_RECORDS])


def _fitting(position: int, rows: Sequence[Row]) -> Iterator[tuple[int, bytes]]:
    content = _encode(rows)
    if len(content) <= _MOST_BYTES or len(rows) == 1:
        yield position, content
        return
    half = len(rows) // 2
    yield from _fitting(position, rows[:half])
    yield from _fitting(position + half, rows[half:])


def read(
    reader: sqlite3.Connection, partition_id: int, number: int, offset: int, max_records: int, max_bytes: int
) -> list[StoredRecord]:
    """Records of partition `number` from `offset` on, until they are `max_records` or have `max_bytes`."""
    offset = min(max(offset, 0), LAST_OFFSET)
    found: list[StoredRecord] = []
    size = 0
    for base, rows in _from(reader, partition_id, offset):
        skipped = max(offset - base, 0)
        for place, (timestamp, key, value, headers) in enumerate(rows[skipped:], base + skipped):
            if len(found) == max_records or size >= max_bytes:
                return found
            found.append(StoredRecord(number, place, timestamp, key, value, headers))
            size += _size(key, value, headers)
    return found


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    size = len(key or b"") + len(value or b"")
    return size + sum(len(name) + len(content or b"") for name, content in headers) if headers else size


def _from(reader: sqlite3.Connection, partition_id: int, offset: int) -> Iterator[tuple[int, list[Row]]]:
    """First offset and rows of each batch, from that on which has `offset`."""
    first = first_position(partition_id)
    batches = reader.execute(
        "SELECT position, records FROM batches WHERE position <= ?3 AND position >="
        " coalesce((SELECT max(position) FROM batches WHERE position BETWEEN ?1 AND ?2), ?2)"
        " ORDER BY position",
        (first, first + offset, first + LAST_OFFSET),
    )
    with closing(batches):
        for position, content in batches:
            yield position - first, _decode(content)


def offset_at(
    reader: sqlite3.Connection, partition_id: int, end: int, timestamp: int, beginning: int = 0
) -> int:
    """The first offset from `beginning` to `end` whose timestamp is not before this one, else `end`.

    Timestamps never decrease, so a search by halves finds it; the reader must see one state of the file.
    """

    def timestamp_of(offset: int) -> int:
        return read(reader, partition_id, 0, offset, 1, 1)[0].timestamp

    return beginning + bisect.bisect_left(range(beginning, end), timestamp, key=timestamp_of)


def remove_before(connection: sqlite3.Connection, partition_id: int, offset: int) -> None:
    """Remove the batches whose every record is before `offset`."""
    first = first_position(partition_id)
    connection.execute(
        "DELETE FROM batches WHERE position >= ?1 AND position <"
        " (SELECT max(position) FROM batches WHERE position BETWEEN ?1 AND ?2)",
        (first, first + offset),
    )


def remove_some(connection: sqlite3.Connection, partition_id: int, most: int) -> int:
    """Remove at most so many batches of a partition; how many there were to remove."""
    first = first_position(partition_id)
    return connection.execute(
        "DELETE FROM batches WHERE position IN"
        " (SELECT position FROM batches WHERE position BETWEEN ? AND ? LIMIT ?)",
        (first, first + LAST_OFFSET, most),
    ).rowcount
