"""What is known of a topic for a short while: how many partitions it has, which times it takes."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from pinterest_pipeline.eventlog.base import Record, Refusal, no_partition
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_request import Request

_FRESH_SECONDS: Final = 10.0
_STAY_MS: Final = 10
"""What has no key goes to one partition for so long, as with Kafka's own producers (KIP-480, librdkafka's
`sticky.partitioning.linger.ms`). With a turn for each record, every partition has a request of its own,
and the brokers' work for a record doubles."""
_BEFORE, _AFTER = "message.timestamp.before.max.ms", "message.timestamp.after.max.ms"
_NO_LIMIT: Final = 2**63 - 1


class Topic:
    """A topic as it was a moment ago, and whose turn it is among its partitions."""

    __slots__ = ("_seen", "_turn", "_turned", "after_ms", "before_ms", "ends", "id", "partitions")

    def __init__(self, topic_id: str, partitions: int, before_ms: int, after_ms: int, turn: int = 0) -> None:
        self.id = topic_id
        self.partitions = partitions
        self.before_ms, self.after_ms = before_ms, after_ms
        """How far from now a timestamp may be."""
        self.ends: dict[int, int] | None = None
        """For each partition an offset that its end has reached; None is not asked yet."""
        self._seen = time.monotonic()
        self._turn = turn % partitions
        self._turned = 0

    @classmethod
    def found(cls, admin: Admin, name: str, before: "Topic | None", with_ends: bool) -> "Topic":
        """Ask the brokers; the turn goes on where it was. Raises UnknownTopic and what Admin raises."""
        known = admin.found(name)
        limits = admin.configs(name, defaults=True)
        topic = cls(
            str(known.topic_id),
            len(known.partitions),
            int(limits.get(_BEFORE, _NO_LIMIT)),
            int(limits.get(_AFTER, _NO_LIMIT)),
            before._turn if before else 0,
        )
        if with_ends or (before is not None and before.ends is not None):
            topic.ends = admin.ends(name)
        return topic

    def is_fresh(self) -> bool:
        return time.monotonic() - self._seen < _FRESH_SECONDS

    def is_same(self, other: "Topic") -> bool:
        return (self.id, self.partitions) == (other.id, other.partitions)

    def fits(self, request: Request) -> bool:
        """Whether all is known that the request needs: each partition it names, for a key also the ends."""
        if request.once is not None and self.ends is None:
            return False
        partitions = self.partitions
        return all(record.partition is None or record.partition < partitions for record in request.records)

    def places(
        self, records: Sequence[Record], now: int, partitioner: Callable[[bytes, int], int], largest: int
    ) -> list[int | Refusal]:
        """The partition of each record, or why it has none.

        `now` is in milliseconds since 1970, `largest` the most bytes of key and value.
        """
        places: list[int | Refusal] = []
        partitions, turn = self.partitions, self._turn_at(now)
        for record in records:
            key, value, partition = record.key, record.value, record.partition
            size = (len(key) if key else 0) + (len(value) if value else 0)
            if size > largest or partition is not None or record.timestamp is not None:
                refusal = self._refusal(record, size, now, largest)
                if refusal is not None:
                    places.append(refusal)
                    continue
            if partition is not None:
                places.append(partition)
            elif key is not None:
                places.append(partitioner(key, partitions))
            else:
                places.append(turn)
        return places

    def _turn_at(self, now: int) -> int:
        if not 0 <= now - self._turned < _STAY_MS:
            self._turn, self._turned = (self._turn + 1) % self.partitions, now
        return self._turn

    def _refusal(self, record: Record, size: int, now: int, largest: int) -> Refusal | None:
        if size > largest:
            reason = f"key and value have {size} bytes, the log takes {largest}"
            return Refusal("record_too_large", reason)
        if record.timestamp is not None and not self._takes(record.timestamp, now):
            reason = f"the time {record.timestamp} ms is too far from now for the settings of the topic"
            return Refusal("invalid_timestamp", reason)
        if record.partition is not None and not 0 <= record.partition < self.partitions:
            return no_partition(record.partition, self.partitions)
        return None

    def _takes(self, timestamp: int, now: int) -> bool:
        # The client takes 0 for "now", so that such a record would lie at another time than was asked for.
        return timestamp > 0 and -self.after_ms <= now - timestamp <= self.before_ms
