"""What has outlived a stream's retention, or its stream, leaves the file, a little at a time."""

import sqlite3
from collections.abc import Callable
from typing import Final

from pinterest_pipeline.eventlog import sqlite_batches, sqlite_shards, sqlite_topics
from pinterest_pipeline.eventlog import sqlite_stream_changes as changes
from pinterest_pipeline.eventlog.sqlite_writer import Transaction, Writer
from pinterest_pipeline.eventlog.streams import FOREVER_HOURS

_EVERY_MS: Final = 60_000
_AT_ONCE: Final = 20_000
"""Records; more would keep the writers waiting."""


class Trimmer:
    """Removes what no reader sees any more while a stream is written to.

    Deleted streams too: nobody may have asked for the streams since, or was killed while they were removed.
    """

    def __init__(self, writer: Writer, clock: Callable[[], int]) -> None:
        """`clock` gives milliseconds since 1970."""
        self._writer = writer
        self._clock = clock
        self._next_ms = 0

    def nudge(self) -> None:
        """Remove some, if the last time is a minute ago; waits for nothing. What fails is tried again."""
        now = self._clock()
        if now >= self._next_ms:
            self._next_ms = now + _EVERY_MS
            self._writer.submit(self.trim)

    def trim(self, transaction: Transaction) -> None:
        """Remove at most so many records that no other writer waits long; the rest at the next nudge."""
        changes.finish(transaction, self._clock())
        is_more = sqlite_topics.purge(transaction)
        if not self._expire(transaction.connection) or is_more:
            self._next_ms = 0

    def _expire(self, connection: sqlite3.Connection) -> bool:
        """Remove expired records; whether that were all of them."""
        room = _AT_ONCE
        names = connection.execute(
            "SELECT t.name FROM topics t JOIN streams s ON s.topic_id = t.id WHERE s.retention_hours < ?",
            (FOREVER_HOURS,),
        ).fetchall()
        for (name,) in names:
            for part in sqlite_shards.extents(connection, name, self._clock()).values():
                kept = sqlite_batches.offset_at(
                    connection, part.partition_id, part.end, part.horizon_ms, part.beginning
                )
                beginning = min(kept, part.beginning + room)
                if beginning == part.beginning:
                    continue
                room -= beginning - part.beginning
                sqlite_batches.remove_before(connection, part.partition_id, beginning)
                connection.execute(
                    "UPDATE shards SET beginning = ? WHERE partition_id = ?", (beginning, part.partition_id)
                )
        return room > 0
