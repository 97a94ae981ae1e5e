"""The offsets of the source `kinesis`: what each batch holds, and where each shard goes on (pure).

    {"streaming-pin": {"created": 1730000000123, "shards": {
        "shardId-000000000000": {"first": "49…1", "last": "49…7", "records": 5, "seen": 1730000009000},
        "shardId-000000000001": {"since": 1730000000000}}}}

Kinesis names no newest sequence number, so an offset is made by reading: it says which record of a shard was
the first and the last of its batch, and how many they were. So it fixes what the batch holds, whatever is
appended behind it and wherever the batch before it ended, and a batch that is run again reads the same rows.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

RENEWED_MS: Final = 3_600_000
"""Age of `seen` at which an offset is written again though nothing came: far below any retention."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a shard is read, and its part of the batch that last had records of it."""

    first: str = ""
    """Sequence number of the first record of that batch; empty when nothing was read yet."""
    last: str = ""
    records: int = 0
    since: int | None = None
    """Time (ms since 1970) from which on a shard counts; None: from its oldest record."""
    seen: int | None = None
    """Time (ms since 1970, by the service's clock) up to which all that came is read."""
    closed: bool = False
    """Whether it is read to its end, and its children are not there yet."""


class StreamOffset(msgspec.Struct, frozen=True):
    """The shards of a stream, and when it was created (ms since 1970)."""

    created: int
    shards: dict[str, Place]


Offset = dict[str, StreamOffset]


def decoded(offset: dict[str, Any]) -> Offset:
    return msgspec.convert(offset, Offset)


def encoded(offset: Offset) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(offset)
    return found


class ShardRange(msgspec.Struct, frozen=True):
    """The records of one shard in one batch, both ends included."""

    stream: str
    shard: str
    first: str
    last: str
    records: int


def ranges(start: Offset, end: Offset) -> list[ShardRange]:
    """What the batch that ends at `end` holds."""
    found = []
    for stream, reached in end.items():
        before = start[stream].shards if stream in start else {}
        for shard, place in reached.shards.items():
            if place.records and before.get(shard, Place()).last != place.last:
                found.append(ShardRange(stream, shard, place.first, place.last, place.records))
    return found


Lineage = Mapping[str, tuple[str, ...]]
"""Each shard of a stream, as it is listed, and its parents, listed or not."""


def roots(lineage: Lineage, since: int | None) -> dict[str, Place]:
    """Where a query begins: in the shards that have no parent among them."""
    return {shard: Place(since=since) for shard, parents in lineage.items() if not lineage.keys() & parents}


def grown(places: Mapping[str, Place], lineage: Lineage) -> dict[str, Place]:
    """The places after reshards: children come in once all parents are read, and closed shards leave."""
    past = _ancestors(places, lineage)

    def is_over(shard: str) -> bool:
        return shard in past or (places[shard].closed if shard in places else shard not in lineage)

    found = dict(places)
    for shard, parents in lineage.items():
        if shard not in places and shard not in past and parents and all(map(is_over, parents)):
            found[shard] = Place()
    for shard, place in places.items():
        children = [child for child, parents in lineage.items() if shard in parents]
        if place.closed and children and all(child in found or child in past for child in children):
            del found[shard]
    return found


def _ancestors(places: Mapping[str, Place], lineage: Lineage) -> set[str]:
    """The shards that were read and left: those from which the shards of the offset come."""
    found: set[str] = set()
    waiting = list(places)
    while waiting:
        parents = set(lineage.get(waiting.pop(), ())) - found - places.keys()
        found |= parents
        waiting += parents
    return found


def moved(place: Place, look: Place) -> Place:
    """A place after a look at what is behind it, which is no batch of its own when it found no record."""
    kept = place if not look.records else look
    return Place(kept.first, kept.last, kept.records, place.since, look.seen, look.closed)


def is_news(place: Place, look: Place) -> bool:
    """Whether a look has to be written down: records, an end, or that there was nothing for a long time."""
    is_stale = place.seen is None or (look.seen or 0) - place.seen >= RENEWED_MS
    return bool(look.records) or look.closed or is_stale
