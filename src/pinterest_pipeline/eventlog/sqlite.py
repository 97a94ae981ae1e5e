"""The event log in one SQLite file: durable before each acknowledgement, shared by several processes.

Writes go through one thread of each instance, which commits whatever waits in one transaction, and through
a lock that all instances of the file share. Reads have connections of their own and wait for nobody.
"""

import os
import sqlite3
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import PipelineError, UnknownPartition
from pinterest_pipeline.eventlog import sqlite_batches, sqlite_groups, sqlite_topics
from pinterest_pipeline.eventlog.base import (
    READ_BYTES,
    Cluster,
    Group,
    Once,
    Receipt,
    Record,
    Refusal,
    StoredRecord,
    TopicDescription,
    no_partition,
)
from pinterest_pipeline.eventlog.filelock import FileLock, opened_under_lock
from pinterest_pipeline.eventlog.sqlite_file import prepared, unopened
from pinterest_pipeline.eventlog.sqlite_groups import Member
from pinterest_pipeline.eventlog.sqlite_readers import Readers
from pinterest_pipeline.eventlog.sqlite_subscription import SqliteSubscription
from pinterest_pipeline.eventlog.sqlite_topics import BROKER
from pinterest_pipeline.eventlog.sqlite_writer import Transaction, Writer, now_ms, place

RECORD_OVERHEAD: Final = 200
"""Bytes a waiting record takes beside its key and value, about."""

_DAY_SECONDS: Final = 24 * 60 * 60
_MOST_AHEAD_MS: Final = 60 * 60 * 1000
"""How far after now a record's time may be, as Kafka has it: the records behind it are never before it."""


class SqliteEventLog:
    """An EventLog in the file `path`, created when absent.

    `partitioner(key, partitions)` chooses the partition of a record that has a key; `max_record_bytes` bounds
    key, value and headers together; `max_waiting_bytes` bounds what is submitted and not yet written.
    `session_seconds` is how long a member of a group may go without a poll or a commit; `once_seconds` is how
    long the outcomes of a request that may come again are remembered at least.
    Raises BadInput when the file is something else, Unavailable or DiskFull when it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        partitioner: Callable[[bytes, int], int],
        max_record_bytes: int,
        max_waiting_bytes: int = 128 * 2**20,
        session_seconds: float = 45.0,
        once_seconds: float = _DAY_SECONDS,
    ) -> None:
        self._partitioner = partitioner
        self._max_record_bytes = max_record_bytes
        self._session_ms = int(session_seconds * 1000)
        self._turns: dict[int, int] = {}
        self._closed = False
        self._lock, self._connection = _open(path)
        (self._id,) = self._connection.execute("SELECT id FROM log").fetchone()
        is_purge_left = bool(sqlite_topics.deleted(self._connection))
        self._readers = Readers(path)
        self._writer = Writer(path, self._connection, self._lock, max_waiting_bytes, int(once_seconds * 1000))
        self._subscriptions: weakref.WeakSet[SqliteSubscription] = weakref.WeakSet()
        if is_purge_left:  # whoever deleted a topic was killed before all of it was removed
            self._writer.submit(self._purge_on)

    # Writing

    def append(
        self, topic: str, records: Sequence[Record], once: Once | None = None
    ) -> Future[list[Receipt | Refusal]]:
        return self._writer.submit(
            lambda transaction: place(transaction, topic, records, once, self._choose, now_ms()),
            RECORD_OVERHEAD * len(records) + sum(map(record_size, records)),
            once.key if once else None,
        )

    def _choose(self, topic_id: int, partitions: int, records: Sequence[Record]) -> list[int | Refusal]:
        """The partition of each record; those of a request that have no key stay together, as one batch."""
        turn = self._turn(topic_id) % partitions
        chosen: list[int | Refusal] = []
        for record in records:
            key, partition = record.key, record.partition
            if (refusal := self._wrong(record)) is not None:
                chosen.append(refusal)
            elif partition is not None:
                chosen.append(
                    partition if 0 <= partition < partitions else no_partition(partition, partitions)
                )
            else:
                chosen.append(turn if key is None else self._partitioner(key, partitions))
        return chosen

    def _wrong(self, record: Record) -> Refusal | None:
        """What is wrong with a record, wherever it goes."""
        size = record_size(record)
        if size > self._max_record_bytes:
            reason = f"key, value and headers have {size} bytes, the log takes {self._max_record_bytes}"
            return Refusal("record_too_large", reason)
        if record.timestamp is not None and record.timestamp > now_ms() + _MOST_AHEAD_MS:
            reason = f"the time {record.timestamp} ms is more than an hour after now"
            return Refusal("invalid_timestamp", reason)
        return None

    def _turn(self, topic_id: int) -> int:
        turn = self._turns.get(topic_id, 0)
        self._turns[topic_id] = turn + 1
        return turn

    def create(
        self,
        topic: str,
        partitions: int,
        replication: int | None = None,
        configs: Mapping[str, str] | None = None,
    ) -> None:
        sqlite_topics.check(partitions, replication, configs)
        self._writer.submit(
            lambda transaction: sqlite_topics.create(transaction, topic, partitions, now_ms())
        ).result()

    def delete(self, topic: str) -> None:
        self._writer.submit(lambda transaction: sqlite_topics.delete(transaction, topic)).result()
        self._purge()

    def _purge(self) -> None:
        while self._writer.submit(sqlite_topics.purge).result():  # in small steps: others wait for none of it
            pass

    def _purge_on(self, transaction: Transaction) -> None:
        if sqlite_topics.purge(transaction):
            self._writer.submit(self._purge_on)

    # Reading

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        with self._readers.one() as reader:
            known = sqlite_topics.partitions(reader, topic)
            if partition not in known:
                raise UnknownPartition(topic, partition)
            return sqlite_batches.read(reader, known[partition][0], partition, offset, max_records, max_bytes)

    def beginnings(self, topic: str) -> dict[int, int]:
        return dict.fromkeys(self.ends(topic), 0)  # records leave the log only with their topic

    def ends(self, topic: str) -> dict[int, int]:
        with self._readers.one() as reader:
            known = sqlite_topics.partitions(reader, topic)
        return {number: end for number, (_, end) in known.items()}

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int]:
        with self._readers.snapshot() as reader:
            known = sqlite_topics.partitions(reader, topic)
            return {
                number: sqlite_batches.offset_at(reader, partition_id, end, timestamp)
                for number, (partition_id, end) in known.items()
            }

    def topics(self) -> list[str]:
        with self._readers.one() as reader:
            return sqlite_topics.names(reader)

    def describe(self, topic: str) -> TopicDescription:
        with self._readers.one() as reader:
            return sqlite_topics.describe(reader, topic, self._id)

    def cluster(self) -> Cluster:
        return Cluster(self._id, (BROKER,), BROKER)

    # Groups

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        def work(transaction: Transaction) -> None:
            partitions = transaction.topic(topic).partitions
            for number in positions:
                if not 0 <= number < len(partitions):
                    raise UnknownPartition(topic, number)
            kept = [(partitions[number].id, position) for number, position in positions.items()]
            sqlite_groups.keep(transaction.connection, group, kept)

        self._writer.submit(work).result()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        with self._readers.one() as reader:
            numbers = sqlite_topics.partitions(reader, topic)
            known = sqlite_groups.committed(reader, group)
        return {number: known[key] for number, (key, _) in numbers.items() if key in known}

    def positions(self, group: str) -> dict[str, dict[int, int]]:
        with self._readers.one() as reader:
            return sqlite_groups.positions(reader, group)

    def groups(self) -> list[str]:
        with self._readers.one() as reader:
            return sqlite_groups.groups(reader, now_ms())

    def describe_group(self, group: str) -> Group:
        with self._readers.one() as reader:
            return sqlite_groups.describe(reader, group, now_ms())

    def subscribe(self, group: str, topics: Sequence[str]) -> SqliteSubscription:
        member = Member(group, tuple(topics), f"pinpipe-{os.getpid()}", self._session_ms)
        subscription = SqliteSubscription(self._readers, self._writer, member)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for subscription in list(self._subscriptions):
            with suppress(PipelineError):  # who cannot leave is put out after a session
                subscription.close()
        self._writer.close()
        self._readers.close()
        self._connection.close()
        self._lock.close()


def record_size(record: Record) -> int:
    """The bytes of key, value and headers."""
    value, key, headers = record.value, record.key, record.headers
    size = (len(value) if value else 0) + (len(key) if key else 0)
    return size + sum(len(name) + len(value or b"") for name, value in headers) if headers else size


def _open(path: Path) -> tuple[FileLock, sqlite3.Connection]:
    try:
        return opened_under_lock(path, prepared)
    except OSError as error:
        raise unopened(error, path) from error
