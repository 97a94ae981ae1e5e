"""The event log in one SQLite file: durable before each acknowledgement, shared by several processes.

Writes go through one thread of each instance, which commits whatever waits in one transaction, and through
a lock that all instances of the file share. Reads have connections of their own and wait for nobody.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import BadInput, TopicExists, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal, StoredRecord, TopicDescription
from pinterest_pipeline.eventlog.filelock import FileLock
from pinterest_pipeline.eventlog.sqlite_file import OFFSET_BITS, connect, prepared, translated, unopened
from pinterest_pipeline.eventlog.sqlite_writer import Transaction, Writer, now_ms, place

_OFFSETS: Final = (1 << OFFSET_BITS) - 1
_READ_BYTES: Final = 10 * 2**20
_PURGED_AT_ONCE: Final = 20_000
_RECORD_OVERHEAD: Final = 200
"""Bytes a waiting record takes beside its key and value, about."""


class SqliteEventLog:
    """An EventLog in the file `path`, created when absent.

    `partitioner(key, partitions)` chooses the partition of a record that has a key; `max_record_bytes` bounds
    key and value together; `max_waiting_bytes` bounds what is submitted and not yet written.
    Raises BadInput when the file is something else, Unavailable or DiskFull when it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        partitioner: Callable[[bytes, int], int],
        max_record_bytes: int,
        max_waiting_bytes: int = 128 * 2**20,
    ) -> None:
        self._path = path
        self._partitioner = partitioner
        self._max_record_bytes = max_record_bytes
        self._turns: dict[int, int] = {}
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._lock, self._connection = _open(path)
        self._writer = Writer(path, self._connection, self._lock, max_waiting_bytes)

    # Writing

    def append(self, topic: str, records: Sequence[Record]) -> Future[list[Receipt | Refusal]]:
        size = sum(_RECORD_OVERHEAD + len(record.value or b"") + len(record.key or b"") for record in records)
        return self._writer.submit(lambda transaction: place(transaction, topic, records, self._choose), size)

    def _choose(self, topic_id: int, partitions: int, record: Record) -> int | Refusal:
        size = len(record.value or b"") + len(record.key or b"")
        if size > self._max_record_bytes:
            reason = f"key and value have {size} bytes, the log takes {self._max_record_bytes}"
            return Refusal("record_too_large", reason)
        if record.partition is not None:
            if 0 <= record.partition < partitions:
                return record.partition
            reason = f"there is no partition {record.partition}, the last one is {partitions - 1}"
            return Refusal("unknown_partition", reason)
        if record.key is not None:
            return self._partitioner(record.key, partitions)
        turn = self._turns.get(topic_id, 0)
        self._turns[topic_id] = turn + 1
        return turn % partitions

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        def work(transaction: Transaction) -> None:
            partitions = transaction.topic(topic).partitions
            for number in positions:
                if not 0 <= number < len(partitions):
                    raise _unknown_partition(topic, number)
            transaction.connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(group, partitions[number].id, position) for number, position in positions.items()],
            )

        self._writer.submit(work).result()

    def create(self, topic: str, partitions: int) -> None:
        if partitions < 1:
            raise BadInput(f"a topic of {partitions} partitions cannot hold anything", "ask for 1 or more")

        def work(transaction: Transaction) -> None:
            execute = transaction.connection.execute
            if execute("SELECT 1 FROM topics WHERE name = ?", (topic,)).fetchone():
                raise TopicExists(topic)
            (latest,) = execute("SELECT coalesce(max(created_ms), 0) FROM topics").fetchone()
            created = max(now_ms(), latest + 1)
            topic_id = execute(
                "INSERT INTO topics (name, created_ms) VALUES (?, ?)", (topic, created)
            ).lastrowid
            transaction.connection.executemany(
                "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
                [(topic_id, number) for number in range(partitions)],
            )

        self._writer.submit(work).result()

    def delete(self, topic: str) -> None:
        def work(transaction: Transaction) -> None:
            topic_id = transaction.topic(topic).id
            transaction.flush()  # records of this very group may belong to the topic
            transaction.connection.execute("UPDATE topics SET name = NULL WHERE id = ?", (topic_id,))

        self._writer.submit(work).result()
        while self._writer.submit(_purge).result():  # in small steps: other writers wait for none of it
            pass

    # Reading

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> list[StoredRecord]:
        with self._reader() as reader:
            first = _partition_id(reader, topic, partition) << OFFSET_BITS
            rows = reader.execute(
                "SELECT position, timestamp, key, value FROM records"
                " WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?",
                (first + min(max(offset, 0), _OFFSETS), first + _OFFSETS, max_records),
            )
            with closing(rows):
                return _some(rows, partition)

    def beginnings(self, topic: str) -> dict[int, int]:
        return dict.fromkeys(self.ends(topic), 0)  # records leave the log only with their topic

    def ends(self, topic: str) -> dict[int, int]:
        with self._reader() as reader:
            rows = reader.execute(
                "SELECT p.partition, p.next_offset FROM topics t JOIN partitions p ON p.topic_id = t.id"
                " WHERE t.name = ? ORDER BY p.partition",
                (topic,),
            ).fetchall()
        if not rows:
            raise UnknownTopic(topic)
        return dict(rows)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        with self._reader() as reader:
            rows = reader.execute(
                "SELECT p.partition, c.next_offset FROM topics t JOIN partitions p ON p.topic_id = t.id"
                " LEFT JOIN positions c ON c.partition_id = p.id AND c.consumer_group = ?"
                " WHERE t.name = ? ORDER BY p.partition",
                (group, topic),
            ).fetchall()
        if not rows:
            raise UnknownTopic(topic)
        return {partition: position for partition, position in rows if position is not None}

    def topics(self) -> list[str]:
        with self._reader() as reader:
            rows = reader.execute("SELECT name FROM topics WHERE name IS NOT NULL ORDER BY name").fetchall()
        return [name for (name,) in rows]

    def describe(self, topic: str) -> TopicDescription:
        with self._reader() as reader:
            row = reader.execute(
                "SELECT t.name, count(*), t.created_ms FROM topics t JOIN partitions p ON p.topic_id = t.id"
                " WHERE t.name = ? GROUP BY t.id",
                (topic,),
            ).fetchone()
        if row is None:
            raise UnknownTopic(topic)
        return TopicDescription(*row)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._close_idle()
        self._connection.close()
        self._lock.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile; raises the pipeline's errors."""
        if self._closed:
            raise Unavailable(f"the event log {self._path} is closed")
        try:
            with self._borrowed() as reader:
                yield reader
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = connect(self._path)
        try:
            yield reader
        finally:
            self._idle.append(reader)
            if self._closed:
                self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _open(path: Path) -> tuple[FileLock, sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
    except OSError as error:
        raise unopened(error, path) from error
    try:
        with lock.held():  # two processes may meet at a new file
            return lock, prepared(path)
    except BaseException:
        lock.close()
        raise


def _partition_id(reader: sqlite3.Connection, topic: str, partition: int) -> int:
    rows = reader.execute(
        "SELECT p.id, p.partition FROM topics t JOIN partitions p ON p.topic_id = t.id WHERE t.name = ?",
        (topic,),
    ).fetchall()
    if not rows:
        raise UnknownTopic(topic)
    for row in rows:
        if row[1] == partition:
            return int(row[0])
    raise _unknown_partition(topic, partition)


def _unknown_partition(topic: str, partition: int) -> BadInput:
    return BadInput(f"'{topic}' has no partition {partition}", "ask for its partitions first")


def _some(rows: Iterable[tuple[int, int, bytes | None, bytes | None]], partition: int) -> list[StoredRecord]:
    """The rows as records, until they are many bytes."""
    records: list[StoredRecord] = []
    size = 0
    for position, timestamp, key, value in rows:
        records.append(StoredRecord(partition, position & _OFFSETS, timestamp, key, value))
        size += len(key or b"") + len(value or b"")
        if size >= _READ_BYTES:
            break
    return records


def _purge(transaction: Transaction) -> bool:
    """Remove some of what deleted topics left behind; whether more is left."""
    execute = transaction.connection.execute
    left = execute(
        "SELECT p.id FROM topics t JOIN partitions p ON p.topic_id = t.id WHERE t.name IS NULL"
    ).fetchall()
    room = _PURGED_AT_ONCE
    for (partition_id,) in left:
        first = partition_id << OFFSET_BITS
        room -= execute(
            "DELETE FROM records WHERE position IN"
            " (SELECT position FROM records WHERE position BETWEEN ? AND ? LIMIT ?)",
            (first, first + _OFFSETS, room),
        ).rowcount
        if room == 0:
            return True
        execute("DELETE FROM positions WHERE partition_id = ?", (partition_id,))
        execute("DELETE FROM partitions WHERE id = ?", (partition_id,))
    return False
