"""Streams in one SQLite file: the event log whose partitions are shards with hash keys and parents."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

from pinterest_pipeline.errors import Throttled
from pinterest_pipeline.eventlog import sqlite_batches, sqlite_reshaping, sqlite_shards, sqlite_topics
from pinterest_pipeline.eventlog import sqlite_stream_changes as changes
from pinterest_pipeline.eventlog.base import READ_BYTES, Once, Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.partitioners import hash_key
from pinterest_pipeline.eventlog.sequence import ACCOUNT, shard_id
from pinterest_pipeline.eventlog.shard_limits import ShardLimits
from pinterest_pipeline.eventlog.sqlite import RECORD_OVERHEAD, SqliteEventLog, record_size
from pinterest_pipeline.eventlog.sqlite_reshaping import Reshaping
from pinterest_pipeline.eventlog.sqlite_shards import Extent, OpenShards
from pinterest_pipeline.eventlog.sqlite_trimming import Trimmer
from pinterest_pipeline.eventlog.sqlite_writer import Transaction, now_ms, place
from pinterest_pipeline.eventlog.stream_log import ShardRecords, within
from pinterest_pipeline.eventlog.streams import Expired, Stream

T = TypeVar("T")

_FROM_THE_BEGINNING: Final = -1


class SqliteStreamLog(SqliteEventLog):
    """A StreamLog that is an EventLog too. `create` and `delete` act at once; a stream keeps every record.

    What Kinesis' own API asks for takes `transition_seconds`, by `clock` (milliseconds since 1970): a stream
    is CREATING, UPDATING or DELETING meanwhile. With `limits` a shard takes and gives only what one of
    Kinesis does. All processes that use the file share its streams and their limits.
    """

    def __init__(
        self,
        path: Path,
        max_record_bytes: int,
        session_seconds: float = 45.0,
        transition_seconds: float = 0.0,
        limits: bool = False,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        # First: what cannot be opened leaves no thread of the log's.
        self._limits = ShardLimits(path.with_name(f"{path.name}-limits")) if limits else None
        try:
            super().__init__(path, _no_partitioner, max_record_bytes, session_seconds=session_seconds)
        except BaseException:
            self._close_limits()
            raise
        self._transition_ms = int(transition_seconds * 1000)
        self._clock = clock
        self._trimmer = Trimmer(self._writer, clock)
        with self._readers.one() as reader:
            unadopted = sqlite_shards.unadopted(reader)
        if unadopted:
            self._writer.submit(lambda transaction: sqlite_shards.adopt(transaction.connection)).result()

    # Writing

    def append(
        self, topic: str, records: Sequence[Record], once: Once | None = None
    ) -> Future[list[Receipt | Refusal]]:
        return self.put(topic, records, None, once)

    def put(
        self,
        stream: str,
        records: Sequence[Record],
        hash_keys: Sequence[str | None] | None = None,
        once: Once | None = None,
    ) -> Future[list[Receipt | Refusal]]:
        """As `append`; the hash keys (32 hexadecimal digits) go before those of the records' keys."""
        self._trimmer.nudge()

        def work(transaction: Transaction) -> list[Receipt | Refusal]:
            now = self._clock()
            shards = transaction.open_shards(stream, now)

            def choose(topic_id: int, _: int, records: Sequence[Record]) -> list[int | Refusal]:
                keys = hash_keys or [None] * len(records)
                turn = shards.numbers[self._turn(topic_id) % len(shards.numbers)]
                chosen = [self._owner(turn, shards, *pair) for pair in zip(records, keys, strict=True)]
                return self._throttled(stream, shards, records, chosen, now)

            return place(transaction, stream, records, once, choose, now)

        size = RECORD_OVERHEAD * len(records) + sum(map(record_size, records))
        return self._writer.submit(work, size, once.key if once else None)

    def _owner(self, turn: int, shards: OpenShards, record: Record, key: str | None) -> int | Refusal:
        """The number of the open shard that a record goes to; `turn` is that of one without a key."""
        if refusal := self._wrong(record):
            return refusal
        if record.partition is not None:
            if record.partition in shards.numbers:
                return record.partition
            return Refusal("unknown_partition", f"there is no open shard {shard_id(record.partition)}")
        if key is None and record.key is None:
            return turn
        return shards.numbers[shards.place_of(key or hash_key(record.key or b""))]

    def _throttled(
        self,
        stream: str,
        shards: OpenShards,
        records: Sequence[Record],
        chosen: list[int | Refusal],
        now: int,
    ) -> list[int | Refusal]:
        if self._limits is None:
            return chosen
        ids = dict(zip(shards.numbers, shards.ids, strict=True))
        positions: defaultdict[int, list[int]] = defaultdict(list)
        for position, number in enumerate(chosen):
            if isinstance(number, int):
                positions[number].append(position)
        for number, mine in positions.items():
            sizes = [record_size(records[position]) for position in mine]
            for position, fits in zip(mine, self._limits.admit(ids[number], sizes, now), strict=True):
                if not fits:
                    chosen[position] = Refusal("throttled", _rate_exceeded(stream, number))
        return chosen

    # Reading

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        return self._read(topic, partition, offset, max_records, max_bytes)[0]

    def _read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int
    ) -> tuple[list[StoredRecord], Extent]:
        """The records, and the shard as it was when they were read."""
        with self._readers.snapshot() as reader:
            part = sqlite_shards.extent(reader, topic, partition, self._clock())
            start = max(offset, part.beginning)
            found = sqlite_batches.read(reader, part.partition_id, partition, start, max_records, max_bytes)
            if not found or found[0].timestamp >= part.horizon_ms:
                return found, part
            kept = _offset_at(reader, part, _FROM_THE_BEGINNING)
            found = sqlite_batches.read(reader, part.partition_id, partition, kept, max_records, max_bytes)
            return found, part

    def get(
        self, stream: str, shard: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> ShardRecords:
        """As `read`, within the limits of the shard; raises Throttled when it has given all for now."""
        if self._limits is not None:
            with self._readers.one() as reader:
                id_ = sqlite_shards.extent(reader, stream, shard, self._clock()).partition_id
            if not self._limits.admit_read(id_, self._clock()):
                raise Throttled(_rate_exceeded(stream, shard))
        found, part = self._read(stream, shard, offset, max_records, max_bytes)
        taken = within(found, max_bytes)
        if self._limits is not None:
            size = sum(len(one.value or b"") + len(one.key or b"") for one in taken)
            self._limits.note_read(part.partition_id, size)
        is_at_end = not taken or taken[-1].offset + 1 >= part.end
        behind_ms = 0 if is_at_end else max(1, self._clock() - taken[-1].timestamp)
        return ShardRecords(taken, behind_ms, part.is_closed and is_at_end)

    def beginnings(self, topic: str) -> dict[int, int]:
        return self.offsets_at(topic, _FROM_THE_BEGINNING)

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int]:
        with self._readers.snapshot() as reader:
            known = sqlite_shards.extents(reader, topic, self._clock())
            return {number: _offset_at(reader, part, timestamp) for number, part in known.items()}

    def offset_at(self, stream: str, shard: int, timestamp: int) -> int:
        """The first offset of a shard that is still held and not before this time, else its end.

        Raises UnknownTopic and UnknownPartition.
        """
        with self._readers.snapshot() as reader:
            return _offset_at(reader, sqlite_shards.extent(reader, stream, shard, self._clock()), timestamp)

    def expired(self, stream: str, positions: Mapping[int, int]) -> dict[int, Expired]:
        """What has expired behind these positions (0: before all) of each shard; {} when nothing has.

        Shards that are forgotten count too. Raises UnknownTopic.
        """
        found: dict[int, Expired] = {}
        with self._readers.snapshot() as reader:
            for number, part in sqlite_shards.extents(reader, stream, self._clock()).items():
                begins = _offset_at(reader, part, _FROM_THE_BEGINNING)
                missed = begins - max(positions.get(number, 0), part.start)
                if missed > 0:
                    found[number] = Expired(missed, begins)
        return found

    def topics(self) -> list[str]:
        self._finish_deletions()
        return super().topics()

    def stream(self, name: str) -> Stream:
        """A stream as it is now; raises UnknownTopic."""
        with self._readers.snapshot() as reader:
            return sqlite_shards.load(reader, name, self._clock())

    def open_shard_count(self) -> int:
        """How many shards of all streams are open."""
        with self._readers.one() as reader:
            return sqlite_shards.open_count(reader)

    @property
    def max_record_bytes(self) -> int:
        """Most bytes of key, value and headers of a record."""
        return self._max_record_bytes

    def now(self) -> int:
        """Milliseconds since 1970, by this log's clock."""
        return self._clock()

    # Streams

    def create(
        self,
        topic: str,
        partitions: int,
        replication: int | None = None,
        configs: Mapping[str, str] | None = None,
    ) -> None:
        sqlite_topics.check(partitions, replication, configs)
        self._finish_deletions()
        self._write(lambda transaction, now: changes.create(transaction, topic, partitions, now))

    def create_stream(self, name: str, shards: int, tags: Mapping[str, str]) -> None:
        """Begin a stream that keeps records for a day; raises TopicExists and LimitExceeded."""
        self._finish_deletions()
        self._write(
            lambda transaction, now: changes.begin(
                transaction, name, shards, dict(tags), now, now + self._transition_ms
            )
        )

    def delete_stream(self, name: str) -> None:
        """Begin to delete a stream; its records go when it is over. Raises UnknownTopic and StreamInUse."""
        self._write(lambda transaction, now: changes.end(transaction, name, now, now + self._transition_ms))
        self._finish_deletions()

    def _finish_deletions(self) -> None:
        with self._readers.one() as reader:
            ended = sqlite_shards.ended(reader, self._clock())
        if ended:
            self._write(changes.finish)
            self._purge()

    def split(self, name: str, shard: int, at: int) -> None:
        """Split a shard at a hash key. Raises UnknownTopic, UnknownPartition, BadInput and StreamInUse."""
        self._reshape(name, lambda shaping: sqlite_reshaping.split(shaping, shard, at))

    def merge(self, name: str, shard: int, adjacent: int) -> None:
        """Merge two shards whose hash keys touch; raises as `split` does."""
        self._reshape(name, lambda shaping: sqlite_reshaping.merge(shaping, shard, adjacent))

    def update_shard_count(self, name: str, target: int) -> int:
        """Split and merge to `target` shards of equal parts; returns how many there were."""
        return self._reshape(name, lambda shaping: sqlite_reshaping.update_count(shaping, target))

    def _reshape(self, name: str, change: Callable[[Reshaping], T]) -> T:
        def work(transaction: Transaction, now: int) -> T:
            shaping = Reshaping(transaction, name, now)
            result = change(shaping)
            shaping.finish(now + self._transition_ms)
            return result

        return self._write(work)

    def retain(self, name: str, change: Callable[[int], int]) -> None:
        """Keep records for `change(hours now)` hours; raises what it raises, UnknownTopic, StreamInUse."""
        self._write(lambda transaction, now: changes.retain(transaction, name, change, now))

    def tag(self, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Set the tags to `change(tags now)`; raises UnknownTopic and LimitExceeded."""
        self._write(lambda transaction, now: changes.tag(transaction, name, change, now))

    def _write(self, work: Callable[[Transaction, int], T]) -> T:
        def changed(transaction: Transaction) -> T:
            transaction.flush()  # what it knows of streams is not true any more behind this
            return work(transaction, self._clock())

        return self._writer.submit(changed).result()

    def close(self) -> None:
        super().close()
        self._close_limits()

    def _close_limits(self) -> None:
        if self._limits is not None:
            self._limits.close()
            self._limits = None


def _offset_at(reader: sqlite3.Connection, part: Extent, timestamp: int) -> int:
    """The first offset of a shard whose record has not expired and is not before this time, else its end."""
    since = max(timestamp, part.horizon_ms)
    if since <= 0:
        return part.beginning
    return sqlite_batches.offset_at(reader, part.partition_id, part.end, since, part.beginning)


def _no_partitioner(_: bytes, __: int) -> int:
    raise AssertionError("a stream has shards")


def _rate_exceeded(stream: str, number: int) -> str:
    return f"Rate exceeded for shard {shard_id(number)} in stream {stream} under account {ACCOUNT}"
