"""Streams on one file: hash keys, lineage, states and retention, by a clock that the tests set."""

import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinterest_pipeline.errors import (
    BadInput,
    LimitExceeded,
    StreamInUse,
    TopicExists,
    UnknownPartition,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.partitioners import HASH_SPACE, hash_key, kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import HOUR_MS, Shard
from tests.unit.eventlog.conftest import Clock

STREAM = "stream"


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[SqliteStreamLog]:
    """Every change takes a second."""
    log = SqliteStreamLog(tmp_path / "streams.sqlite", 2**20, transition_seconds=1, clock=clock)
    yield log
    log.close()


def put(log: SqliteStreamLog, *keys: str) -> list[Receipt]:
    outcomes = log.append(STREAM, [Record(key.encode(), key.encode()) for key in keys]).result()
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]


def everything(log: SqliteStreamLog) -> list[bytes]:
    beginnings = log.beginnings(STREAM)
    return [
        one.value or b""
        for number, beginning in beginnings.items()
        for one in log.read(STREAM, number, beginning, 100_000)
    ]


def ranges(shards: list[Shard]) -> list[tuple[int, int]]:
    return [(int(shard.first_hash, 16), int(shard.last_hash, 16)) for shard in shards]


def assert_whole(log: SqliteStreamLog) -> None:
    """The open shards own every hash key once."""
    owned = ranges(log.stream(STREAM).open_shards)
    assert (owned[0][0], owned[-1][1]) == (0, HASH_SPACE - 1)
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(owned))


def test_a_stream_is_made_and_deleted_by_the_clock(log: SqliteStreamLog, clock: Clock) -> None:
    log.create_stream(STREAM, 2, {"team": "pins"})
    found = log.stream(STREAM)
    assert (found.status, found.retention_hours, found.tags) == ("CREATING", 24, {"team": "pins"})
    with pytest.raises(UnknownTopic):
        log.append(STREAM, [Record(b"early", b"k")]).result()
    with pytest.raises(StreamInUse, match="CREATING"):
        log.delete_stream(STREAM)
    clock.now += 1_000
    assert log.stream(STREAM).status == "ACTIVE"
    put(log, "a")
    log.delete_stream(STREAM)
    assert log.stream(STREAM).status == "DELETING"
    assert log.topics() == [STREAM]
    with pytest.raises(TopicExists):
        log.create_stream(STREAM, 1, {})
    clock.now += 1_000
    with pytest.raises(UnknownTopic):
        log.stream(STREAM)
    assert log.topics() == []
    log.create_stream(STREAM, 1, {})
    clock.now += 1_000
    assert everything(log) == []


def test_two_processes_end_a_deletion_once(log: SqliteStreamLog, clock: Clock, tmp_path: Path) -> None:
    other = SqliteStreamLog(tmp_path / "streams.sqlite", 2**20, clock=clock)
    log.create(STREAM, 1)
    log.delete_stream(STREAM)
    clock.now += 1_000
    assert other.topics() == []
    other.create(STREAM, 1)
    assert log.topics() == [STREAM]
    put(log, "kept")
    assert everything(other) == [b"kept"]
    other.close()


def test_a_stream_of_the_pipeline_is_there_at_once_and_keeps_all(log: SqliteStreamLog, clock: Clock) -> None:
    log.create(STREAM, 2)
    log.append(STREAM, [Record(b"old", b"k", timestamp=5)]).result()
    assert log.stream(STREAM).status == "ACTIVE"
    clock.now += 10_000 * HOUR_MS
    assert everything(log) == [b"old"]


def test_streams_of_an_earlier_version_become_streams(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    old = SqliteEventLog(path, kafka_partition, 2**20)
    old.create(STREAM, 3)
    old.append(STREAM, [Record(b"kept", b"k", 1)]).result()
    id_ = old.cluster().id
    old.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE streams; DROP TABLE shards; DROP TABLE batches;"
            "CREATE TABLE records (position INTEGER PRIMARY KEY, timestamp INTEGER, key, value, headers);"
            "INSERT INTO records SELECT id << 36, last_timestamp, NULL, CAST('kept' AS BLOB), NULL"
            " FROM partitions WHERE next_offset = 1; PRAGMA user_version = 2"
        )
    log = SqliteStreamLog(path, 2**20)
    assert [shard.number for shard in log.stream(STREAM).open_shards] == [0, 1, 2]
    assert everything(log) == [b"kept"]
    assert log.cluster().id == id_
    assert_whole(log)
    log.close()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20), st.integers(1, 40))
@settings(max_examples=20)
def test_a_record_lies_in_the_shard_that_owns_its_hash_key(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], shards: int
) -> None:
    log = SqliteStreamLog(tmp_path_factory.mktemp("log") / "streams.sqlite", 2**20)
    log.create(STREAM, shards)
    for key, receipt in zip(keys, put(log, *keys), strict=True):
        owner = log.stream(STREAM).shard(receipt.partition)
        assert owner is not None
        assert owner.first_hash <= hash_key(key.encode()) <= owner.last_hash
    log.close()


def test_an_explicit_hash_key_goes_before_the_key(log: SqliteStreamLog) -> None:
    log.create(STREAM, 4)
    keys = [f"{number * HASH_SPACE // 4:032x}" for number in range(4)]
    outcomes = log.put(STREAM, [Record(b"v", b"same")] * 4, keys).result()
    assert [outcome.partition for outcome in outcomes if isinstance(outcome, Receipt)] == [0, 1, 2, 3]


def test_a_split_closes_the_parent_and_its_children_own_its_keys(log: SqliteStreamLog, clock: Clock) -> None:
    log.create(STREAM, 1)
    before = put(log, "a", "b")
    log.split(STREAM, 0, HASH_SPACE // 4)
    stream = log.stream(STREAM)
    assert stream.status == "UPDATING"
    parent, left, right = stream.shards
    assert (parent.closed_ms, left.closed_ms, right.closed_ms) == (clock.now, None, None)
    assert (left.parents, right.parents) == ((0,), (0,))
    assert ranges([left, right]) == [(0, HASH_SPACE // 4 - 1), (HASH_SPACE // 4, HASH_SPACE - 1)]
    after = put(log, "a", "b")
    assert {receipt.partition for receipt in after} <= {1, 2}
    assert min(receipt.offset for receipt in after) > max(receipt.offset for receipt in before)
    refused = log.append(STREAM, [Record(b"v", b"k", partition=0)]).result()
    assert isinstance(refused[0], Refusal)
    with pytest.raises(StreamInUse, match="UPDATING"):
        log.split(STREAM, 1, HASH_SPACE // 8)
    clock.now += 1_000
    with pytest.raises(BadInput, match="already been merged or split"):
        log.split(STREAM, 0, HASH_SPACE // 2)


def test_a_merge_has_two_parents(log: SqliteStreamLog) -> None:
    log.create(STREAM, 2)
    log.merge(STREAM, 1, 0)
    (child,) = log.stream(STREAM).open_shards
    assert child.parents == (1, 0)
    assert_whole(log)


def test_what_cannot_be_split_or_merged(log: SqliteStreamLog) -> None:
    log.create(STREAM, 3)
    first = log.stream(STREAM).shards[1]
    for at in (int(first.first_hash, 16), int(first.last_hash, 16), 0):
        with pytest.raises(BadInput, match="NewStartingHashKey"):
            log.split(STREAM, 1, at)
    with pytest.raises(BadInput, match="not an adjacent pair"):
        log.merge(STREAM, 0, 2)
    with pytest.raises(BadInput, match="not an adjacent pair"):
        log.merge(STREAM, 0, 0)
    with pytest.raises(UnknownPartition):
        log.merge(STREAM, 0, 9)
    for target in (7, 1):
        with pytest.raises(BadInput, match="UpdateShardCount cannot scale"):
            log.update_shard_count(STREAM, target)
    assert log.stream(STREAM).status == "ACTIVE"
    assert len(log.stream(STREAM).shards) == 3


def test_no_more_streams_or_shards_than_there_may_be(log: SqliteStreamLog) -> None:
    with pytest.raises(LimitExceeded, match="shard limit"):
        log.create_stream(STREAM, 1_001, {})
    for number in range(5):
        log.create_stream(f"s{number}", 1, {})
    with pytest.raises(LimitExceeded, match="CREATING"):
        log.create_stream(STREAM, 1, {})


@given(st.data())
@settings(max_examples=25)
def test_whatever_is_reshaped_every_record_stays_and_keys_stay_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    log = SqliteStreamLog(tmp_path_factory.mktemp("log") / "streams.sqlite", 2**20)
    log.create(STREAM, data.draw(st.integers(1, 5)))
    keys = [f"k{number}" for number in range(12)]
    rising: defaultdict[str, list[int]] = defaultdict(list)
    rounds = data.draw(st.integers(1, 4))
    for _ in range(rounds):
        for key, receipt in zip(keys, put(log, *keys), strict=True):
            rising[key].append(receipt.offset)
        reshape(log, data)
        assert_whole(log)
    for key, receipt in zip(keys, put(log, *keys), strict=True):
        rising[key].append(receipt.offset)
    assert sorted(everything(log)) == sorted(key.encode() for key in keys * (rounds + 1))
    assert all(offsets == sorted(set(offsets)) for offsets in rising.values())
    shards = {shard.number: shard for shard in log.stream(STREAM).shards}
    for shard in shards.values():
        assert all(shards[parent].closed_ms is not None for parent in shard.parents)
        assert all(shards[parent].end < shard.start for parent in shard.parents)
    log.close()


def reshape(log: SqliteStreamLog, data: st.DataObject) -> None:
    shards = log.stream(STREAM).open_shards
    what = data.draw(st.sampled_from(["split", "merge", "scale"]))
    if what == "split":
        wide = [shard for shard in shards if int(shard.last_hash, 16) - int(shard.first_hash, 16) > 2]
        shard = data.draw(st.sampled_from(wide))
        ((first, last),) = ranges([shard])
        log.split(STREAM, shard.number, data.draw(st.integers(first + 2, last - 1)))
    elif what == "merge" and len(shards) > 1:
        place = data.draw(st.integers(0, len(shards) - 2))
        log.merge(STREAM, shards[place].number, shards[place + 1].number)
    else:
        target = data.draw(st.integers((len(shards) + 1) // 2, 2 * len(shards)))
        assert log.update_shard_count(STREAM, target) == len(shards)
        found = ranges(log.stream(STREAM).open_shards)
        assert [first for first, _ in found] == [n * (HASH_SPACE // target) for n in range(target)]


def test_records_expire_and_leave_the_file(log: SqliteStreamLog, clock: Clock) -> None:
    log.create_stream(STREAM, 1, {})
    clock.now += 1_000
    put(log, "old", "older")
    clock.now += 23 * HOUR_MS
    put(log, "new")
    assert everything(log) == [b"old", b"older", b"new"]
    clock.now += HOUR_MS + 1
    assert log.beginnings(STREAM) == {0: 2}
    assert [one.value for one in log.read(STREAM, 0, 0, 10)] == [b"new"]
    log.retain(STREAM, lambda hours: hours * 2)
    assert len(everything(log)) == 3
    log.retain(STREAM, lambda _: 24)
    clock.now += 60_000
    put(log, "newest")
    put(log, "last")  # behind the trimming that the one before began
    log.retain(STREAM, lambda hours: hours * 2)
    assert everything(log) == [b"new", b"newest", b"last"]
    assert log.stream(STREAM).shards[0].beginning == 2
    assert log.offsets_at(STREAM, clock.now) == {0: 3}


def test_a_deleted_stream_leaves_the_file_while_others_are_written_to(
    log: SqliteStreamLog, clock: Clock, tmp_path: Path
) -> None:
    def batches() -> int:
        with closing(sqlite3.connect(tmp_path / "streams.sqlite")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM batches").fetchone()
        return int(count)

    log.create(STREAM, 1)
    log.create("deleted", 1)
    log.append("deleted", [Record(b"gone", b"k")]).result()
    put(log, "a")
    log.delete_stream("deleted")
    assert batches() == 2
    clock.now += 60_000
    put(log, "b")
    put(log, "c")  # behind the trimming that the one before began
    assert batches() == 3
    assert everything(log) == [b"a", b"b", b"c"]


def test_a_closed_shard_is_forgotten_when_all_of_it_has_expired(log: SqliteStreamLog, clock: Clock) -> None:
    log.create_stream(STREAM, 1, {})
    clock.now += 1_000
    log.split(STREAM, 0, HASH_SPACE // 2)
    assert [shard.number for shard in log.stream(STREAM).shards] == [0, 1, 2]
    clock.now += 24 * HOUR_MS
    assert [shard.number for shard in log.stream(STREAM).shards] == [1, 2]


def test_tags(log: SqliteStreamLog) -> None:
    log.create(STREAM, 1)
    log.tag(STREAM, lambda tags: tags | {"a": "1", "b": ""})
    assert log.stream(STREAM).tags == {"a": "1", "b": ""}
    with pytest.raises(LimitExceeded, match="50"):
        log.tag(STREAM, lambda _: {str(number): "" for number in range(51)})
