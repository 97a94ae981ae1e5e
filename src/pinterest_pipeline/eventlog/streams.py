"""What a stream is beside its records (pure): its state, its shards and their lineage.

A stream is a topic whose partitions are shards. A shard owns a range of hash keys. It is never changed: a
split or a merge closes it, and opens children that own its range from then on. A child's offsets begin above
its parents', so that the sequence numbers of a partition key rise across all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

Status = Literal["CREATING", "ACTIVE", "UPDATING", "DELETING"]

FOREVER_HOURS: Final = 8_760
"""The longest retention Kinesis knows; here it keeps every record for good."""

DEFAULT_RETENTION_HOURS: Final = 24
SHARD_LIMIT: Final = 1_000
"""Most open shards of all streams together."""

CREATING_LIMIT: Final = 5
"""Most streams that may be CREATING at one time."""

TAG_LIMIT: Final = 50
HOUR_MS: Final = 3_600_000


class Shard(msgspec.Struct, frozen=True, gc=False):
    """A shard. Hash keys are 32 hexadecimal digits, times milliseconds since 1970 (0 in Kinesis)."""

    number: int
    id: int
    """The partition's id in its file; where there is none, its number."""
    first_hash: str
    last_hash: str
    parent: int | None
    adjacent_parent: int | None
    """The second parent of a shard that was merged."""
    start: int
    """The first offset that ever was in it."""
    beginning: int
    """The first offset that is still held, or one before it."""
    end: int
    """The offset after the last record. Kinesis does not tell it: there an open shard has its start, a closed
    one an offset that no record reaches, until it was read to its end."""
    created_ms: int
    closed_ms: int | None

    @property
    def parents(self) -> tuple[int, ...]:
        return tuple(number for number in (self.parent, self.adjacent_parent) if number is not None)

    def is_open_at(self, time_ms: int) -> bool:
        return self.created_ms <= time_ms and (self.closed_ms is None or self.closed_ms > time_ms)


class Expired(msgspec.Struct, frozen=True, gc=False):
    """What a reader of a shard has missed."""

    records: int
    position: int
    """The first offset that it can still read."""


class Stream(msgspec.Struct, frozen=True):
    """A stream as it is now, with the shards that still hold records or take them."""

    name: str
    arn: str
    """The Amazon resource name."""
    id: int
    created_ms: int
    status: Status
    retention_hours: int
    tags: Mapping[str, str]
    shards: tuple[Shard, ...]
    """In the order of their numbers."""
    horizon_ms: int
    """Records from before this time have expired; 0 when none ever does."""

    @property
    def open_shards(self) -> list[Shard]:
        """The shards that take records, in the order of their hash keys."""
        return sorted(
            (shard for shard in self.shards if shard.closed_ms is None), key=lambda shard: shard.first_hash
        )

    def shard(self, number: int) -> Shard | None:
        return next((shard for shard in self.shards if shard.number == number), None)

    def children(self, number: int) -> list[Shard]:
        return [shard for shard in self.shards if number in shard.parents]

    def trim_horizon(self) -> int:
        """The time from which on records are kept; the stream's own beginning when that is later."""
        return max(self.horizon_ms, self.created_ms)


def horizon(retention_hours: int, now: int) -> int:
    """The time before which records have expired (ms); 0 when none ever does."""
    return 0 if retention_hours >= FOREVER_HOURS else max(0, now - retention_hours * HOUR_MS)


def hexadecimal(hash_key: int) -> str:
    """A hash key as 32 digits, whose order as texts is that of the numbers."""
    return f"{hash_key:032x}"


def status_at(status: Status, until_ms: int, now: int) -> Status | None:
    """What a stream's status has become by now; None when the stream is gone."""
    if now < until_ms or status == "ACTIVE":
        return status
    return None if status == "DELETING" else "ACTIVE"


def boundaries_within(shard: Shard, firsts: Sequence[str]) -> list[str]:
    """Those of the hash keys, in order, at which the shard would have to be split."""
    return [first for first in firsts if shard.first_hash < first <= shard.last_hash]


def readable(
    shards: Sequence[Shard], positions: Mapping[int, int], beginnings: Mapping[int, int]
) -> dict[int, int]:
    """The positions in the shards that may be read: a key is read in order across all of them.

    A shard waits until its ancestors are read to their end; all of them, not its parents alone: a shard may
    be split and merged at once, and hold nothing itself. What is closed and read to its end is left out.
    """
    unread: set[int] = set()
    found: dict[int, int] = {}
    for shard in sorted(shards, key=lambda shard: shard.number):
        position = positions[shard.number]
        is_read = max(position, beginnings[shard.number]) >= shard.end
        is_free = unread.isdisjoint(shard.parents)
        if is_free and not (is_read and shard.closed_ms is not None):
            found[shard.number] = position
        if not (is_free and is_read):
            unread.add(shard.number)
    return found
