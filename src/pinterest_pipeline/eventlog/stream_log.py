"""What every home of the streams promises: append by key, read a shard from a position, follow its children.

A stream log has no groups of consumers and keeps no requests that come again: whoever reads keeps its own
positions. A position of a shard is 0, before all records, or lies just behind a record: its offset and 1.
Offsets rise within a shard and from a shard to its children, and are as large as sequence numbers are: those
of AWS do not fit into 64 bits, and have gaps.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec

from pinterest_pipeline.eventlog.base import READ_BYTES, Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.streams import Expired, Stream


class ShardRecords(msgspec.Struct, frozen=True, gc=False):
    """Records of a shard, and what is known of what comes behind them."""

    records: list[StoredRecord]
    behind_ms: int
    """How much older the last one is than the shard's newest record (milliseconds); 0 at its tip."""
    is_over: bool
    """Whether nothing comes behind them any more: the shard was split or merged, and its children go on."""


class StreamLog(Protocol):
    """A set of named streams. Any method may be called from any thread, and may raise Unavailable."""

    def append(self, topic: str, records: Sequence[Record]) -> Future[list[Receipt | Refusal]]:
        """Append records; those of one key in their order, also across calls. Never blocks.

        A record has a key of 1 to 256 characters in UTF-8, and a value. The future holds one outcome per
        record, in order, and is done only once all of them are durable or given up. It fails with
        UnknownTopic, Forbidden or DiskFull, and then no record was appended; or with Unavailable, and then
        nobody knows.
        """
        ...

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        """Records of a shard from a position on: at most `max_records`, no more once they have `max_bytes`.

        [] only at the end: the first record comes however large it is. What has expired is passed over.
        Waits while the home asks to; raises Throttled when that is too long, UnknownTopic, UnknownPartition.
        """
        ...

    def get(
        self, stream: str, shard: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> ShardRecords:
        """As `read`, but asks once: none may come although there are some, and Throttled comes at once."""
        ...

    def beginnings(self, topic: str) -> dict[int, int]:
        """Of each shard a position before which nothing is read any more; raises UnknownTopic."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """The position behind the last record of each shard of which the home can say it.

        Raises UnknownTopic.
        """
        ...

    def expired(self, stream: str, positions: Mapping[int, int]) -> dict[int, Expired]:
        """What has expired behind these positions (0: before all) of each shard, as far as the home can say.

        Raises UnknownTopic.
        """
        ...

    def stream(self, name: str) -> Stream:
        """A stream as it is now, at most a second ago; raises UnknownTopic."""
        ...

    def create(self, topic: str, partitions: int) -> None:
        """Create an empty stream of so many shards, which can be used when this returns.

        Raises TopicExists, once that one can be used, BadInput and LimitExceeded.
        """
        ...

    def delete(self, topic: str) -> None:
        """Delete a stream with its records; it is gone when this returns. Raises UnknownTopic."""
        ...

    def topics(self) -> list[str]:
        """The names of all streams, sorted."""
        ...

    def now(self) -> int:
        """Milliseconds since 1970, by the home's clock."""
        ...

    def close(self) -> None:
        """Finish what was submitted, then let go of every resource; closing twice does nothing more."""
        ...


def within(records: list[StoredRecord], max_bytes: int) -> list[StoredRecord]:
    """The records without those that bring them above so many bytes; the first one always comes."""
    size = 0
    for count, record in enumerate(records):
        size += len(record.value or b"") + len(record.key or b"")
        if size > max_bytes and count:
            return records[:count]
    return records
