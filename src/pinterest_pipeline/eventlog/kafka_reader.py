"""Reads partitions by consumers that stay assigned, so that a read that goes on where one ended is at hand.

Isolation is `read_uncommitted`: nobody here writes transactions, and a reader never waits for another's.
Offsets without a record (of compacted topics, of the markers of transactions) are passed over.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from pinterest_pipeline.errors import Unavailable, UnknownPartition
from pinterest_pipeline.eventlog.base import Part, StoredRecord
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients

READER: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
    "isolation.level": "read_uncommitted",
    "fetch.error.backoff.ms": 50,
    "fetch.queue.backoff.ms": 10,  # how long a queue that was full stays unfilled
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 8_192,
}
"""Properties of every consumer: it keeps no positions by itself and holds at most 8 MB of a partition."""

_CURSOR: Final = {
    **READER,
    "group.id": "pinpipe-reader",  # a word that the client needs; nothing is ever committed in it
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
}

_MOST_CURSORS: Final = 32
_CHUNK: Final = 500


class _Moved(Exception):
    """The partition is not what the cursor took it for; a new one must ask."""


class Reader:
    """The reading half of the log. Any thread may use it.

    Raises SettingError for settings that the client refuses of a consumer.
    """

    def __init__(self, clients: Clients, admin: Admin, seconds: float) -> None:
        clients.consumer(_CURSOR).close()  # what it refuses is refused now, not with the first read
        self._clients = clients
        self._admin = admin
        self._seconds = seconds
        self._lock = threading.Lock()
        self._idle: OrderedDict[Part, _Cursor] = OrderedDict()
        self._closed = False

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> list[StoredRecord]:
        offset = max(offset, 0)
        for _ in range(2):
            cursor = self._borrowed((topic, partition), offset)
            try:
                records = cursor.read(max_records, max_bytes)
                self._check(cursor, records)
            except _Moved:
                cursor.close()
            except BaseException:
                cursor.close()
                raise
            else:
                self._returned(cursor)
                return records
        raise Unavailable(f"partition {partition} of '{topic}' cannot be read", "try again")

    def _borrowed(self, part: Part, offset: int) -> "_Cursor":
        """The cursor that stands at this offset, else a new one.

        A new one is ready in 10 ms; to move an old one takes until its fetch under way ends, half a second.
        """
        with self._lock:
            cursor = self._idle.pop(part, None)
        if cursor is not None and cursor.next == offset:
            return cursor
        if cursor is not None:
            cursor.close()
        topic, partition = part
        known = self._admin.found(topic)
        if partition not in {one.id for one in known.partitions}:
            raise UnknownPartition(topic, partition)
        return _Cursor(self._clients, self._admin, part, str(known.topic_id), offset, self._seconds)

    def _check(self, cursor: "_Cursor", records: Sequence[StoredRecord]) -> None:
        """Raises _Moved when what a cursor had at hand, or passed over, is of an earlier topic of that name.

        Asked after reading: an id that is the same then was so all the time.
        """
        was_used, cursor.is_used = cursor.is_used, True
        if not was_used or not (records or cursor.has_passed_over):
            return
        if str(self._admin.found(cursor.part[0]).topic_id) != cursor.topic_id:
            raise _Moved

    def _returned(self, cursor: "_Cursor") -> None:
        extra = [cursor]
        with self._lock:
            if not self._closed and cursor.part not in self._idle:
                self._idle[cursor.part] = extra.pop()
                if len(self._idle) > _MOST_CURSORS:
                    extra.append(self._idle.popitem(last=False)[1])
        for unneeded in extra:
            unneeded.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            cursors = list(self._idle.values())
            self._idle.clear()
        for cursor in cursors:
            cursor.close()


class _Cursor:
    """One consumer on one partition; `next` is the offset that the next read may ask for at no cost."""

    def __init__(
        self, clients: Clients, admin: Admin, part: Part, topic_id: str, offset: int, seconds: float
    ) -> None:
        self.part = part
        self.topic_id = topic_id
        self.next = offset
        self.is_used = False
        self._clients = clients
        self._admin = admin
        self._seconds = seconds
        self._queue: deque[Message] = deque()
        self._ended_at = -1
        self._consumer: Consumer = clients.consumer(_CURSOR)
        try:
            low, high = admin.bounds(*part)
            self._is_assigned = offset <= high
            if self._is_assigned:
                self._consumer.assign([TopicPartition(*part, max(offset, low))])
        except BaseException:
            self._consumer.close()
            raise

    @property
    def has_passed_over(self) -> bool:
        """Whether the last offsets before the end had no record."""
        return self.next < self._ended_at

    def read(self, max_records: int, max_bytes: int) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        size = 0
        while len(records) < max_records and size < max_bytes:
            message = self._message(wait=not records, most=max_records - len(records))
            if message is None:
                break
            record = stored(message)
            records.append(record)
            size += len(record.key or b"") + len(record.value or b"")
        if records:
            self.next = records[-1].offset + 1
        return records

    def _message(self, *, wait: bool, most: int) -> Message | None:
        """The next message; None when none is at hand or, if we may wait, when there is none."""
        message = self._at_hand(most)
        if message is not None or not wait:  # a message without a value counts as false
            return message
        high = self._admin.end(*self.part)
        if self.next < high and not self._is_assigned:
            raise _Moved
        deadline = time.monotonic() + self._seconds
        while self.next < high and self._ended_at < high:
            if (message := self._at_hand(most)) is not None:
                return message
            arrived = self._consumer.poll(0.1)
            if arrived is not None:
                self._queue.append(arrived)
            elif time.monotonic() > deadline:
                self._clients.check()
                raise Unavailable(f"{self._clients.name} gives no records of '{self.part[0]}'", "try again")
        return None

    def _at_hand(self, most: int) -> Message | None:
        if not self._queue:
            self._queue.extend(self._consumer.consume(min(most, _CHUNK), 0))
        while self._queue:
            message = self._queue.popleft()
            error = message.error()
            if error is None:
                return message
            if error.code() != KafkaError._PARTITION_EOF:
                raise _Moved
            self._ended_at = message.offset() or 0
        return None

    def close(self) -> None:
        self._consumer.close()


def stored(message: Message) -> StoredRecord:
    """A message as a record of the log."""
    headers: Any = message.headers()  # as this client gives them: a list of names and bytes
    partition, offset = message.partition(), message.offset()
    assert partition is not None and offset is not None  # noqa: PT018  # only errors lack them
    return StoredRecord(
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(headers) if headers else (),
    )
