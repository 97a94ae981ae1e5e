"""Streams and shards as they stand in the file of the `sqlite` home, read by any connection."""

import bisect
import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pinterest_pipeline.errors import UnknownPartition, UnknownTopic
from pinterest_pipeline.eventlog.partitioners import hash_range
from pinterest_pipeline.eventlog.sequence import stream_arn
from pinterest_pipeline.eventlog.streams import (
    FOREVER_HOURS,
    Shard,
    Status,
    Stream,
    hexadecimal,
    horizon,
    status_at,
)

_TAGS: Final = msgspec.json.Decoder(dict[str, str])


class OpenShards(NamedTuple):
    """The shards of a stream that take records, in the order of their hash keys."""

    numbers: Sequence[int]
    ids: Sequence[int]
    firsts: Sequence[str]

    def place_of(self, hash_key: str) -> int:
        """Which of them owns a hash key of 32 hexadecimal digits."""
        return bisect.bisect_right(self.firsts, hash_key) - 1


def open_shards(connection: sqlite3.Connection, name: str, now: int) -> OpenShards:
    """Where records of a stream go; raises UnknownTopic, also while the stream is still made."""
    rows = connection.execute(
        "SELECT s.status, s.until_ms, p.partition, p.id, h.first_hash FROM topics t"
        " JOIN streams s ON s.topic_id = t.id JOIN partitions p ON p.topic_id = t.id"
        " JOIN shards h ON h.partition_id = p.id"
        " WHERE t.name = ? AND h.closed_ms IS NULL ORDER BY h.first_hash",
        (name,),
    ).fetchall()
    if not rows or status_at(rows[0][0], rows[0][1], now) in (None, "CREATING"):
        raise UnknownTopic(name)
    _, _, numbers, ids, firsts = zip(*rows, strict=True)
    return OpenShards(numbers, ids, firsts)


def load(connection: sqlite3.Connection, name: str, now: int) -> Stream:
    """A stream with its shards; raises UnknownTopic. Ask a connection that sees one state of the file."""
    row = connection.execute(
        "SELECT t.id, t.created_ms, s.status, s.until_ms, s.retention_hours, s.tags"
        " FROM topics t JOIN streams s ON s.topic_id = t.id WHERE t.name = ?",
        (name,),
    ).fetchone()
    status = status_at(row[2], row[3], now) if row else None
    if status is None:
        raise UnknownTopic(name)
    topic_id, created_ms, _, _, retention_hours, tags = row
    horizon_ms = horizon(retention_hours, now)
    return Stream(
        name, stream_arn(name), topic_id, created_ms, status, retention_hours, _TAGS.decode(tags),
        _shards(connection, topic_id, horizon_ms), horizon_ms,
    )  # fmt: skip


def _shards(connection: sqlite3.Connection, topic_id: int, horizon_ms: int) -> tuple[Shard, ...]:
    rows = connection.execute(
        "SELECT p.partition, p.id, h.first_hash, h.last_hash, h.parent, h.adjacent_parent, h.start_offset,"
        " h.beginning, p.next_offset, h.created_ms, h.closed_ms"
        " FROM partitions p JOIN shards h ON h.partition_id = p.id"
        " WHERE p.topic_id = ? AND (h.closed_ms IS NULL OR h.closed_ms > ?) ORDER BY p.partition",
        (topic_id, horizon_ms),
    )
    return tuple(Shard(*row) for row in rows)


class Extent(NamedTuple):
    """Where the records of one shard are; offsets, and the time before which they have expired."""

    partition_id: int
    start: int
    """The first offset that ever was in it."""
    beginning: int
    end: int
    horizon_ms: int
    is_closed: bool


def extents(connection: sqlite3.Connection, name: str, now: int) -> dict[int, Extent]:
    """The extent of every shard there ever was, by number; raises UnknownTopic."""
    rows = connection.execute(
        "SELECT p.partition, p.id, h.start_offset, h.beginning, p.next_offset, s.retention_hours, h.closed_ms"
        " FROM topics t JOIN streams s ON s.topic_id = t.id JOIN partitions p ON p.topic_id = t.id"
        " JOIN shards h ON h.partition_id = p.id WHERE t.name = ? ORDER BY p.partition",
        (name,),
    ).fetchall()
    if not rows:
        raise UnknownTopic(name)
    return {
        number: Extent(partition_id, start, beginning, end, horizon(hours, now), closed_ms is not None)
        for number, partition_id, start, beginning, end, hours, closed_ms in rows
    }


def extent(connection: sqlite3.Connection, name: str, number: int, now: int) -> Extent:
    """The extent of one shard; raises UnknownTopic and UnknownPartition."""
    found = extents(connection, name, now)
    if number not in found:
        raise UnknownPartition(name, number)
    return found[number]


def ended(connection: sqlite3.Connection, now: int) -> list[str]:
    """The names of streams whose deletion is over, and whose records are still there."""
    rows = connection.execute(
        "SELECT t.name FROM streams s JOIN topics t ON t.id = s.topic_id"
        " WHERE s.status = 'DELETING' AND s.until_ms <= ?",
        (now,),
    )
    return [name for (name,) in rows]


def creating(connection: sqlite3.Connection, now: int) -> int:
    """How many streams are CREATING."""
    (count,) = connection.execute(
        "SELECT count(*) FROM streams WHERE status = 'CREATING' AND until_ms > ?", (now,)
    ).fetchone()
    return int(count)


def open_count(connection: sqlite3.Connection) -> int:
    """How many shards of all streams are open."""
    (count,) = connection.execute("SELECT count(*) FROM shards WHERE closed_ms IS NULL").fetchone()
    return int(count)


def insert_stream(
    connection: sqlite3.Connection,
    topic_id: int,
    status: Status,
    until_ms: int,
    retention_hours: int,
    tags: dict[str, str],
) -> None:
    """Make a topic a stream whose partitions own equal parts of the hash keys."""
    connection.execute(
        "INSERT INTO streams VALUES (?, ?, ?, ?, ?)",
        (topic_id, status, until_ms, retention_hours, msgspec.json.encode(tags).decode()),
    )
    rows = connection.execute(
        "SELECT p.id, t.created_ms FROM partitions p JOIN topics t ON t.id = p.topic_id"
        " WHERE p.topic_id = ? ORDER BY p.partition",
        (topic_id,),
    ).fetchall()
    connection.executemany(
        "INSERT INTO shards VALUES (?, ?, ?, ?, NULL, NULL, 0, 0, ?, NULL)",
        [
            (partition_id, topic_id, *map(hexadecimal, hash_range(number, len(rows))), created_ms)
            for number, (partition_id, created_ms) in enumerate(rows)
        ],
    )


def unadopted(connection: sqlite3.Connection) -> list[int]:
    """The ids of topics that are not streams yet: an earlier version made them."""
    rows = connection.execute(
        "SELECT id FROM topics WHERE name IS NOT NULL AND id NOT IN (SELECT topic_id FROM streams)"
    )
    return [topic_id for (topic_id,) in rows]


def adopt(connection: sqlite3.Connection) -> None:
    """Make streams of the topics that are none yet; they keep every record, as they always did."""
    for topic_id in unadopted(connection):
        insert_stream(connection, topic_id, "ACTIVE", 0, FOREVER_HOURS, {})
