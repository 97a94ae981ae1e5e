"""What every home of the event log promises: append, read from a position, remember positions of groups.

Positions are offsets: 0, 1, 2, ... within a partition, without a gap. An end is the next offset to be
written. Every method may raise Unavailable (the home does not answer) or DiskFull.

What flows here in numbers is msgspec's: such a struct takes a sixth of the time to make that a frozen
dataclass takes (measured: 0.15 and 0.9 µs).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Literal, Protocol

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record to be appended. A value of None is a tombstone; an empty value is a value."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    """The partition asked for; None leaves it to the key, or to round robin without one."""
    timestamp: int | None = None
    """Milliseconds since 1970; None is the time of the append."""


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies in the log; `timestamp` in milliseconds never decreases within a partition."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Where a record was appended; given only once it is durable."""

    partition: int
    offset: int
    timestamp: int


RefusalCode = Literal["record_too_large", "unknown_partition"]


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a record was not appended; the others of its request may have been."""

    code: RefusalCode
    reason: str


class TopicDescription(msgspec.Struct, frozen=True, gc=False):
    """A topic or stream; `created_ms` differs from that of any earlier topic of the same name."""

    name: str
    partitions: int
    created_ms: int


class EventLog(Protocol):
    """A set of named, partitioned logs. Any method may be called from any thread."""

    def append(self, topic: str, records: Sequence[Record]) -> Future[list[Receipt | Refusal]]:
        """Append records, in their order within each partition; never blocks.

        The future holds one outcome per record, in order, and is done only once all of them are durable.
        It fails, and then no record was appended, with UnknownTopic or DiskFull; or with Unavailable.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> list[StoredRecord]:
        """At most `max_records` records from `offset` on, fewer when they are large; [] only at the end.

        Raises UnknownTopic, and BadInput when the topic has no such partition.
        """
        ...

    def beginnings(self, topic: str) -> dict[int, int]:
        """The first offset of each partition; raises UnknownTopic."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """The next offset of each partition; raises UnknownTopic."""
        ...

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The committed positions of a group, for the partitions that have one; raises UnknownTopic."""
        ...

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Keep a group's positions durably; raises UnknownTopic, and BadInput for an unknown partition."""
        ...

    def create(self, topic: str, partitions: int) -> None:
        """Create an empty topic; raises TopicExists."""
        ...

    def delete(self, topic: str) -> None:
        """Delete a topic with its records and all positions in it; raises UnknownTopic."""
        ...

    def topics(self) -> list[str]:
        """All names, sorted."""
        ...

    def describe(self, topic: str) -> TopicDescription:
        """What is known of a topic; raises UnknownTopic."""
        ...

    def close(self) -> None:
        """Finish what was submitted, then let go of every resource; closing twice does nothing more."""
        ...
