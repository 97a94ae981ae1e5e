"""What every home of the streams must do. A new home is one more class in this folder's conftest.py."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pinterest_pipeline.errors import TopicExists, Unavailable, UnknownPartition, UnknownTopic
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.partitioners import HASH_SPACE
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.eventlog.streams import readable
from tests.contract.conftest import StreamHome

WAIT = 60
PIN = "streaming-124df56aef51-pin"

Opener = Callable[[], StreamLog]


def put(log: StreamLog, records: Sequence[Record], stream: str = PIN) -> list[Receipt]:
    found = log.append(stream, records).result(WAIT)
    assert all(isinstance(outcome, Receipt) for outcome in found), found
    return [outcome for outcome in found if isinstance(outcome, Receipt)]


def numbered(count: int, keys: int = 7, first: int = 0) -> list[Record]:
    return [Record(b"%d" % number, b"key %d" % (number % keys)) for number in range(first, first + count)]


def shard_records(log: StreamLog, shard: int, position: int = 0, step: int = 7) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while records := log.read(PIN, shard, position, step):
        found += records
        position = records[-1].offset + 1
    return found


def everything(log: StreamLog, step: int = 7) -> list[StoredRecord]:
    """All records, shard by shard."""
    return [one for shard in log.beginnings(PIN) for one in shard_records(log, shard, step=step)]


def values_by_key(records: Sequence[StoredRecord]) -> dict[bytes | None, list[int]]:
    found: dict[bytes | None, list[int]] = {}
    for record in records:
        found.setdefault(record.key, []).append(int(record.value or b""))
    return found


def until(condition: Callable[[], bool]) -> None:
    """A home may say what was a second ago."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_receipt_is_true(streams: StreamLog) -> None:
    streams.create(PIN, 3)
    sent = numbered(50)
    receipts = put(streams, sent)
    stored = {(one.partition, one.offset): (one.key, one.value) for one in everything(streams)}
    assert {(one.partition, one.offset) for one in receipts} == stored.keys()
    for record, receipt in zip(sent, receipts, strict=True):
        assert stored[receipt.partition, receipt.offset] == (record.key, record.value)


def test_the_records_of_a_key_keep_their_order(streams: StreamLog) -> None:
    streams.create(PIN, 2)
    futures = [streams.append(PIN, numbered(20, 3, 20 * turn)) for turn in range(6)]
    for future in futures:
        assert all(isinstance(outcome, Receipt) for outcome in future.result(WAIT))
    found = values_by_key(everything(streams, 50))
    assert found == {b"key %d" % key: list(range(key, 120, 3)) for key in range(3)}


def test_offsets_rise_within_a_shard_and_times_are_of_now(streams: StreamLog) -> None:
    before = time.time_ns() // 1_000_000
    streams.create(PIN, 2)
    put(streams, numbered(20))
    for shard in (0, 1):
        records = shard_records(streams, shard)
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))
        assert all(before <= record.timestamp <= streams.now() for record in records)


def test_reading_goes_on_behind_any_record(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    put(streams, numbered(10))
    records = streams.read(PIN, 0, 0, 100)
    assert len(records) == 10
    for place, record in enumerate(records):
        assert streams.read(PIN, 0, record.offset + 1, 100) == records[place + 1 :]
    assert streams.read(PIN, 0, records[3].offset + 1, 2) == records[4:6]


def test_what_comes_later_is_read_where_reading_ended(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    assert streams.read(PIN, 0, 0, 10) == []
    put(streams, [Record(b"1", b"k")])
    (first,) = streams.read(PIN, 0, 0, 10)
    assert streams.read(PIN, 0, first.offset + 1, 10) == []
    put(streams, [Record(b"2", b"k")])
    (second,) = streams.read(PIN, 0, first.offset + 1, 10)
    assert (first.value, second.value) == (b"1", b"2")


def test_a_read_ends_once_it_has_enough_bytes(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    put(streams, [Record(b"x" * 600, b"%d" % number) for number in range(5)])
    assert len(streams.read(PIN, 0, 0, 100, 1)) == 1
    few = streams.get(PIN, 0, 0, 100, 1_000)
    assert len(few.records) == 1
    rest = streams.get(PIN, 0, few.records[-1].offset + 1, 100)
    assert (len(rest.records), rest.behind_ms, rest.is_over) == (4, 0, False)


def test_a_key_stays_in_its_shard(streams: StreamLog, open_streams: Opener) -> None:
    streams.create(PIN, 4)
    records = [Record(b"x", b"%d" % number) for number in range(40)]
    first = [receipt.partition for receipt in put(streams, records)]
    assert [receipt.partition for receipt in put(open_streams(), records)] == first
    assert set(first) == {0, 1, 2, 3}


def test_values_and_keys_come_back_byte_for_byte(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    keys = (b"k", "ключ ✓".encode(), b" ", b"k" * 256)
    pairs = [(key, value) for key in keys for value in (b"", b"null", b"\x00\xff", b" ")]
    put(streams, [Record(value, key) for key, value in pairs])
    found = [(record.key, record.value) for record in streams.read(PIN, 0, 0, 100)]
    assert sorted(found) == sorted(pairs)


def test_what_is_refused_keeps_nothing_else_out(streams: StreamLog) -> None:
    streams.create(PIN, 2)
    large = [Record(b"x" * 5_000, b"k"), Record(b"y" * 4_000, b"k" * 100)]
    outcomes = streams.append(PIN, [Record(b"1", b"k"), *large, Record(b"2", b"k")]).result(WAIT)
    codes = [outcome.code if isinstance(outcome, Refusal) else "" for outcome in outcomes]
    assert codes == ["", "record_too_large", "record_too_large", ""]
    assert isinstance(outcomes[1], Refusal)
    assert "5001" in outcomes[1].reason
    assert [record.value for record in everything(streams)] == [b"1", b"2"]


def test_a_record_of_the_largest_size_lands(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    assert len(put(streams, [Record(b"x" * 4_090, b"k" * 6)])) == 1


def test_no_records_are_no_error(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    assert streams.append(PIN, []).result(WAIT) == []


def test_a_stream_is_described(streams: StreamLog) -> None:
    before = time.time_ns() // 1_000_000
    streams.create(PIN, 4)
    known = streams.stream(PIN)
    assert (known.name, known.status, known.arn.rpartition("/")[2]) == (PIN, "ACTIVE", PIN)
    assert before <= known.created_ms <= streams.now()
    assert known.retention_hours >= 24
    assert [shard.number for shard in known.shards] == [0, 1, 2, 3]
    ranges = [(int(shard.first_hash, 16), int(shard.last_hash, 16)) for shard in known.open_shards]
    assert [first for first, _ in ranges] == [0, *(last + 1 for _, last in ranges[:-1])]
    assert ranges[-1][1] == HASH_SPACE - 1


def test_the_ends_that_are_told_are_true(streams: StreamLog) -> None:
    streams.create(PIN, 2)
    put(streams, numbered(20))
    for shard, end in streams.ends(PIN).items():
        assert end == streams.read(PIN, shard, 0, 100)[-1].offset + 1


def test_streams_are_listed_in_order(streams: StreamLog) -> None:
    assert streams.topics() == []
    for name in ("b", "a.2", "a"):
        streams.create(name, 1)
    assert streams.topics() == ["a", "a.2", "b"]


def test_a_stream_is_created_once(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    with pytest.raises(TopicExists, match=PIN):
        streams.create(PIN, 1)
    assert streams.topics() == [PIN]


def test_whoever_is_told_that_a_stream_exists_can_use_it_at_once(
    streams: StreamLog, open_streams: Opener
) -> None:
    logs = [streams, open_streams(), open_streams()]
    together = threading.Barrier(len(logs))

    def write(each: StreamLog) -> int:
        together.wait(WAIT)
        with suppress(TopicExists):
            each.create(PIN, 3)
        return len(put(each, numbered(3)))

    with ThreadPoolExecutor(len(logs)) as pool:
        assert list(pool.map(write, logs)) == [3] * len(logs)


def test_what_is_unknown_is_named(streams: StreamLog) -> None:
    streams.create("other", 2)
    asks: tuple[Callable[[str], object], ...] = (
        streams.stream, streams.delete, streams.beginnings, streams.ends,
        lambda name: streams.read(name, 0, 0, 1),
        lambda name: streams.get(name, 0, 0, 1),
        lambda name: streams.append(name, [Record(b"x", b"k")]).result(WAIT),
    )  # fmt: skip
    for ask in asks:
        with pytest.raises(UnknownTopic, match="nobody"):
            ask("nobody")
    with pytest.raises(UnknownPartition, match="partition 2"):
        streams.read("other", 2, 0, 1)


def test_one_wrong_request_fails_no_other(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    names = [PIN, "nobody", PIN]
    futures = [streams.append(name, [Record(name.encode(), b"k")]) for name in names]
    assert [type(future.exception(WAIT)) for future in futures] == [type(None), UnknownTopic, type(None)]
    assert len(everything(streams)) == 2


def test_a_deleted_stream_is_gone(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    put(streams, numbered(3))
    assert len(streams.read(PIN, 0, 0, 1)) == 1
    streams.delete(PIN)
    assert streams.topics() == []
    with pytest.raises(UnknownTopic):
        streams.read(PIN, 0, 0, 1)
    with pytest.raises(UnknownTopic):
        put(streams, numbered(3))


def test_a_successor_holds_nothing_of_the_stream_before_it(streams: StreamLog) -> None:
    streams.create(PIN, 2)
    put(streams, numbered(9))
    assert len(everything(streams)) == 9
    before = streams.stream(PIN)
    streams.delete(PIN)
    streams.create(PIN, 1)
    assert streams.stream(PIN).created_ms > before.created_ms
    put(streams, [Record(b"100", b"k")])
    assert [record.value for record in everything(streams)] == [b"100"]


def test_a_successor_is_read_though_the_stream_before_it_was_read_at_the_same_place(
    streams: StreamLog,
) -> None:
    streams.create(PIN, 1)
    assert streams.get(PIN, 0, 0, 1).records == []
    streams.delete(PIN)
    streams.create(PIN, 1)
    put(streams, [Record(b"100", b"k")])
    assert [record.value for record in everything(streams)] == [b"100"]


def test_two_instances_see_each_other(streams: StreamLog, open_streams: Opener) -> None:
    other = open_streams()
    streams.create(PIN, 1)
    assert other.topics() == [PIN]
    put(other, [Record(b"1", b"k")])
    assert [record.value for record in streams.read(PIN, 0, 0, 10)] == [b"1"]
    other.delete(PIN)
    with pytest.raises(UnknownTopic):
        put(streams, [Record(b"too late", b"k")])

    def is_unknown() -> bool:
        try:
            streams.stream(PIN)
        except UnknownTopic:
            return True
        return False

    until(is_unknown)


def test_writers_at_the_same_time(streams: StreamLog, open_streams: Opener) -> None:
    streams.create(PIN, 2)
    logs = [streams, open_streams()]
    given: list[tuple[Receipt, bytes | None]] = []

    def write(writer: int) -> None:
        for turn in range(15):
            records = numbered(3, 2, 1_000 * writer + 3 * turn)
            given.extend(zip(put(logs[writer % 2], records), [one.value for one in records], strict=True))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    stored = {(one.partition, one.offset): one.value for one in everything(streams, 100)}
    assert len(stored) == len(given) == 180
    assert {(one.partition, one.offset): value for one, value in given} == stored


def test_everything_is_there_after_reopening(streams: StreamLog, open_streams: Opener) -> None:
    streams.create(PIN, 2)
    put(streams, numbered(10))
    before, known = everything(streams), streams.stream(PIN)
    streams.close()
    again = open_streams()
    assert (everything(again), again.stream(PIN)) == (before, known)


def test_closing_finishes_what_was_submitted(streams: StreamLog, open_streams: Opener) -> None:
    streams.create(PIN, 1)
    futures = [streams.append(PIN, numbered(1)) for _ in range(50)]
    streams.close()
    assert all(isinstance(future.result(0)[0], Receipt) for future in futures)
    assert len(open_streams().read(PIN, 0, 0, 100)) == 50


def test_a_closed_log_says_so(streams: StreamLog) -> None:
    streams.create(PIN, 1)
    streams.close()
    streams.close()
    with pytest.raises(Unavailable, match="closed"):
        streams.append(PIN, numbered(1)).result(WAIT)
    with pytest.raises(Unavailable, match="closed"):
        streams.topics()


class Follower:
    """Reads a stream as the pipeline does: parents to their end, then their children."""

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self.positions: dict[int, int] = {}
        self.found: list[StoredRecord] = []

    def step(self) -> bool:
        """Whether something came."""
        shards = self._log.stream(PIN).shards
        positions = {shard.number: self.positions.get(shard.number, 0) for shard in shards}
        came = False
        for shard, position in readable(shards, positions, self._log.beginnings(PIN)).items():
            records = self._log.read(PIN, shard, position, 10)
            self.found += records
            if records:
                self.positions[shard], came = records[-1].offset + 1, True
        return came

    def until(self, count: int) -> None:
        deadline = time.monotonic() + WAIT
        while self.step() or len(self.found) < count:
            assert time.monotonic() < deadline, len(self.found)


def test_reshards_are_followed_in_the_order_of_each_key(
    streams: StreamLog, stream_home: StreamHome, open_streams: Opener
) -> None:
    streams.create(PIN, 2)
    follower = Follower(streams)
    for turn, shards in enumerate((3, 2, 1, 2)):
        put(streams, numbered(40, 10, 40 * turn))
        if turn % 2:
            follower.step()
        stream_home.reshard(PIN, shards)
    put(streams, numbered(40, 10, 160))
    follower.until(200)
    in_order = {b"key %d" % key: list(range(key, 200, 10)) for key in range(10)}
    assert values_by_key(follower.found) == in_order
    for record in (later := Follower(open_streams())).found:
        assert record in follower.found
    later.positions = dict(follower.positions)  # a process that goes on where another ended
    put(streams, numbered(10, 10, 200))
    later.until(10)
    assert values_by_key(later.found) == {b"key %d" % key: [200 + key] for key in range(10)}


def test_the_end_of_a_shard_and_its_children_are_told(streams: StreamLog, stream_home: StreamHome) -> None:
    streams.create(PIN, 1)
    put(streams, numbered(5))
    tip = streams.get(PIN, 0, 0, 100)
    assert (len(tip.records), tip.behind_ms, tip.is_over) == (5, 0, False)
    behind = tip.records[-1].offset + 1
    stream_home.reshard(PIN, 2)
    until(lambda: len(streams.stream(PIN).open_shards) == 2)
    until(lambda: streams.get(PIN, 0, behind, 100).is_over)
    assert streams.read(PIN, 0, behind, 100) == []
    known = streams.stream(PIN)
    (parent, *children) = known.shards
    assert parent.end == behind
    assert [child.parents for child in children] == [(0,), (0,)]
    assert known.open_shards == children
    put(streams, numbered(20, 20, 5))
    assert all(shard_records(streams, child.number)[0].offset >= behind for child in children)
