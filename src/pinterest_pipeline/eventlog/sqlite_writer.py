"""The one thread that writes: everything that waits goes into one transaction, hence one fsync."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pinterest_pipeline.errors import PipelineError, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, Refusal
from pinterest_pipeline.eventlog.filelock import FileLock
from pinterest_pipeline.eventlog.sqlite_batches import Row, first_position, packed
from pinterest_pipeline.eventlog.sqlite_file import ROWS_PER_INSERT, insert, translated
from pinterest_pipeline.eventlog.sqlite_requests import Outcomes, Requests
from pinterest_pipeline.eventlog.sqlite_shards import OpenShards, open_shards

T = TypeVar("T")

_GROUP_BYTES: Final = 16 * 2**20


@dataclass(slots=True)
class _Partition:
    id: int
    written: int
    """The next offset as it stands in the file."""
    next_offset: int
    last_timestamp: int
    rows: list[Row] = field(default_factory=list)
    """What was added and is not in the file."""


@dataclass(slots=True)
class _Topic:
    id: int
    partitions: list[_Partition]


class Transaction:
    """What one group of jobs does; appended records wait in memory for `flush`.

    sqlite3 lets go of the interpreter's lock at every statement, and waits to get it back while the gateway
    works (half a millisecond each, measured). So records are written in one statement that is a transaction
    by itself, and only jobs that ask for the connection have one begun.
    """

    def __init__(
        self, connection: sqlite3.Connection, keys: Sequence[str], topics: "dict[str, _Topic]"
    ) -> None:
        """`keys` are those of the requests in it that may come again; `topics` is what is known of them."""
        self.requests = Requests(connection, keys)
        self._connection = connection
        self._is_begun = False
        self._topics = topics
        self._shards: dict[str, OpenShards] = {}

    @property
    def connection(self) -> sqlite3.Connection:
        """To write what is no record; what is known of topics ends with this transaction."""
        self._begin()
        return self._connection

    def _begin(self) -> None:
        if not self._is_begun:
            self._connection.execute("BEGIN IMMEDIATE")
            self._is_begun = True

    def topic(self, name: str) -> _Topic:
        """A topic with its partitions as they stand within this transaction; raises UnknownTopic."""
        known = self._topics.get(name)
        if known is None:
            rows = self._connection.execute(
                "SELECT t.id, p.id, p.next_offset, p.next_offset, p.last_timestamp FROM topics t"
                " JOIN partitions p ON p.topic_id = t.id WHERE t.name = ? ORDER BY p.partition",
                (name,),
            ).fetchall()
            if not rows:
                raise UnknownTopic(name)
            known = self._topics[name] = _Topic(rows[0][0], [_Partition(*row[1:]) for row in rows])
        return known

    def open_shards(self, stream: str, now: int) -> OpenShards:
        """Where records of a stream go within this transaction; `now` in ms. Raises UnknownTopic."""
        known = self._shards.get(stream)
        if known is None:
            known = self._shards[stream] = open_shards(self._connection, stream, now)
        return known

    def add(
        self, topic: _Topic, records: Sequence[Record], chosen: Sequence[int | Refusal], now: int
    ) -> Outcomes:
        """Put each record at the end of its chosen partition, at a time that is never before the last one's.

        `now` is in milliseconds since 1970. What is refused is not added.
        """
        outcomes: Outcomes = []
        for record, number in zip(records, chosen, strict=True):
            if isinstance(number, Refusal):
                outcomes.append(number)
                continue
            partition = topic.partitions[number]
            timestamp = max(now if record.timestamp is None else record.timestamp, partition.last_timestamp)
            outcomes.append(Receipt(number, partition.next_offset, timestamp))
            partition.next_offset += 1
            partition.last_timestamp = timestamp
            partition.rows.append((timestamp, record.key, record.value, record.headers))
        return outcomes

    def flush(self) -> None:
        """Write what was added, and forget what is known of topics: the next job may change them."""
        self._begin()
        self._write(self._batches())
        self._topics.clear()
        self._shards = {}

    def commit(self, requests_kept_ms: int) -> None:
        """Have all of it on the disk; a request that may come again is remembered for so long."""
        batches = self._batches()
        if self.requests.are_new or len(batches) > ROWS_PER_INSERT:
            self._begin()
        self._write(batches)
        self.requests.flush(now_ms(), requests_kept_ms)
        if self._is_begun:
            self._topics.clear()
            self._connection.execute("COMMIT")

    def _batches(self) -> list[tuple[int, bytes, _Partition]]:
        """Position and content of what was added, and the partition as it stands behind all of it."""
        return [
            (position, content, partition)
            for topic in self._topics.values()
            for partition in topic.partitions
            if partition.rows
            for position, content in packed(first_position(partition.id) + partition.written, partition.rows)
        ]

    def _write(self, batches: Sequence[tuple[int, bytes, _Partition]]) -> None:
        values = [
            value
            for position, content, partition in batches
            for value in (position, content, partition.id, partition.next_offset, partition.last_timestamp)
        ]
        insert(self._connection, "appends", 5, values)
        for *_, partition in batches:
            partition.written, partition.rows = partition.next_offset, []


@dataclass(slots=True)
class _Job:
    work: Callable[[Transaction], Any]
    size: int
    future: "Future[Any]"
    key: str | None
    result: Any = None
    failure: PipelineError | None = None


class Writer:
    """Runs jobs one after the other in a thread of its own, as many in one transaction as are waiting."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: FileLock,
        max_waiting_bytes: int,
        requests_kept_ms: int,
    ) -> None:
        self._path = path
        self._requests_kept_ms = requests_kept_ms
        self._connection = connection
        self._lock = lock
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[_Job] = deque()
        self._waiting_bytes = 0
        self._topics: dict[str, _Topic] = {}
        """Topics as they stand in the file, while no other process has written to it."""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Transaction], T], size: int = 0, key: str | None = None) -> "Future[T]":
        """Have a job done; its future is done once the job is on the disk, or nothing of it is.

        A job that raises must not have changed anything; `key` is that of a request that may come again.
        Fails with Unavailable when too many bytes wait.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                future.set_exception(Unavailable(f"the event log {self._path} is closed"))
            elif self._waiting and self._waiting_bytes + size > self._max_waiting_bytes:
                future.set_exception(
                    Unavailable("the event log has too much to write already", "try again later")
                )
            else:
                self._waiting.append(_Job(work, size, future, key))
                self._waiting_bytes += size
                self._changed.notify()
        return future

    def close(self) -> None:
        """Do what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            running = [job for job in group if job.future.set_running_or_notify_cancel()]
            try:
                self._commit(running)
            except Exception as error:  # nothing may end this thread: every caller waits for its future
                self._fail(running, error)
            else:
                _settle(running)

    def _next_group(self) -> list[_Job]:
        """Jobs that wait, at least one; none once the writer is closed and all is done."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[_Job] = []
            size = 0
            while self._waiting and size < _GROUP_BYTES:
                job = self._waiting.popleft()
                group.append(job)
                size += job.size
            self._waiting_bytes -= size
            return group

    def _commit(self, jobs: Sequence[_Job]) -> None:
        with self._lock.held() as is_undisturbed:
            if not is_undisturbed:
                self._topics.clear()
            keys = [job.key for job in jobs if job.key is not None]
            transaction = Transaction(self._connection, keys, self._topics)
            for job in jobs:
                try:
                    job.result = job.work(transaction)
                except PipelineError as error:
                    job.failure = error
            transaction.commit(self._requests_kept_ms)

    def _fail(self, jobs: Sequence[_Job], error: Exception) -> None:
        self._topics.clear()
        with suppress(sqlite3.Error):  # whatever the rollback says, those who wait must be told
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        reason = translated(error, self._path) if isinstance(error, sqlite3.Error | OSError) else error
        for job in jobs:
            job.future.set_exception(job.failure or reason)


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.failure is not None:
            job.future.set_exception(job.failure)
        else:
            job.future.set_result(job.result)


def place(
    transaction: Transaction,
    topic_name: str,
    records: Sequence[Record],
    once: Once | None,
    choose: Callable[[int, int, Sequence[Record]], Sequence[int | Refusal]],
    now: int,
) -> Outcomes:
    """Add records where `choose(topic id, partitions, records)` says, but for those that it refuses.

    `now` is in milliseconds since 1970.

    A request that is remembered adds nothing, and gets what it got; raises UnknownTopic and KeyReused.
    """
    topic = transaction.topic(topic_name)
    if once and (known := transaction.requests.outcomes(topic.id, once)) is not None:
        return known
    outcomes = transaction.add(topic, records, choose(topic.id, len(topic.partitions), records), now)
    if once and not _is_passing(outcomes):
        transaction.requests.remember(topic.id, once, outcomes)
    return outcomes


def _is_passing(outcomes: Outcomes) -> bool:
    """Whether nothing landed of what may land a moment later: sent again, it is tried again."""
    codes = {outcome.code if isinstance(outcome, Refusal) else None for outcome in outcomes}
    return "throttled" in codes and None not in codes


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
